package node

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/national"
	"gongji/gateway/internal/policy"
)

// The operators' part of platforms: keys are registered, listed and revoked. A key that is registered may move money:
// two officers agree on it, and on every change of what it may do. Revoking needs no second person: it only takes away,
// and must not wait.

const (
	platformBodyMax = 16 << 10
	reasonMax       = 200
)

func (n *Node) platformRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/platforms", needs: dutyObserve, handler: n.adminPlatforms},
		{pattern: "POST /admin/v1/platforms", needs: dutySecure, two: true, handler: n.adminRegister},
		{pattern: "POST /admin/v1/platforms/{key}/revoke", needs: dutySecure, handler: n.adminRevoke},
	}
}

// adminPlatforms lists the keys in the order of their ids.
func (n *Node) adminPlatforms(w http.ResponseWriter, r *http.Request) {
	out := client.PlatformList{Region: n.cfg.Region, Platforms: []client.PlatformKey{}}
	var keys map[string]*ledger.PlatformKey
	err := n.log.Read(r.Context(), func(rd consensus.Reader) error {
		var failed error
		keys, failed = n.ledger.View(rd).Platforms()
		return failed
	})
	if !n.answerOutcome(w, r, ledger.Outcome{}, err) {
		return
	}
	for _, k := range keys {
		shown := client.PlatformKey{
			KeyID: k.ID, Platform: k.Platform, Region: k.Region, Public: base64.StdEncoding.EncodeToString(k.Public),
			Roles: k.Roles, RatePerSecond: k.Rate, NotBefore: client.FormatTime(k.From), NotAfter: client.FormatTime(k.Until),
			CertDigest: k.CertDigest, CertSubject: k.CertSubject, Registered: client.FormatTime(k.Registered),
			Revoked: client.FormatTime(k.Revoked), Reason: k.Reason,
		}
		if k.National != nil {
			shown.National = &client.PlatformDialect{Scalars: k.National.Scalars, Timestamp: k.National.Timestamp}
		}
		out.Platforms = append(out.Platforms, shown)
	}
	slices.SortFunc(out.Platforms, func(a, b client.PlatformKey) int { return cmp.Compare(a.KeyID, b.KeyID) })
	n.writeJSON(w, r, out)
}

// readAdmin reads a JSON document of an operator. The media type must be said: a web page of somebody else cannot.
func (n *Node) readAdmin(w http.ResponseWriter, r *http.Request, to any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		n.malformed(w, r, http.StatusUnsupportedMediaType, "The body must be application/json.",
			"请求内容类型须为 application/json。")
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, platformBodyMax))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil || d.More() {
		n.malformed(w, r, http.StatusBadRequest, "The body is not what this call takes: see docs/operations.md.",
			"请求内容与此接口不符，见 docs/operations.md。")
		return false
	}
	return true
}

// adminRegister takes a new key, or new terms for a known one.
func (n *Node) adminRegister(w http.ResponseWriter, r *http.Request) {
	var p client.PlatformKey
	if !n.readAdmin(w, r, &p) {
		return
	}
	k, err := n.registration(p)
	if err != nil {
		n.malformed(w, r, http.StatusUnprocessableEntity, err.Error(), "平台密钥登记内容不正确："+err.Error())
		return
	}
	who := callerOf(r.Context())
	n.proposePlatform(w, r, "platform_registered", k.ID, &ledger.RegisterPlatform{
		Platform: k, Operator: who.name, Second: who.second,
	})
}

// registration is a key as an operator brings it, checked.
func (n *Node) registration(p client.PlatformKey) (ledger.PlatformKey, error) {
	public, err := base64.StdEncoding.DecodeString(p.Public)
	if err != nil {
		return ledger.PlatformKey{}, fmt.Errorf("public: %w", err)
	}
	k := ledger.PlatformKey{
		ID: p.KeyID, Platform: p.Platform, Region: cmp.Or(p.Region, n.cfg.Region), Public: public, Roles: p.Roles,
		Rate: p.RatePerSecond, CertDigest: p.CertDigest, CertSubject: p.CertSubject,
	}
	if k.From, err = stampOf(p.NotBefore); err != nil {
		return k, fmt.Errorf("not_before: %w", err)
	}
	if k.Until, err = stampOf(p.NotAfter); err != nil {
		return k, fmt.Errorf("not_after: %w", err)
	}
	if p.National != nil {
		d := national.Dialect{
			Scalars: national.Scalars(p.National.Scalars), Timestamp: national.Timestamp(p.National.Timestamp),
		}
		if !d.Valid() || len(p.KeyID) < national.AppIDMin {
			return k, fmt.Errorf("national: scalars are keep, strings or first_level, timestamp is yyyyMMddHHmmss, unix or "+
				"unix_ms, and the key_id, which is the appId, has at least %d characters", national.AppIDMin)
		}
		k.National = &ledger.Dialect{Scalars: p.National.Scalars, Timestamp: p.National.Timestamp}
	}
	_, err = n.platforms.platform(&k)
	return k, err
}

// adminRevoke ends a key.
func (n *Node) adminRevoke(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Reason string `json:"reason"`
	}
	if !n.readAdmin(w, r, &body) {
		return
	}
	if body.Reason == "" || len(body.Reason) > reasonMax {
		n.malformed(w, r, http.StatusUnprocessableEntity, fmt.Sprintf("reason: 1 to %d bytes.", reasonMax),
			fmt.Sprintf("须填写 1 至 %d 字节的理由。", reasonMax))
		return
	}
	id := r.PathValue("key")
	n.proposePlatform(w, r, "platform_revoked", id, &ledger.RevokePlatform{KeyID: id, Reason: body.Reason})
}

// proposePlatform proposes a change in the operator's name, and answers with what came of it.
func (n *Node) proposePlatform(w http.ResponseWriter, r *http.Request, event, id string, c ledger.Command) {
	o, err := n.propose(r.Context(), event, shortened(id), c)
	if o.Code == policy.CodeConflict {
		o.Detail = "A key of that id is registered for another platform, region or public key; take another id."
		o.DetailZH = "该密钥编号已用于其他平台、统筹区或公钥，请使用其他编号。"
	}
	if o.Code == policy.CodeWrongState {
		o.Detail = "The key was revoked and does not come back; register a new one."
		o.DetailZH = "该密钥已吊销，不可恢复，请登记新密钥。"
	}
	if n.answerOutcome(w, r, o, err) {
		n.writeJSON(w, r, client.PlatformChange{KeyID: o.ID, Unchanged: o.Replay})
	}
}

func shortened(id string) string { return strings.ToValidUTF8(id[:min(len(id), reasonMax)], "") }
