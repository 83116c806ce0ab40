package evidence

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// What a platform signed. The bundle has the key as the region registered it, and the region signs the bundle: so the
// region vouches for whose key it is, and the platform's signature for the rest. Somebody who has the key from the
// platform itself, or from the contract with it, gives it to the Verifier and need not believe the region.

// requestsMax bounds the requests of one bundle.
const requestsMax = 1 << 12

// requestWindow is what the time of a request may be off from the time at which the region's log did it (api.md 1).
const requestWindow = 300 * time.Second

// Request is one request of a platform, as it signed it (api.md section 1), and the key as the region had registered
// it.
type Request struct {
	Subject    string    `json:"subject"`
	At         time.Time `json:"at"` // when the region's log did it
	Platform   string    `json:"platform"`
	KeyID      string    `json:"key_id"`
	Public     []byte    `json:"public"`
	Registered time.Time `json:"registered"`
	Method     string    `json:"method"`
	Target     string    `json:"target"` // path?query
	Time       string    `json:"time"`
	Nonce      string    `json:"nonce"`
	Body       string    `json:"body"` // lower-case hex SM3
	Signature  []byte    `json:"signature"`
}

func requestOf(a *ledger.AskedRecord) Request {
	r := &a.Request
	return Request{
		a.Subject, a.At, a.Platform, a.Key, a.Public, a.Registered, r.Method, r.Target, r.Time, r.Nonce,
		hex.EncodeToString(r.Body[:]), r.Signature,
	}
}

// recorded is the record of the state that requestOf was made of.
func (r *Request) recorded() *ledger.AskedRecord {
	a := &ledger.AskedRecord{
		At: r.At, Subject: r.Subject, Platform: r.Platform, Key: r.KeyID, Public: r.Public, Registered: r.Registered,
		Request: ledger.SignedRequest{
			Method: r.Method, Target: r.Target, Time: r.Time, Nonce: r.Nonce, Signature: r.Signature,
		},
	}
	if body, err := hex.DecodeString(r.Body); err == nil {
		copy(a.Request.Body[:], body)
	}
	return a
}

// message is what the platform signed.
func (r *Request) message() []byte {
	return []byte(r.Method + "\n" + r.Target + "\n" + r.Time + "\n" + r.Nonce + "\n" + r.Body + "\n")
}

// check holds a request against its platform's signature: its own form, the times, that it is about its subject, and
// the signature under the key that it names. Errors are texts without the package's.
func (r *Request) check(s federation.Sealer) error {
	said, err := time.Parse(time.RFC3339, r.Time)
	body, wrong := hex.DecodeString(r.Body)
	switch {
	case err != nil || wrong != nil || len(body) != federation.HashSize || r.Body != strings.ToLower(r.Body):
		return fmt.Errorf("%w: a request of platform %s is not in its form", ErrBundle, r.Platform)
	case r.At.Sub(said).Abs() > requestWindow:
		return fmt.Errorf("%w: the request of platform %s was signed at %s and done at %s", ErrBundle, r.Platform, r.Time,
			r.At.Format(time.RFC3339))
	case r.Registered.After(r.At):
		return fmt.Errorf("%w: key %s of platform %s was registered after its request", ErrBundle, r.KeyID, r.Platform)
	case r.named() != "" && r.named() != r.Subject:
		return fmt.Errorf("%w: the request of platform %s is about %s", ErrBundle, r.Platform, r.named())
	case s.Verify(r.Public, r.message(), r.Signature) != nil:
		return fmt.Errorf("%w: the request of platform %s was not signed with its key %s", ErrBundle, r.Platform, r.KeyID)
	}
	return nil
}

// named is the payment or grant that the request's path names; empty where the region gave the id only afterwards, and
// for mandates, which have ids of their own.
func (r *Request) named() string {
	path, _, _ := strings.Cut(r.Target, "?")
	parts := strings.Split(path, "/")
	if len(parts) < 4 || parts[1] != "v1" || len(parts) > 4 && parts[4] == "mandates" {
		return ""
	}
	return parts[3]
}

// request checks one request of the bundle and says it in words.
func (x *verifying) request(r *Request) error {
	if r.Subject != x.b.Subject {
		return fmt.Errorf("%w: a request about something else than %s", ErrBundle, x.b.Subject)
	}
	if err := r.check(x.Sealer); err != nil {
		return err
	}
	pinned, known := x.Platforms[r.KeyID]
	if known && string(pinned) != string(r.Public) {
		return fmt.Errorf("%w: key %s of platform %s is another one than was given as the platform's", ErrBundle, r.KeyID,
			r.Platform)
	}
	x.out.Requests++
	shown := false
	for _, body := range x.Bodies {
		sum := x.Sealer.Hash(body)
		shown = shown || hex.EncodeToString(sum[:]) == r.Body
	}
	if shown {
		x.out.Bodies++
	}
	x.out.Lines = append(x.out.Lines, askedLine(x.b.Region, r, known, shown))
	return nil
}
