package bulletin_test

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/adapters"
	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/bulletin"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/simtest/regiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
	fuzhou   = regiontest.Fuzhou
)

// world is a federation in virtual time in which every region watches one board and a file of its own.
type world struct {
	*regiontest.Federation

	t          *testing.T
	bj, sh, fz *regiontest.Region
	files      map[federation.Region]*atomic.Pointer[[]byte]
	boards     map[federation.Region]*board
	watches    map[federation.Region]*bulletin.Watch
	visits     int
}

// board is the federation's, as one region reaches it.
type board struct {
	federation.Board

	cut atomic.Bool
}

// Posted fails after a while as long as the region is cut off.
func (b *board) Posted(ctx context.Context, offset int64) ([]federation.Record, int64, error) {
	if b.cut.Load() {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
		return nil, 0, federation.ErrBus
	}
	records, next, err := b.Board.Posted(ctx, offset)
	if b.cut.Load() { // while it waited
		return nil, 0, federation.ErrBus
	}
	return records, next, err
}

func with(t *testing.T, change func(d *federation.DirectoryData), act func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{Directory: change})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		w := &world{
			Federation: f, t: t, bj: f.Regions[beijing], sh: f.Regions[shanghai], fz: f.Regions[fuzhou],
			files: map[federation.Region]*atomic.Pointer[[]byte]{}, boards: map[federation.Region]*board{},
			watches: map[federation.Region]*bulletin.Watch{},
		}
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for code, r := range f.Regions {
			w.watch(code, r)
		}
		for _, watch := range w.watches {
			wg.Go(func() {
				if err := watch.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		passes(1200 * time.Millisecond) // every leader has joined its peers
		act(t, w)
		cancel()
		wg.Wait()
	})
}

func (w *world) watch(code federation.Region, r *regiontest.Region) {
	w.t.Helper()
	w.files[code], w.boards[code] = &atomic.Pointer[[]byte]{}, &board{Board: w.Bus}
	metrics, err := bulletin.NewMetrics(r.Registry, r.Ledger, time.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	file := w.files[code]
	w.watches[code], err = bulletin.New(bulletin.Deps{
		Log: r.Log, Ledger: r.Ledger, Sealer: r.Sealer, Roots: w.Roots, Board: w.boards[code],
		File: func() ([]byte, error) {
			if p := file.Load(); p != nil {
				return *p, nil
			}
			return r.Ledger.InForce().Directory.Signed(), nil
		},
		Now: time.Now, Logger: r.Logger(), Audit: r.Note, Metrics: metrics,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

// next is the version after a directory, as change leaves it, signed by the root or by others.
func (w *world) next(
	d *federation.Directory, change func(*federation.DirectoryData), by ...federation.SignFunc,
) []byte {
	w.t.Helper()
	data, digest := d.Data(), d.Digest()
	data.Version, data.Previous = data.Version+1, hex.EncodeToString(digest[:])
	data.Issued, data.Expires = time.Now(), time.Now().AddDate(1, 0, 0)
	data.Members = slices.Clone(data.Members)
	for i := range data.Members {
		data.Members[i].Keys = slices.Clone(data.Members[i].Keys)
	}
	if change != nil {
		change(&data)
	}
	if by == nil {
		by = []federation.SignFunc{w.Root.Sign}
	}
	signed, err := federation.SignDirectory(data, by...)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

func (w *world) post(key string, signed []byte) {
	w.t.Helper()
	if err := w.Bus.Post(w.t.Context(), key, signed); err != nil {
		w.t.Fatal(err)
	}
}

func inForce(r *regiontest.Region) *federation.Directory { return r.Ledger.InForce().Directory }

func (w *world) wantVersion(version uint64, regions ...*regiontest.Region) {
	w.t.Helper()
	for _, r := range regions {
		if got := inForce(r).Version(); got != version {
			w.t.Errorf("%s goes by version %d, want %d", r.Code, got, version)
		}
	}
}

// audited are the audit lines of a region that begin with an event and hold some words.
func audited(r *regiontest.Region, event string, words ...string) int {
	n := 0
	for _, line := range r.Audits.List() {
		if strings.HasPrefix(line, event+" ") &&
			!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
			n++
		}
	}
	return n
}

// count is a counter of a region.
func count(t *testing.T, r *regiontest.Region, name string, labels ...string) float64 {
	t.Helper()
	families, err := r.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			has := 0
			for _, l := range m.GetLabel() {
				if slices.Contains(labels, l.GetValue()) {
					has++
				}
			}
			if f.GetName() == name && has == len(labels) {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// family is a payer in Beijing whose grant a resident of Fuzhou uses in Shanghai.
func (w *world) family() regiontest.Person {
	w.t.Helper()
	son := regiontest.Employee("110000", "张三", 1, 100_000)
	mother := regiontest.Resident("350100", "李四", 2)
	if err := w.bj.Open(w.t.Context(), son); err != nil {
		w.t.Fatal(err)
	}
	if err := w.fz.Open(w.t.Context(), mother); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bj.Grant(w.t.Context(), son, mother); err != nil {
		w.t.Fatal(err)
	}
	passes(time.Second)
	return mother
}

// pays asks for a payment in Shanghai; what is refused is told by its error.
func (w *world) pays(who regiontest.Person, amount string) (client.Payment, error) {
	w.visits++
	return w.sh.Pay(w.t.Context(), who, "visit-"+string(rune('a'+w.visits)), amount)
}

func (w *world) held(who regiontest.Person, amount string) client.Payment {
	w.t.Helper()
	p, err := w.pays(who, amount)
	if err != nil || p.Status != "held" || p.Held != amount {
		w.t.Fatalf("%+v, %v", p, err)
	}
	return p
}

func (w *world) confirmed(p client.Payment) {
	w.t.Helper()
	p, _, err := w.sh.Desk.Confirm(w.t.Context(), regiontest.Key("c-"+p.PaymentID), p.PaymentID, nil, 5*time.Second)
	if err != nil || p.Status != "captured" {
		w.t.Errorf("%+v, %v", p, err)
	}
}

// revoke marks every key of a use of a member.
func revoke(d *federation.DirectoryData, member federation.Region, use federation.KeyUse) {
	for i := range d.Members {
		for j := range d.Members[i].Keys {
			if k := &d.Members[i].Keys[j]; d.Members[i].Code == member && k.Use == use {
				k.Revoked = true
			}
		}
	}
}

// rotate gives a member's own ring a new signing key and lists it beside the old one.
func (w *world) rotate(d *federation.DirectoryData, r *regiontest.Region) {
	w.t.Helper()
	id, err := r.Ring.Generate(crypto.UseSign)
	if err != nil {
		w.t.Fatal(err)
	}
	public, err := r.Ring.Public(id)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range d.Members {
		if d.Members[i].Code == r.Code {
			d.Members[i].Keys = append(d.Members[i].Keys, federation.Key{
				ID: id, Use: federation.UseSign, Public: public, NotBefore: time.Now().AddDate(0, 0, -1), NotAfter: d.Expires,
			})
		}
	}
}

func (w *world) refunded(p client.Payment) {
	w.t.Helper()
	f := client.RefundRequest{Amount: p.Amount, Reason: "test"}
	amount, err := money.Parse(p.Amount)
	if err != nil {
		w.t.Fatal(err)
	}
	made, _, err := w.sh.Desk.CreateRefund(w.t.Context(), regiontest.Key("r-"+p.PaymentID), p.PaymentID, f, amount)
	if err != nil {
		w.t.Fatal(err)
	}
	passes(2 * time.Second)
	if made, err = w.sh.Desk.Refund(w.t.Context(), made.RefundID); err != nil || made.Status != "done" {
		w.t.Errorf("%+v, %v", made, err)
	}
}

// wantMoney wants what all accounts of Beijing have together, and what is held of it.
func (w *world) wantMoney(balance, held string) {
	w.t.Helper()
	var has, holds money.Amount
	err := w.bj.View(func(v ledger.View) error {
		return v.Accounts(func(_ string, a adapters.Account, _ money.Amount) error {
			has, holds = has+money.Amount(a.Balance), holds+money.Amount(a.Held)
			return nil
		})
	})
	if err != nil || has.String() != balance || holds.String() != held {
		w.t.Errorf("%s and %s held, want %s and %s: %v", has, holds, balance, held, err)
	}
}
