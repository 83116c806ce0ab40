package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/national"
	"gongji/gateway/internal/policy"
)

// The operators' part of platforms: keys are registered, listed and revoked. Revoking needs no second person: it only
// takes away, and must not wait.

const (
	platformBodyMax = 16 << 10
	platformTimeout = 30 * time.Second
	reasonMax       = 200
)

func (n *Node) platformRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/platforms", needs: dutyObserve, handler: n.adminPlatforms},
		{pattern: "POST /admin/v1/platforms", needs: dutySecure, handler: n.adminRegister},
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
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
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
func readAdmin(w http.ResponseWriter, r *http.Request, to any) bool {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "the body must be application/json", http.StatusUnsupportedMediaType)
		return false
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, platformBodyMax))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil || d.More() {
		http.Error(w, "the body is not what this call takes: see docs/operations.md", http.StatusBadRequest)
		return false
	}
	return true
}

// adminRegister takes a new key, or new terms for a known one.
func (n *Node) adminRegister(w http.ResponseWriter, r *http.Request) {
	var p client.PlatformKey
	if !readAdmin(w, r, &p) {
		return
	}
	k, err := n.registration(p)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	n.proposePlatform(w, r, "platform_registered", k.ID, &ledger.RegisterPlatform{Platform: k})
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
	if !readAdmin(w, r, &body) {
		return
	}
	if body.Reason == "" || len(body.Reason) > reasonMax {
		http.Error(w, fmt.Sprintf("reason: 1 to %d bytes", reasonMax), http.StatusUnprocessableEntity)
		return
	}
	id := r.PathValue("key")
	n.proposePlatform(w, r, "platform_revoked", id, &ledger.RevokePlatform{KeyID: id, Reason: body.Reason})
}

// proposePlatform proposes a change, audits it, and answers with what came of it.
func (n *Node) proposePlatform(w http.ResponseWriter, r *http.Request, event, id string, c ledger.Command) {
	ctx, cancel := context.WithTimeout(r.Context(), platformTimeout)
	defer cancel()
	data, err := n.log.Propose(ctx, ledger.EncodeCommand(c))
	var o ledger.Outcome
	if err == nil {
		o, err = ledger.DecodeOutcome(data)
	}
	n.audited(r.Context(), event, slog.String("key", shortened(id)), slog.String("code", string(o.Code)),
		slog.Bool("done", err == nil && o.Code == ""))
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	case o.Code != "":
		http.Error(w, string(o.Code)+": "+platformRefusal(o.Code), o.Code.Status())
	default:
		n.writeJSON(w, r, client.PlatformChange{KeyID: o.ID, Unchanged: o.Replay})
	}
}

// platformRefusal says what to do.
func platformRefusal(code policy.Code) string {
	if code == policy.CodeConflict {
		return "a key of that id is registered for another platform, region or public key; take another id / " +
			"该密钥编号已用于其他平台、统筹区或公钥"
	}
	if code == policy.CodeWrongState {
		return "the key was revoked and does not come back; register a new one / 该密钥已吊销，不可恢复"
	}
	return code.Message() + " / " + code.MessageZH()
}

func shortened(id string) string { return strings.ToValidUTF8(id[:min(len(id), reasonMax)], "") }
