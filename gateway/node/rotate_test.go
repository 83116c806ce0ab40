package node_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
)

// issuing issues the regions' certificates in a test.
type issuing struct {
	t      testing.TB
	f      *field
	issuer *cert.Issuer
	terms  cert.Terms
}

func (f *field) issuing() *issuing {
	f.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	a := &issuing{t: f.t, f: f, terms: cert.Terms{NotBefore: now.AddDate(-2, 0, 0), NotAfter: now.AddDate(3, 0, 0)}}
	key, err := emm.New().Generate()
	if err != nil {
		f.t.Fatal(err)
	}
	der, err := cert.NewRoot(key, cert.Name{Common: "test root"}, a.terms, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	if a.issuer, err = cert.NewIssuer(der, key); err != nil {
		f.t.Fatal(err)
	}
	return a
}

// certify gives every key of the directory its certificate.
func (a *issuing) certify(data *federation.DirectoryData) {
	a.t.Helper()
	data.Authorities = [][]byte{a.issuer.Certificate().Raw}
	for i := range data.Members {
		m := &data.Members[i]
		m.Keys = slices.Clone(m.Keys)
		for j := range m.Keys {
			a.key(m, &m.Keys[j])
		}
	}
}

func (a *issuing) key(m *federation.Member, k *federation.Key) {
	a.t.Helper()
	ring := a.f.keys.Regions[m.Code].Ring
	id := k.ID
	if k.Use == federation.UseSeal {
		id = m.Keys[slices.IndexFunc(m.Keys, func(k federation.Key) bool { return k.Use == federation.UseSign })].ID
	}
	signer, err := cert.RingSigner(ring, id)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := cert.NewRequest(signer, cert.Name{Common: string(m.Code)}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	request, err := cert.ParseRequest(emm.New(), der)
	if err != nil {
		a.t.Fatal(err)
	}
	if k.Use == federation.UseSign {
		k.Certificate, err = a.issuer.Sign(request, a.terms)
	} else {
		k.Certificate, err = a.issuer.Seal(request, k.Public, a.terms)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// status is what the operators see.
func (p *place) status() (uint64, int) {
	code, body := p.admin(http.MethodGet, "/admin/v1/status")
	var s struct {
		Directory struct {
			Version uint64 `json:"version"`
		} `json:"directory"`
		Expiries []struct {
			DaysLeft int `json:"days_left"`
		} `json:"expiries"`
	}
	if err := json.Unmarshal(body, &s); code != http.StatusOK || err != nil {
		p.f.t.Fatalf("status: %d %s", code, body)
	}
	return s.Directory.Version, len(s.Expiries)
}

// next publishes the next version of the directory, and waits until every place has it.
func (f *field) next(change func(*federation.DirectoryData), places ...*place) {
	f.t.Helper()
	digest := f.keys.Directory.Digest()
	f.keys.Data.Version, f.keys.Data.Previous = f.keys.Data.Version+1, hex.EncodeToString(digest[:])
	change(&f.keys.Data)
	f.directory(places[0], func(*federation.DirectoryData) {}, f.keys.Root.Sign)
	signed, err := federation.SignDirectory(f.keys.Data, f.keys.Root.Sign)
	if err == nil {
		f.keys.Directory, err = federation.ReadDirectory(f.keys.Root, f.keys.Roots, signed, nil)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	until(f.t, fmt.Sprintf("version %d is everywhere", f.keys.Data.Version), func() bool {
		return !slices.ContainsFunc(places, func(p *place) bool {
			version, _ := p.status()
			return version != f.keys.Data.Version
		})
	})
}

// paying makes payments one after the other until stop, each of which must be held and captured at once.
type paying struct {
	done atomic.Int64
	stop func() // waits
}

func pay(t testing.TB, sh *client.Client, bill func(visit string) client.PaymentRequest) *paying {
	t.Helper()
	p := &paying{}
	stopping := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stopping:
				return
			default:
			}
			b := bill(fmt.Sprint("rotation-", i))
			b.Amount = "1.00"
			held, err := sh.CreatePayment(t.Context(), b)
			if err == nil && held.Status == client.PaymentHeld {
				done := client.Confirmation{RequestID: client.NewRequestID()}
				held, err = sh.Confirm(t.Context(), held.PaymentID, done, 30*time.Second)
			}
			if err != nil || held.Status != client.PaymentCaptured {
				t.Errorf("payment %d: %+v, %v", i, held, err)
				return
			}
			p.done.Add(1)
		}
	})
	p.stop = sync.OnceFunc(func() {
		close(stopping)
		work.Wait()
	})
	t.Cleanup(p.stop)
	return p
}

// more waits for so many payments more.
func (p *paying) more(t testing.TB, n int64) {
	t.Helper()
	from := p.done.Load()
	until(t, fmt.Sprintf("%d more payments are made", n), func() bool { return t.Failed() || p.done.Load() >= from+n })
}

// TestRotation: both regions replace both of their keys while payments go on all the time: a new key is
// made, published with its certificate beside the old one, used from the day that the directory names, and the old one
// revoked after. No payment is refused, and no parcel.
func TestRotation(t *testing.T) {
	t.Parallel()
	const settled = time.Second
	f := newField(t, beijing, shanghai)
	child, payer := insured(beijing, 912, "司徒乙", "0.00"), insured(beijing, 913, "上官丙", "5000.00")
	child.Scheme = "390"
	m := &household{child: person(beijing, child), remote: person(beijing, payer)}
	m.nodes = []*place{f.places(shanghai, 1)[0], f.places(beijing, 1, child, payer)[0]}
	for _, p := range m.nodes {
		p.deps.Settled = settled
		p.deps.Settle.Query = 15 * time.Second // a slow machine is no refusal
	}
	startAll(t, m.nodes...)
	m.sh, m.bj = ask(t, m.nodes[0]), ask(t, m.nodes[1])
	a := f.issuing()
	sh, bj := m.nodes[0], m.nodes[1]
	m.grant(t, m.bj, m.remote)
	p := pay(t, m.sh, m.bill)
	p.more(t, 3)
	f.next(a.certify, sh, bj)
	var old []string
	var from time.Time
	for _, r := range f.keys.Regions {
		for _, use := range []crypto.Use{crypto.UseSign, crypto.UseDecrypt} {
			id, err := r.Ring.Current(use)
			if err == nil {
				old = append(old, id)
				_, err = r.Ring.Generate(use)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	p.more(t, 3) // the newest key of the ring is nobody's yet
	f.next(func(data *federation.DirectoryData) {
		from = time.Now().UTC().Truncate(time.Second).Add(4 * time.Second)
		f.addKeys(data, from)
		a.certify(data)
	}, sh, bj)
	p.more(t, 3)
	until(t, "the new keys are in use", func() bool { return time.Now().After(from.Add(settled)) })
	p.more(t, 3)
	f.next(func(data *federation.DirectoryData) {
		for i := range data.Members {
			for j := range data.Members[i].Keys {
				k := &data.Members[i].Keys[j]
				k.Revoked = slices.Contains(old, k.ID)
			}
		}
	}, sh, bj)
	p.more(t, 5)
	p.stop()
	if _, expiries := sh.status(); expiries != 5 {
		t.Errorf("%d expiries in the status, want four keys and an authority", expiries)
	}
	for _, at := range m.nodes {
		for line := range strings.Lines(string(at.get("/metrics"))) {
			if strings.HasPrefix(line, "gongji_parcels_refused_total{") {
				t.Errorf("%s has refused a parcel: %s", at.cfg.NodeID, line)
			}
		}
	}
}

// addKeys lists the newest keys of every ring beside those that are there.
func (f *field) addKeys(data *federation.DirectoryData, from time.Time) {
	f.t.Helper()
	for i := range data.Members {
		m := &data.Members[i]
		for _, use := range []struct {
			ring crypto.Use
			as   federation.KeyUse
		}{{crypto.UseSign, federation.UseSign}, {crypto.UseDecrypt, federation.UseSeal}} {
			ring := f.keys.Regions[m.Code].Ring
			id, err := ring.Current(use.ring)
			if err != nil {
				f.t.Fatal(err)
			}
			public, err := ring.Public(id)
			if err != nil {
				f.t.Fatal(err)
			}
			m.Keys = append(slices.Clip(m.Keys), federation.Key{
				ID: id, Use: use.as, Public: public, NotBefore: from, NotAfter: from.AddDate(1, 0, 0),
			})
		}
	}
}

// TestCertificatesRequired: as it is configured out of the box a node takes no directory without certificates,
// not even its first one, says why, and takes the next one that has them.
func TestCertificatesRequired(t *testing.T) {
	t.Parallel()
	f := newField(t, beijing, shanghai)
	p := f.places(shanghai, 1)[0]
	p.cfg.Directory.RequireCertificates = config.Default().Directory.RequireCertificates
	p.start()
	until(t, "it is refused", func() bool { return bytes.Contains(f.log.bytes(), []byte("certificates_required")) })
	if version, _ := p.status(); version != 0 {
		t.Errorf("version %d is in force", version)
	}
	if code := p.operator("/admin/v1/directory", string(f.keys.Directory.Signed())); code != http.StatusBadRequest {
		t.Errorf("brought in by hand: %d", code)
	}
	a := f.issuing()
	f.next(a.certify, p)
}

// TestCertificatesJudged: a node refuses a directory that the root has signed and whose certificates are wrong,
// or gone, and audits why.
func TestCertificatesJudged(t *testing.T) {
	t.Parallel()
	f := newField(t, beijing, shanghai)
	p := f.places(shanghai, 1)[0]
	startAll(t, p)
	a := f.issuing()
	f.next(a.certify, p)
	genuine := f.keys.Data
	for reason, spoil := range map[string]func(d *federation.DirectoryData){
		"certificates_dropped": func(d *federation.DirectoryData) { d.Authorities = nil },
		"missing":              func(d *federation.DirectoryData) { d.Members[0].Keys[0].Certificate = nil },
		"issuer_unknown": func(d *federation.DirectoryData) {
			d.Authorities = [][]byte{f.issuing().issuer.Certificate().Raw}
		},
	} {
		digest := f.keys.Directory.Digest()
		f.directory(p, func(d *federation.DirectoryData) {
			d.Version, d.Previous = 3, hex.EncodeToString(digest[:])
			d.Members = slices.Clone(genuine.Members)
			for i := range d.Members {
				d.Members[i].Keys = slices.Clone(genuine.Members[i].Keys)
				if reason == "certificates_dropped" {
					for j := range d.Members[i].Keys {
						d.Members[i].Keys[j].Certificate = nil
					}
				}
			}
			spoil(d)
		}, f.keys.Root.Sign)
		until(t, "a directory is refused for "+reason, func() bool { return bytes.Contains(f.log.bytes(), []byte(reason)) })
		if version, _ := p.status(); version != 2 {
			t.Errorf("%s: version %d is in force", reason, version)
		}
	}
}
