package regiontest

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"gongji/crypto"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
)

// Platform is a platform with a signing key, registered at a region.
type Platform struct {
	Name, KeyID string
	Key         crypto.Private

	r *Region
	n int
}

// Platform registers a platform at the region.
func (r *Region) Platform(ctx context.Context, name string) (*Platform, error) {
	key, err := r.Sealer.suite.Generate()
	if err != nil {
		return nil, err
	}
	p := &Platform{Name: name, KeyID: "key-" + name, Key: key, r: r}
	_, err = r.Put(ctx, &ledger.RegisterPlatform{Platform: ledger.PlatformKey{
		ID: p.KeyID, Platform: name, Region: string(r.Code), Public: key.Public(), Roles: []string{"all"},
	}})
	return p, err
}

// NewKey makes a signing key that nobody has registered.
func (f *Federation) NewKey() (crypto.Private, error) { return f.Root.suite.Generate() }

// Request is a request of the platform as the face hands it on: signed, with its own id and nonce.
func (p *Platform) Request(method, target string, body []byte) (api.RequestKey, error) {
	p.n++
	at := p.r.clock().UTC().Truncate(time.Second)
	s := &api.SignedRequest{
		Method: method, Target: target, Time: client.FormatTime(at), Nonce: fmt.Sprintf("nonce-%s-%08d", p.Name, p.n),
		Body: p.r.Sealer.suite.Sum(body),
	}
	k := api.RequestKey{Platform: p.Name, ID: fmt.Sprintf("%s-%d", p.Name, p.n), Digest: s.Body}
	var err error
	s.Signature, err = p.Key.Sign([]byte(s.Method + "\n" + s.Target + "\n" + s.Time + "\n" + s.Nonce + "\n" +
		hex.EncodeToString(s.Body[:]) + "\n"))
	k.Signed = &api.Signature{KeyID: p.KeyID, At: at, Attempt: uint64(p.n), Request: s} //nolint:gosec // counts from 1
	copy(k.Signed.Nonce[:], s.Nonce[len(s.Nonce)-16:])
	return k, err
}
