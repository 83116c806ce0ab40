package api

import (
	"bytes"
	"context"
	"crypto/cipher"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"gongji/consensus"
	"gongji/gateway/internal/national"
	"gongji/gateway/internal/policy"
)

// The national mobile-payment convention as another form of the same calls: POST /national/v1/{operation} with an
// envelope whose data is the ordinary body. What the ordinary call has in its path or query (grant_id, payment_id,
// refund_id, mandate_id, wait, a DELETE's request_id) stands in the data, where it is signed; the operation stands in
// the envelope too, since the address is not signed. The answer comes in an envelope signed by the region.
const (
	nationalPath    = "/national/v1/"
	nationalPattern = http.MethodPost + " " + nationalPath + "{operation}"
	// nationalBodyMax is an ordinary body in hex, with its envelope.
	nationalBodyMax = 2*BodyMax + 4<<10
	// nonceNational keeps these nonces apart from those of the header.
	nonceNational = "national\x00"
)

// National is what a key that speaks the national convention needs beside its public key.
type National struct {
	Dialect national.Dialect
	Secret  func() (string, bool) // the app's secret; false while none is deposited
}

// NationalKeys are what the region itself speaks the convention with.
type NationalKeys struct {
	Block func(key []byte) (cipher.Block, error) // SM4
	Sign  func(message []byte) ([]byte, error)   // DER, of the region's key
}

func isNational(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, nationalPath) }

// bodyMaxOf bounds the body of a request by its form, in bytes.
func bodyMaxOf(r *http.Request) int {
	if isNational(r) {
		return nationalBodyMax
	}
	return BodyMax
}

// asked finds the operation of a request that has matched a pattern.
func (f *Face) asked(r *http.Request, pattern string) (*operation, bool) {
	if pattern != nationalPattern {
		op, ok := f.byPattern[pattern]
		return op, ok
	}
	op, ok := f.byID[strings.TrimPrefix(r.URL.Path, nationalPath)]
	return op, ok && f.nationalKeys != nil
}

// nationalCall opens an envelope, finds out who is speaking, and does what is asked.
func (f *Face) nationalCall(ctx context.Context, op *operation, r *http.Request, body []byte) answer {
	wrong := func(reason, key string) answer {
		refused := &refusedClaim{policy.CodeUnauthenticated, reason, key}
		f.auditClaim(op, refused)
		return f.refuseFor(ctx, op, refused.answer())
	}
	envelope, err := national.Read(body)
	if err != nil {
		return f.refuseFor(ctx, op, malformed("", "This is no envelope of the national convention.", "报文不符合规范。"))
	}
	key := f.auth.keys(envelope.AppID)
	if key == nil || key.National == nil {
		return wrong("unknown_key", "")
	}
	secret, deposited := key.National.Secret()
	if !deposited {
		return wrong("no_secret", key.KeyID)
	}
	if envelope.Operation != op.ID {
		return wrong("operation", key.KeyID)
	}
	opened, err := envelope.Open(f.nationalKeys.Block, secret, key.National.Dialect)
	if err != nil {
		return wrong("form", key.KeyID) // one answer for wrong padding and wrong signature
	}
	nonce := append([]byte(nonceNational), opened.Raw...)
	caller, refused := f.auth.judge(claim{
		key: key, at: opened.At, nonce: nonce, message: opened.Message, sig: opened.Signature,
	}, peerOf(r), op.Operation)
	if refused != nil {
		f.auditClaim(op, refused)
		return f.refuseFor(ctx, op, refused.answer())
	}
	var a answer
	if c, e := ordinary(ctx, op, opened.Data); e != nil {
		a = f.refuseFor(ctx, op, e)
	} else {
		c.caller = caller
		a = f.answerCall(ctx, op, c)
	}
	return f.wrapped(ctx, op, a, wrapping{envelope, key, secret, opened.Raw})
}

// inPath are the members of data that an ordinary call has in its path or query.
func inPath() []string { return []string{"grant_id", "payment_id", "refund_id"} }

// inQuery reports whether an ordinary call has a member of data in its query.
func inQuery(op *operation, name string) bool {
	return name == "wait" || op.Method == http.MethodDelete && (name == "mandate_id" || name == "request_id")
}

// ordinary makes the ordinary call of opened data.
func ordinary(ctx context.Context, op *operation, data national.Object) (*call, *Error) {
	path, query := op.Path, url.Values{}
	left := national.Object{}
	for k, v := range data {
		text, ok := v.(string)
		switch {
		case slices.Contains(inPath(), k) && strings.Contains(op.Path, "{"+k+"}"):
			if !ok || !validID(text) {
				return nil, &Error{Code: policy.CodeNotFound}
			}
			path = strings.Replace(path, "{"+k+"}", text, 1)
		case inQuery(op, k):
			if n, number := v.(json.Number); number {
				text, ok = n.String(), true
			}
			if !ok {
				return nil, malformed("/"+k, "The value has another type.", "字段类型错误。")
			}
			query.Set(k, text)
		default:
			left[k] = v
		}
	}
	if strings.Contains(path, "{") {
		return nil, malformed("", "The id of what is asked for is missing.", "缺少业务编号。")
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	var body []byte
	if len(left) > 0 || op.Method != http.MethodGet && op.Method != http.MethodDelete {
		body = left.JSON()
	}
	r, err := http.NewRequestWithContext(ctx, op.Method, path, http.NoBody)
	if err != nil {
		return nil, &Error{Code: policy.CodeNotFound}
	}
	return &call{r: r, body: body}, nil
}

// wrapping is what an answer goes back in.
type wrapping struct {
	in     national.Envelope
	key    *Platform
	secret string
	asked  []byte // the request's R ‖ S: the answer names it, so that it cannot stand for another's
}

// wrapped puts an answer into an envelope. The HTTP status stays the ordinary one.
func (f *Face) wrapped(ctx context.Context, op *operation, a answer, w wrapping) answer {
	data, err := national.ParseObject(a.body)
	if err != nil {
		return f.refuseFor(ctx, op, refusal(err, op.Write))
	}
	code, message, success := "0", "成功", "true"
	if a.code != "" {
		code, success = string(a.code), "false"
		message, _ = data["title_zh"].(string)
	}
	sum := f.hash.Sum(w.asked)
	dialect := w.key.National.Dialect
	body, err := national.Seal(national.Object{
		"appId": w.in.AppID, "version": w.in.Version, "timestamp": dialect.Timestamp.Format(f.clock()), "code": code,
		"message": message, "success": success, "operation": op.ID, "requestDigest": hex.EncodeToString(sum[:]),
	}, data, w.secret, dialect, f.nationalKeys.Block, f.nationalKeys.Sign)
	if err == nil && len(body) > consensus.AskMax-1<<10 {
		err = errors.Join(errWrapped, consensus.ErrTooLarge)
	}
	if err != nil {
		return f.refuseFor(ctx, op, refusal(err, op.Write))
	}
	a.body, a.kind = append(bytes.TrimSpace(body), '\n'), documentType
	return a
}

// errWrapped: the answer is too long for an envelope; a search asks for fewer with limit.
var errWrapped = errors.New("api: the answer does not fit into an envelope")
