package node

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"gongji/crypto"
	"gongji/gateway/config"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/national"
)

// platforms makes api.Platforms of what is in force in the region's state.
type platforms struct {
	ledger  *ledger.Ledger
	suite   crypto.Suite
	secrets *reloaded[map[string]string] // nil: the national convention is not spoken

	mu   sync.Mutex
	made map[*ledger.PlatformKey]*api.Platform // of records in force; nil: it cannot be used
}

func newPlatforms(l *ledger.Ledger, suite crypto.Suite) *platforms {
	return &platforms{ledger: l, suite: suite, made: map[*ledger.PlatformKey]*api.Platform{}}
}

// key is what is in force of a key, nil for an unknown one.
func (p *platforms) key(id string) *api.Platform {
	known := p.ledger.InForce().Platforms
	record := known[id]
	if record == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if made, ok := p.made[record]; ok {
		return made
	}
	if len(p.made) > 2*len(known) { // most stand for records that were replaced
		clear(p.made)
	}
	made, err := p.platform(record)
	if err != nil {
		made = nil
	}
	p.made[record] = made
	return made
}

// platform is a record of the state as the face has it.
func (p *platforms) platform(k *ledger.PlatformKey) (*api.Platform, error) {
	v, err := p.suite.Verifier(crypto.Public(k.Public))
	if err != nil {
		return nil, fmt.Errorf("node: platform key %s: %w", k.ID, err)
	}
	out := &api.Platform{
		KeyID: k.ID, Platform: k.Platform, Region: k.Region, RatePerSecond: k.Rate, From: k.From, Until: k.Until,
		Revoked: !k.Revoked.IsZero(), CertDigest: k.CertDigest, CertSubject: k.CertSubject, Verifier: v,
	}
	for _, r := range k.Roles {
		out.Roles = append(out.Roles, api.Role(r))
	}
	if k.National != nil && p.secrets != nil {
		id := k.ID
		out.National = &api.National{
			Dialect: national.Dialect{
				Scalars: national.Scalars(k.National.Scalars), Timestamp: national.Timestamp(k.National.Timestamp),
			},
			Secret: func() (string, bool) {
				secret, ok := p.secrets.get()[id]
				return secret, ok
			},
		}
	}
	return out, out.Check()
}

// attempt is a random number.
func (n *Node) attempt() uint64 {
	var b [8]byte
	n.deps.Random(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// nationalKeys is what this region speaks the national convention with; nil if it does not.
func (n *Node) nationalKeys() (*api.NationalKeys, error) {
	if n.cfg.National.SecretsFile == "" {
		return nil, nil //nolint:nilnil // not spoken
	}
	blocks, ok := n.sealer.suite.(crypto.Blocks)
	if !ok {
		return nil, fmt.Errorf("node: engine %s has no bare SM4 for the national convention", n.sealer.suite.Name())
	}
	var err error
	n.platforms.secrets, err = newReloaded(n.deps.Clock, n.deps.Logger, func() (map[string]string, error) {
		return readSecrets(n.cfg.National.SecretsFile)
	}, n.cfg.National.SecretsFile)
	if err != nil {
		return nil, err
	}
	return &api.NationalKeys{Block: blocks.Block, Sign: func(message []byte) ([]byte, error) {
		id, err := n.sealer.ring.Current(crypto.UseSign)
		if err != nil {
			return nil, err
		}
		return n.sealer.ring.Sign(id, message)
	}}, nil
}

// Bounds of the file of secrets, in bytes.
const (
	secretsMax    = 1 << 20
	secretMin     = 16
	secretsPerm   = 0o077 // what nobody but the owner may have
	secretsFields = 2
)

// readSecrets reads lines "appId secret"; what stands behind # at the beginning of a line is a comment.
func readSecrets(path string) (map[string]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&secretsPerm != 0 || info.Size() > secretsMax {
		return nil, fmt.Errorf("node: %s must be readable by its owner alone (chmod 600), and have at most %d bytes", path,
			secretsMax)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != secretsFields || len(fields[1]) < secretMin || out[fields[0]] != "" {
			return nil, fmt.Errorf("node: %s, line %d: must be an appId, once, and a secret of at least %d characters", path,
				i+1, secretMin) // never the line
		}
		out[fields[0]] = fields[1]
	}
	return out, nil
}

// bringPlatforms registers the keys of the configuration that the state does not know yet, and revokes there what is
// revoked here. What the state knows of a key is otherwise never changed by the file: it may be old.
func (n *Node) bringPlatforms(ctx context.Context) error {
	known := n.ledger.InForce().Platforms
	var failed error
	for _, p := range n.cfg.Platforms {
		old := known[p.KeyID]
		if old == nil {
			record, err := n.platformOf(p)
			if err == nil {
				err = n.put(ctx, &ledger.RegisterPlatform{Platform: record})
			}
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
		}
		if p.Revoked && (old == nil || old.Revoked.IsZero()) {
			failed = errors.Join(failed, n.put(ctx, &ledger.RevokePlatform{KeyID: p.KeyID, Reason: "configuration"}))
		}
	}
	return failed
}

// platformOf is a key of the configuration as the state has it.
func (n *Node) platformOf(p config.Platform) (ledger.PlatformKey, error) {
	public, err := base64.StdEncoding.DecodeString(p.Public)
	if err != nil {
		return ledger.PlatformKey{}, fmt.Errorf("node: platform key %s: %w", p.KeyID, err)
	}
	k := ledger.PlatformKey{
		ID: p.KeyID, Platform: p.Platform, Region: cmp.Or(p.Region, n.cfg.Region), Public: public, Roles: p.Granted(),
		Rate: p.RatePerSecond, CertDigest: p.CertDigest, CertSubject: p.CertSubject,
	}
	_, err = n.platforms.platform(&k)
	return k, err
}

// platformsMissing reports whether a key of the configuration is not yet in the state.
func (n *Node) platformsMissing() bool {
	known := n.ledger.InForce().Platforms
	for _, p := range n.cfg.Platforms {
		if known[p.KeyID] == nil {
			return true
		}
	}
	return false
}

// stampOf reads an optional RFC 3339 time.
func stampOf(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, s)
}
