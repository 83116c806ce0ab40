package scenario_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/federation/kafkabus"
	"gongji/federation/root"
	"gongji/testnet/topology"
)

// office is the federation's office of a testnet: it signs later versions of the directory with the testnet's root,
// puts them on the topic, and has an authority of its own for new keys.
type office struct {
	layout topology.Layout
	sign   federation.SignFunc
	bus    *kafkabus.Bus
	live   *federation.Directory
	issuer *cert.Issuer
	terms  cert.Terms
}

// newOffice opens the office of a testnet's folder, which need not run yet.
func newOffice(t *testing.T, dir string, brokers ...string) *office {
	t.Helper()
	o := &office{layout: topology.Layout{Dir: dir}}
	ring, err := topology.RootRing(o.layout)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ring.Current(crypto.UseSign)
	if err != nil {
		t.Fatal(err)
	}
	o.sign = func(message []byte) (string, []byte, error) {
		signature, failed := ring.Sign(id, message)
		return id, signature, failed
	}
	if o.bus, err = kafkabus.New(kafkabus.Options{Brokers: brokers, CreateTopics: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(o.bus.Close(), ring.Close()) })
	signed, err := os.ReadFile(o.layout.Directory())
	if err == nil {
		o.live, err = federation.LoadDirectory(hash, signed)
	}
	if err == nil {
		err = o.authority()
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func hash(parts ...[]byte) [federation.HashSize]byte { return emm.New().Sum(parts...) }

// authority makes the authority for new keys.
func (o *office) authority() error {
	now := time.Now().UTC().Truncate(time.Second)
	o.terms = cert.Terms{NotBefore: now.AddDate(0, 0, -2), NotAfter: now.AddDate(1, 0, 0)}
	key, err := emm.New().Generate()
	if err != nil {
		return err
	}
	der, err := cert.NewRoot(key, cert.Name{Common: "scenario authority"}, o.terms, 0)
	if err != nil {
		return err
	}
	o.issuer, err = cert.NewIssuer(der, key)
	return err
}

// spares makes new keys of a use in a region's ring, each with its certificate, as a next directory may list them.
// Nobody uses them before.
func (o *office) spares(t *testing.T, code string, use federation.KeyUse, n int) []federation.Key {
	t.Helper()
	kek, err := keyfile.ReadKEK(filepath.Join(o.layout.Region(code), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keyfile.Open(filepath.Join(o.layout.Region(code), "keys"), kek, emm.New())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ring.Close() }()
	var out []federation.Key
	for range n {
		k, err := o.spare(ring, code, use)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, k)
	}
	return out
}

func (o *office) spare(ring *keyfile.Ring, code string, use federation.KeyUse) (federation.Key, error) {
	k := federation.Key{Use: use, NotBefore: o.terms.NotBefore, NotAfter: o.terms.NotAfter}
	made := crypto.UseSign
	if use == federation.UseSeal {
		made = crypto.UseDecrypt
	}
	var err error
	if k.ID, err = ring.Generate(made); err != nil {
		return k, err
	}
	public, err := ring.Public(k.ID)
	if err != nil {
		return k, err
	}
	k.Public = public
	asks, err := o.asking(ring, code)
	if err != nil {
		return k, err
	}
	if use == federation.UseSeal {
		k.Certificate, err = o.issuer.Seal(asks, public, o.terms)
		return k, err
	}
	k.Certificate, err = o.issuer.Sign(asks, o.terms)
	return k, err
}

// asking is a request of the region's newest signing key.
func (o *office) asking(ring *keyfile.Ring, code string) (*cert.Request, error) {
	id, err := ring.Current(crypto.UseSign)
	if err != nil {
		return nil, err
	}
	signer, err := cert.RingSigner(ring, id)
	if err != nil {
		return nil, err
	}
	der, err := cert.NewRequest(signer, cert.Name{Common: code}, nil)
	if err != nil {
		return nil, err
	}
	return cert.ParseRequest(emm.New(), der)
}

// publish signs the next version and puts it on the topic. It returns its version and when it was begun.
func (o *office) publish(t *testing.T, change func(*federation.DirectoryData) error) (uint64, time.Time) {
	t.Helper()
	data := root.Next(o.live, time.Now(), time.Time{})
	root.Trust(&data, [][]byte{o.issuer.Certificate().Raw}, nil)
	if err := change(&data); err != nil {
		t.Fatal(err)
	}
	signed, err := federation.SignDirectory(data, o.sign)
	if err == nil {
		o.live, err = federation.LoadDirectory(hash, signed)
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := root.Post(t.Context(), o.bus, o.live); err != nil {
		t.Fatal(err)
	}
	return o.live.Version(), began
}

// file writes the newest version into the file that everybody reads, too.
func (o *office) file(t *testing.T) {
	t.Helper()
	path := o.layout.Directory()
	err := os.WriteFile(path+".new", o.live.Signed(), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// member finds a member in a draft.
func memberOf(d *federation.DirectoryData, code string) *federation.Member {
	i := slices.IndexFunc(d.Members, func(m federation.Member) bool { return string(m.Code) == code })
	return &d.Members[i]
}

// replace lists a new key of a region and revokes the one that it signs with, in one version. Keys that were revoked
// before are taken out: a directory has room for sixteen of a member.
func replace(d *federation.DirectoryData, code string, spare federation.Key) (string, error) {
	m, old := memberOf(d, code), ""
	m.Keys = slices.DeleteFunc(m.Keys, func(k federation.Key) bool { return k.Revoked })
	for _, k := range m.Keys {
		if k.Use == federation.UseSign {
			old = k.ID
		}
	}
	if err := root.Rotate(d, m.Code, []federation.Key{spare}, time.Time{}); err != nil {
		return "", err
	}
	return old, root.Revoke(d, m.Code, old)
}

// inForce waits until every node of the regions goes by a version, and returns when the last one did. Each node is
// asked every 20 ms.
func (f *fed) inForce(t *testing.T, version uint64, codes ...string) time.Time {
	t.Helper()
	var group sync.WaitGroup
	var mu sync.Mutex
	var last time.Time
	missing := 0
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	for _, r := range f.session.Regions {
		if len(codes) > 0 && !slices.Contains(codes, r.Code) {
			continue
		}
		for _, n := range r.Nodes {
			group.Go(func() {
				ok := untilCtx(ctx, func(ctx context.Context) bool {
					m, err := metrics(ctx, n)
					return err == nil && m["gongji_directory_version"] >= float64(version)
				})
				mu.Lock()
				defer mu.Unlock()
				if now := time.Now(); now.After(last) {
					last = now
				}
				if !ok {
					missing++
				}
			})
		}
	}
	group.Wait()
	if missing > 0 {
		t.Fatalf("version %d is not in force on %d nodes after %s", version, missing, waitMax)
	}
	return last
}
