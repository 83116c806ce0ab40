package settle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

const guangzhou federation.Region = "440100"

// fourth is a member of the federation with good keys and bad intentions, which the test plays.
type fourth struct {
	*three

	out map[federation.Region]federation.Out
	ids byte
}

func (x *fourth) lane(to federation.Region) federation.Lane {
	return federation.Lane{From: guangzhou, To: to}
}

func (x *fourth) parcel(to federation.Region, c federation.Content) []byte {
	x.t.Helper()
	c.To = to
	if c.Epoch == 0 {
		c.Epoch = 1
	}
	data, err := x.Pack(guangzhou, c)
	x.must(err)
	return data
}

// message makes a message; a numbered one gets the link's next number.
func (x *fourth) message(
	to federation.Region, class federation.Class, body *wirepb.Body, who *vault.Identity,
) federation.Message {
	x.ids++
	m := federation.Message{Class: class, Body: wire.Encode(body)}
	m.Salt[0] = x.ids
	if who != nil {
		m.Persons, m.PersonsSalt[0] = vault.Clear(*who), x.ids
		m.PersonsDigest = federation.PersonsDigest(x.Root.Hash, m.PersonsSalt, m.Persons)
	}
	if class != federation.Numbered {
		m.ID[0] = x.ids
		return m
	}
	o, ok := x.out[to]
	if !ok {
		o.Epoch = 1
	}
	o = o.Next(x.Root.Hash, federation.ContentDigest(x.Root.Hash, m.Body, m.PersonsDigest))
	m.Number, m.Chain, x.out[to] = o.Last, o.Chain, o
	return m
}

func (x *fourth) says(to federation.Region, class federation.Class, body *wirepb.Body, who *vault.Identity) []byte {
	x.t.Helper()
	return x.parcel(to, federation.Content{Messages: []federation.Message{x.message(to, class, body, who)}})
}

// ownTicket is a ticket for a visit that never was, signed by the visit region itself.
func (x *fourth) ownTicket(payment, grant string, who vault.Identity) []byte {
	x.t.Helper()
	body := &wirepb.Body{Kind: &wirepb.Body_Ticket{Ticket: &wirepb.Ticket{
		PaymentId: payment, VisitRegion: string(guangzhou), Amount: 500, Expires: time.Now().Add(time.Hour).UnixMicro(),
		Offers: []*wirepb.Offer{{GrantId: grant, Region: string(beijing)}},
	}}}
	c := federation.Content{
		To: guangzhou, Time: time.Now(), Protocol: federation.Version,
		Messages: []federation.Message{x.message(guangzhou, federation.Answer, body, &who)},
	}
	c.ParcelID[0] = 7
	p, err := federation.SignSingle(x.Directory, x.Regions[guangzhou].Sealer, guangzhou, c)
	x.must(err)
	return federation.EncodeProof(p)
}

// attack is what the member does to a region, and how that region's audit names it.
type attack struct {
	name   string
	at     federation.Region
	lane   federation.Lane
	record []byte
	audit  string
}

// books are the accounts of every region, to the fen, and the states of all holds and payments.
func (w *three) books() string {
	w.t.Helper()
	var b strings.Builder
	for _, code := range []federation.Region{beijing, shanghai, fuzhou} {
		w.must(w.Regions[code].View(func(v ledger.View) error {
			err := v.Accounts(func(no string, a adapters.Account, opening money.Amount) error {
				fmt.Fprintln(&b, code, no, a.Balance, a.Held, opening)
				return nil
			})
			if err != nil {
				return err
			}
			if err = v.Holds(func(h *ledger.HoldRecord) bool {
				if h.Amount > 0 || h.Captured > 0 {
					fmt.Fprintln(&b, code, h.ID, h.State, h.Amount, h.Captured, h.Refunded)
				}
				return true
			}); err != nil {
				return err
			}
			return v.Payments(func(p *ledger.PaymentRecord) bool {
				fmt.Fprintln(&b, code, p.ID, p.State, p.Held, p.CapturedSum(), p.RefundedSum())
				return true
			})
		}))
	}
	return b.String()
}

func (w *three) grantOf(payment string) string {
	w.t.Helper()
	grant := ""
	w.must(w.Regions[beijing].View(func(v ledger.View) error {
		h, err := v.Hold(holdOf(payment))
		if h != nil {
			grant = h.GrantID
		}
		return err
	}))
	return grant
}

func captureOf(hold, payment string) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
		HoldId: hold, PaymentId: payment, ActId: "a", Amount: 1000,
	}}}
}

// lies are what the member says under its own name.
func (x *fourth) lies(open, taken string) []attack {
	child := x.child.Identity()
	grant := x.grantOf(open)
	decide := time.Now().Add(10 * time.Minute).UnixMicro()
	request := func(id string, ticket []byte) *wirepb.Body {
		return &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
			HoldId: "h-440100-" + id + "-1", PaymentId: "p-440100-" + id, GrantId: grant, Amount: 500, DecideBy: decide,
			Purpose: "outpatient", Institution: "H44010000001", VisitId: "v-" + id, Ticket: ticket,
		}}}
	}
	home := func(name string, body *wirepb.Body, who *vault.Identity, audit string) attack {
		return attack{name, beijing, x.lane(beijing), x.says(beijing, federation.Numbered, body, who), audit}
	}
	release := &wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: holdOf(open), PaymentId: open}}}
	back := &wirepb.Body{Kind: &wirepb.Body_Refund{Refund: &wirepb.Refund{
		RefundId: "r-440100-x-1", HoldId: holdOf(taken), PaymentId: taken, Amount: 500,
	}}}
	notice := &wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: &wirepb.GrantNotice{
		GrantId: grant, Revision: 99, Status: "revoked", ValidFrom: "2000-01-01",
	}}}
	placed := &wirepb.Body{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{HoldId: holdOf(open), Amount: 1}}}
	failed := &wirepb.Body{Kind: &wirepb.Body_Outcome{Outcome: &wirepb.Outcome{
		HoldId: holdOf(open), State: "capture_failed",
	}}}
	nosy := &wirepb.Body{Kind: &wirepb.Body_LookUp{LookUp: &wirepb.LookUp{
		Amount: 100, SelfBorne: 100, Credential: "none",
	}}}
	return []attack{
		home("a visit invented for a real beneficiary, with the right grant and no ticket", request("a", nil), &child,
			"ticket_refused peer=440100 hold=h-440100-a-1 reason=evidence: ticket refused: there is none"),
		home("the same with a ticket of its own", request("b", x.ownTicket("p-440100-b", grant, child)), &child,
			"ticket_refused peer=440100 hold=h-440100-b-1 reason=evidence: ticket refused: not signed by the home"),
		home("a capture of another's hold", captureOf(holdOf(open), open), nil,
			"message_refused peer=440100 reason=hold_not_own"),
		home("a release of another's hold", release, nil, "message_refused peer=440100 reason=hold_not_own"),
		home("a refund of what another took", back, nil, "message_refused peer=440100 reason=refund_not_own"),
		home("a query on the link", nosy, &child, "message_refused peer=440100 reason=not_understood"),
		{
			"a notice of another's grant", fuzhou, x.lane(fuzhou), x.says(fuzhou, federation.Numbered, notice, &child),
			"message_refused peer=440100 reason=grant_not_own",
		},
		{
			"an answer for another's leg", shanghai, x.lane(shanghai), x.says(shanghai, federation.Numbered, placed, nil),
			"message_refused peer=440100 reason=payment_not_own",
		},
		{
			"an outcome of another's leg", shanghai, x.lane(shanghai), x.says(shanghai, federation.Numbered, failed, nil),
			"message_refused peer=440100 reason=payment_not_own",
		},
		{
			"a look-up without a credential", fuzhou, x.lane(fuzhou), x.says(fuzhou, federation.Query, nosy, &child),
			"message_refused peer=440100 reason=look_up id=remote_use_required",
		},
	}
}

// tricks are what the member does on the lanes.
func (x *fourth) tricks() []attack {
	good := x.parcel(beijing, federation.Content{})
	bent := x.says(beijing, federation.Query, lookUp(), nil)
	bent[len(bent)-1] ^= 1
	back := x.Bus.Records(federation.Lane{From: beijing, To: guangzhou})
	stray := x.Bus.Records(federation.Lane{From: shanghai, To: fuzhou})
	refused := "parcel_refused peer=440100 reason="
	return []attack{
		{"a parcel", beijing, x.lane(beijing), good, ""},
		{"the same once more", beijing, x.lane(beijing), good, refused + "replayed"},
		{"a parcel sent back", beijing, x.lane(beijing), back[len(back)-1].Value, refused + "reflected"},
		{"sealed content changed", beijing, x.lane(beijing), bent, refused + "seal"},
		{"a huge one", beijing, x.lane(beijing), make([]byte, federation.RecordMax+1), refused + "version"},
		{
			"one of the day after tomorrow", beijing, x.lane(beijing),
			x.parcel(beijing, federation.Content{Time: time.Now().Add(time.Hour)}), refused + "clock_skew",
		},
		{
			"in the lane of another", beijing,
			federation.Lane{From: shanghai, To: beijing},
			x.parcel(beijing, federation.Content{}), "parcel_refused peer=310000 reason=lane",
		},
		{
			"another's parcel for somebody else", beijing,
			federation.Lane{From: shanghai, To: beijing},
			stray[len(stray)-1].Value, "parcel_refused peer=310000 reason=recipient",
		},
	}
}

// TestHostileMember: a fourth member with good keys lies, replays, reflects, speaks for others, invents
// visits, wants what is not its own, forks and jumps epochs. No fen moves, each attack stands in the audit log under
// its own reason, and the others' business goes on.
func TestHostileMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{
			Codes: []federation.Region{beijing, shanghai, fuzhou}, Absent: []federation.Region{guangzhou},
		})
		if err != nil {
			t.Fatal(err)
		}
		w := settled(t, f)
		x := &fourth{three: w, out: map[federation.Region]federation.Out{}}
		open, taken := w.held(shanghai, w.child), w.held(shanghai, w.child)
		w.confirm(shanghai, taken)
		passes(time.Second)
		before := w.books()
		attacks := append(x.lies(open, taken), x.tricks()...)
		for _, a := range attacks {
			w.Bus.Inject(a.lane, a.record)
		}
		passes(3 * time.Second)
		for _, a := range attacks {
			list := w.Regions[a.at].Audits.List()
			if n := audits(list, a.audit); a.audit != "" && n == 0 {
				t.Errorf("%s: not in the audit log as %q: %q", a.name, a.audit, list)
			} else if a.audit != "" {
				t.Logf("%s: %s: %s (%d)", a.at, a.name, a.audit, n)
			}
		}
		fork := x.message(fuzhou, federation.Numbered, captureOf("h-440100-x-1", "p-440100-x"), nil)
		fork.Chain[0] ^= 1
		w.Bus.Inject(x.lane(fuzhou), x.parcel(fuzhou, federation.Content{Messages: []federation.Message{fork}}))
		w.Bus.Inject(x.lane(beijing), x.parcel(beijing, federation.Content{Epoch: 77}))
		passes(3 * time.Second)
		if !w.audit(fuzhou, "link_stopped peer=440100 reason=forked") ||
			!w.audit(beijing, "link_stopped peer=440100 reason=new_epoch") {
			t.Errorf("a fork and a new epoch do not stop the links: %q", w.Regions[beijing].Audits.List())
		}
		if after := w.books(); after != before {
			t.Errorf("the books have changed:\nbefore\n%s\nafter\n%s", before, after)
		}
		if p := w.confirm(shanghai, open); p.Status != "captured" {
			t.Errorf("the others' payment: %+v", p)
		}
		w.confirm(beijing, w.held(beijing, w.niece))
	})
}

func audits(list []string, prefix string) int {
	return len(slices.DeleteFunc(list, func(s string) bool { return !strings.HasPrefix(s, prefix) }))
}
