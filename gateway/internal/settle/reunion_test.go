package settle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/consensus/consensustest"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/simtest/regiontest"
)

// three are the pilot regions, all of them running. Beijing is the one that will be restored.
type three struct {
	*regiontest.Federation

	t      *testing.T
	father regiontest.Person // pays, at home in Beijing
	aunt   regiontest.Person // pays, at home in Shanghai
	child  regiontest.Person // at home in Fuzhou; Beijing's payer pays
	niece  regiontest.Person // at home in Fuzhou; Shanghai's payer pays
	visits int
}

func together(t *testing.T, act func(t *testing.T, w *three)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{})
		if err != nil {
			t.Fatal(err)
		}
		act(t, settled(t, f))
	})
}

// settled starts the three regions, with people, accounts and a grant in Beijing and in Shanghai.
func settled(t *testing.T, f *regiontest.Federation) *three {
	t.Helper()
	f.Start(t)
	w := &three{
		Federation: f, t: t,
		father: regiontest.Employee(string(beijing), "王建国", 1, 900_000_00),
		aunt:   regiontest.Employee(string(shanghai), "李美华", 2, 900_000_00),
		child:  regiontest.Resident(string(fuzhou), "王小明", 3), niece: regiontest.Resident(string(fuzhou), "李小红", 4),
	}
	passes(joining)
	w.must(f.Regions[beijing].Open(t.Context(), w.father))
	w.must(f.Regions[shanghai].Open(t.Context(), w.aunt))
	w.must(f.Regions[fuzhou].Open(t.Context(), w.child, w.niece))
	passes(time.Second)
	w.grant(beijing, w.father, w.child)
	w.grant(shanghai, w.aunt, w.niece)
	passes(2 * time.Second)
	return w
}

func (w *three) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *three) grant(home federation.Region, payer, beneficiary regiontest.Person) {
	w.t.Helper()
	_, err := w.Regions[home].Grant(w.t.Context(), payer, beneficiary)
	w.must(err)
}

// pays asks for 10.00 at a region; it is held, or declined with a reason.
func (w *three) pays(at federation.Region, who regiontest.Person) client.Payment {
	w.t.Helper()
	w.visits++
	p, err := w.Regions[at].Pay(w.t.Context(), who, fmt.Sprint("visit-", w.visits), "10.00")
	w.must(err)
	return p
}

func (w *three) held(at federation.Region, who regiontest.Person) string {
	w.t.Helper()
	p := w.pays(at, who)
	if p.Status != "held" || len(p.Legs) != 1 {
		w.t.Fatalf("%+v", p)
	}
	return p.PaymentID
}

func (w *three) confirm(at federation.Region, payment string) client.Payment {
	w.t.Helper()
	p, _, err := w.Regions[at].Desk.Confirm(w.t.Context(), regiontest.Key("c-"+payment), payment, nil, 5*time.Second)
	w.must(err)
	return p
}

func holdOf(payment string) string { return "h" + strings.TrimPrefix(payment, "p") + "-1" }

func (w *three) state(home federation.Region, payment string) string {
	w.t.Helper()
	out := ""
	w.must(w.Regions[home].View(func(v ledger.View) error {
		h, err := v.Hold(holdOf(payment))
		if h != nil {
			out = h.State.String()
		}
		return err
	}))
	return out
}

func (w *three) linked(at, peer federation.Region) ledger.LinkRecord {
	w.t.Helper()
	var l ledger.LinkRecord
	w.must(w.Regions[at].View(func(v ledger.View) error {
		var err error
		l, err = v.Link(peer)
		return err
	}))
	return l
}

// differences are what a region names of a peer: kind, id, here, there.
func (w *three) differences(at, peer federation.Region) []string {
	w.t.Helper()
	out := []string{}
	w.must(w.Regions[at].View(func(v ledger.View) error {
		return v.Differences(peer, func(d ledger.Difference) bool {
			out = append(out, fmt.Sprintf("%s %s %q %q", d.Kind, d.ID, d.Here, d.There))
			return true
		})
	}))
	slices.Sort(out)
	return out
}

func (w *three) audit(at federation.Region, what string) bool {
	return slices.ContainsFunc(w.Regions[at].Audits.List(), func(s string) bool { return strings.Contains(s, what) })
}

// begins is what the operators of a restored region do, and those of its peers.
func (w *three) begins() {
	w.t.Helper()
	for _, peer := range []federation.Region{shanghai, fuzhou} {
		r := w.Regions[beijing]
		_, err := r.Put(w.t.Context(), &ledger.BeginEpoch{Peer: peer, Epoch: r.Settler.NewEpoch()})
		w.must(err)
		passes(3 * time.Second)
		told := w.linked(peer, beijing).NewEpoch
		if told == 0 {
			w.t.Fatalf("%s has not heard of the new epoch", peer)
		}
		other := w.Regions[peer]
		_, err = other.Put(w.t.Context(), &ledger.ResumeLink{Peer: beijing, Epoch: told, OwnEpoch: other.Settler.NewEpoch()})
		w.must(err)
	}
	passes(10 * time.Second)
}

// lost is what happened before the backup of Beijing and after it.
type lost struct {
	backup  consensustest.Backup
	known   string // held before the backup
	decided string // held before it, captured after
	after   string // held after it
	taken   string // captured after it
	own     string // asked for at Beijing after it, held in Shanghai
}

// loses has a region live on after its backup, and restores it. forgotten: the bus keeps nothing either, as after a
// day.
func (w *three) loses(forgotten bool) lost {
	w.t.Helper()
	var l lost
	l.known, l.decided = w.held(shanghai, w.child), w.held(shanghai, w.child)
	passes(time.Second)
	l.backup = w.Regions[beijing].Group.Backup()
	passes(time.Second)
	w.confirm(shanghai, l.decided)
	l.after, l.taken = w.held(shanghai, w.child), w.held(shanghai, w.child)
	w.confirm(shanghai, l.taken)
	l.own = w.held(beijing, w.niece)
	passes(2 * time.Second)
	for _, peer := range []federation.Region{shanghai, fuzhou} {
		if lane := (federation.Lane{From: peer, To: beijing}); forgotten {
			w.Bus.Trim(lane, len(w.Bus.Records(lane)))
		}
	}
	w.must(w.Restore(w.t.Context(), beijing, l.backup))
	passes(5 * time.Second)
	return l
}

// TestRestoredRegionIsStopped: a region that was restored and does not know it notices by what its peers have of it. It
// stops, says so, and agrees on nothing new; nothing that it sends is lost as a repeat.
func TestRestoredRegionIsStopped(t *testing.T) {
	together(t, func(t *testing.T, w *three) {
		w.loses(true)
		if l := w.linked(beijing, shanghai); !l.Differs() {
			t.Errorf("the link goes on: %+v", l)
		}
		if !w.audit(beijing, "history_lost") || !w.audit(beijing, "link_stopped") {
			t.Errorf("operators are not told: %q", w.Regions[beijing].Audits.List())
		}
		if p := w.pays(beijing, w.niece); p.Status == "held" {
			t.Errorf("a new hold is agreed: %+v", p)
		}
	})
}

// TestRestoredRegionMeetsItsPeers: a region restored from yesterday's backup begins a new epoch, both sides name every
// difference to the single hold, no new hold is agreed before that, what is known goes on, and nothing is released
// because its origin does not know it.
func TestRestoredRegionMeetsItsPeers(t *testing.T) {
	together(t, func(t *testing.T, w *three) {
		l := w.loses(true)
		w.begins()
		want := func(at, peer federation.Region, list ...string) {
			t.Helper()
			slices.Sort(list)
			if got := w.differences(at, peer); !slices.Equal(got, list) {
				t.Errorf("%s of %s:\n got %q\nwant %q", at, peer, got, list)
			}
		}
		row := func(kind, payment, here, there string) string {
			return fmt.Sprintf("%s %s %q %q", kind, holdOf(payment), here, there)
		}
		want(beijing, shanghai, row("hold", l.decided, "placed", "captured"), row("hold", l.after, "", "placed"),
			row("hold", l.taken, "", "captured"), row("leg", l.own, "", "placed"))
		want(shanghai, beijing, row("leg", l.decided, "captured", "placed"), row("leg", l.after, "placed", ""),
			row("leg", l.taken, "captured", ""), row("hold", l.own, "placed", ""))
		want(beijing, fuzhou)
		want(fuzhou, beijing)
		for _, at := range []federation.Region{beijing, shanghai} {
			if !w.audit(at, "difference peer=") || !w.audit(at, "what=differences") {
				t.Errorf("%s has no audit of the differences", at)
			}
		}

		// Nothing new before people have looked at both sides; what is known is captured.
		if p := w.pays(shanghai, w.child); p.Status == "held" {
			t.Errorf("a new hold is agreed before both sides have reconciled: %+v", p)
		}
		if p := w.confirm(shanghai, l.known); p.Status != "captured" || w.state(beijing, l.known) != "captured" {
			t.Errorf("a hold that both know is %s: %+v", w.state(beijing, l.known), p)
		}
		for at, peer := range map[federation.Region]federation.Region{beijing: shanghai, shanghai: beijing} {
			link := w.linked(at, peer)
			if !link.Reuniting() || !link.Reunion.Compared || !link.Reunion.PeerCompared || link.Reunion.Found != 4 {
				t.Fatalf("%s: %+v", at, link.Reunion)
			}
			_, err := w.Regions[at].Put(t.Context(), &ledger.AcceptDifferences{Peer: peer, Epoch: link.Out.Epoch})
			w.must(err)
		}
		passes(2 * time.Second)
		w.confirm(shanghai, w.held(shanghai, w.child))
		w.confirm(beijing, w.held(beijing, w.niece))

		// After the deadline: what can be settled by asking is, and the rest waits for two persons.
		passes(time.Hour)
		if s := w.state(beijing, l.decided); s != hold.Captured.String() {
			t.Errorf("the origin's decision, asked for again: %s", s)
		}
		if s := w.state(shanghai, l.own); s != hold.InDoubt.String() {
			t.Errorf("a hold whose origin does not know it is %s", s)
		}
	})
}

// TestRestoredWithinRetention: what the bus still has is applied once more, so that only what the region had begun
// itself is lost.
func TestRestoredWithinRetention(t *testing.T) {
	together(t, func(t *testing.T, w *three) {
		l := w.loses(false)
		w.begins()
		for at, want := range map[federation.Region]string{
			beijing:  fmt.Sprintf("leg %s %q %q", holdOf(l.own), "", "placed"),
			shanghai: fmt.Sprintf("hold %s %q %q", holdOf(l.own), "placed", ""),
		} {
			peer := shanghai
			if at == shanghai {
				peer = beijing
			}
			if got := w.differences(at, peer); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: got %q, want %q", at, got, want)
			}
		}
		if w.state(beijing, l.taken) != "captured" || w.state(beijing, l.decided) != "captured" {
			t.Error("what the bus had was not applied")
		}
	})
}

// TestNewEpochDropsNothing: what waits for a peer when the link begins anew arrives, in the new epoch.
func TestNewEpochDropsNothing(t *testing.T) {
	together(t, func(t *testing.T, w *three) {
		held := w.held(shanghai, w.child)
		w.Bus.Cut(federation.Lane{From: shanghai, To: beijing})
		w.confirm(shanghai, held)
		passes(2 * time.Second)
		if w.state(beijing, held) != hold.Placed.String() {
			t.Fatalf("it came through: %s", w.state(beijing, held))
		}
		backup := w.Regions[beijing].Group.Backup() // of this moment: nothing is lost
		w.must(w.Restore(t.Context(), beijing, backup))
		w.Bus.Mend(federation.Lane{From: shanghai, To: beijing})
		w.begins()
		if s := w.state(beijing, held); s != hold.Captured.String() {
			t.Errorf("what waited did not arrive: %s", s)
		}
		if l := w.linked(beijing, shanghai); l.Reuniting() {
			t.Errorf("without a difference nobody need be asked: %+v", l.Reunion)
		}
	})
}
