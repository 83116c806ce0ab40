package ledger_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

func holdBody(m *wirepb.HoldRequest) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: m}}
}

// TestHoldsThatMayNotBe: a visit region cannot invent a visit, speak of another region's payment, or learn of grants by
// asking: all of these answer alike.
func TestHoldsThatMayNotBe(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(f *fed, m *wirepb.HoldRequest, who *someone) *someone{
		"no ticket": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone { m.Ticket = nil; return who },
		"another payment's ticket": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone {
			m.Ticket = []byte(ticketOf("p-310000-other"))
			return who
		},
		"no person":         func(*fed, *wirepb.HoldRequest, *someone) *someone { return nil },
		"another person":    func(f *fed, _ *wirepb.HoldRequest, _ *someone) *someone { return &f.daughter },
		"an unknown person": func(*fed, *wirepb.HoldRequest, *someone) *someone { return &someone{"1", "N", fuzhou} },
		// The ticket is signed by the home that the message names: the visit region must not be able to name itself.
		"the visit region as the person's home": func(f *fed, _ *wirepb.HoldRequest, _ *someone) *someone {
			return &someone{f.mother.number, f.mother.name, shanghai}
		},
		"unknown grant": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone {
			m.GrantId = "g-110000-none"
			return who
		},
		"another region's hold": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone {
			m.HoldId = "h-350100-x-1"
			return who
		},
		"another region's payment": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone {
			m.PaymentId = "p-350100-x"
			m.Ticket = []byte(ticketOf(m.PaymentId))
			return who
		},
		"nothing":  func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone { m.Amount = 0; return who },
		"negative": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone { m.Amount = -5; return who },
		"too much": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone { m.Amount = math.MaxInt64; return who },
		"to be decided in a thousand years": func(_ *fed, m *wirepb.HoldRequest, who *someone) *someone {
			m.DecideBy = math.MaxInt64
			return who
		},
	} {
		f := family(t)
		body := request(f, "x")
		m := body.GetHoldRequest()
		who := change(f, m, &f.mother)
		f.say(shanghai, beijing, body, who)
		w := f.waiting(beijing, shanghai)
		if len(w) != 1 || w[0].GetHoldAnswer().GetCode() != "not_found" || w[0].GetHoldAnswer().GetPayer() != "" ||
			w[0].GetHoldAnswer().GetHoldId() != m.GetHoldId() {
			t.Errorf("%s: %v", name, w)
		}
		f.wantAccount(f.son, "200.00", "0.00")
		f.flow()
	}
}

// TestAmountsOfHolds: whatever is asked, no more than there is.
func TestAmountsOfHolds(t *testing.T) {
	t.Parallel()
	f := family(t)
	body := request(f, "x")
	body.GetHoldRequest().Amount = 99_999_999_999_999
	f.say(shanghai, beijing, body, &f.mother)
	if w := f.waiting(beijing, shanghai); w[0].GetHoldAnswer().GetAmount() != 12000 {
		t.Errorf("%v", w)
	}
	f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
		HoldId: "h-310000-x-1", PaymentId: "p-310000-x", ActId: "a", Amount: math.MaxInt64,
	}}}, nil)
	f.wantAccount(f.son, "80.00", "0.00")
	f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
		HoldId: "h-310000-x-1", PaymentId: "p-310000-x", ActId: "b", Amount: 1,
	}}}, nil)
	f.wantAccount(f.son, "80.00", "0.00")
	f.say(shanghai, beijing, &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
		HoldId: "h-310000-y-1", PaymentId: "p-310000-y", ActId: "b", Amount: -1,
	}}}, nil)
	if h, err := f.view(beijing).Hold("h-310000-y-1"); h != nil || err != nil {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestDecisionsOfOthers: no region decides on another's payment.
func TestDecisionsOfOthers(t *testing.T) {
	t.Parallel()
	f := family(t)
	p := f.pays(shanghai, f.mother, "100.00")
	leg := f.payment(p.ID).Legs[0]
	for _, body := range []*wirepb.Body{
		{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: leg.HoldID, PaymentId: p.ID, ActId: "a", Amount: 1}}},
		{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: leg.HoldID, PaymentId: p.ID, ActId: "a"}}},
		{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: leg.HoldID, PaymentId: "p-350100-x", ActId: "a"}}},
	} {
		f.say(fuzhou, beijing, body, nil)
	}
	f.wantAccount(f.son, "200.00", "100.00")
	// Nor answers for another's leg.
	for _, body := range []*wirepb.Body{
		outcome(leg.HoldID, "released", 0),
		outcome(leg.HoldID, "captured", 10000),
		{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{HoldId: leg.HoldID, Code: "not_found"}}},
		{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: leg.HoldID, PaymentId: p.ID}}},
	} {
		f.say(fuzhou, shanghai, body, nil)
	}
	f.want(p, "held 100.00/100.00; 110000 placed 100.00")
	if w := f.waiting(shanghai, fuzhou); len(w) != 1 || !w[0].GetEnquiryAnswer().GetUnknown() {
		t.Errorf("%v", w)
	}
}

func outcome(holdID, state string, captured int64) *wirepb.Body {
	return &wirepb.Body{Kind: &wirepb.Body_Outcome{Outcome: &wirepb.Outcome{
		HoldId: holdID, ActId: "a", State: state, Captured: captured,
	}}}
}

// TestLyingHomes: what a leg's home invents costs nobody but itself.
func TestLyingHomes(t *testing.T) {
	t.Parallel()
	f := family(t)
	f.silent[federation.Lane{From: beijing, To: shanghai}] = true
	p := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "100.00")).ID)
	h := p.Legs[0].HoldID
	answer := func(amount int64, limitedBy, code string) *wirepb.Body {
		return &wirepb.Body{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{
			HoldId: h, Amount: amount, LimitedBy: limitedBy, Code: code, Payer: "liar", PayerName: "liar",
		}}}
	}
	f.say(beijing, shanghai, answer(0, "", ""), nil)
	f.say(beijing, shanghai, answer(-7, "", ""), nil)
	f.say(beijing, shanghai, outcome(h, "captured", math.MaxInt64), nil)
	f.say(beijing, shanghai, outcome(h, "something", 1), nil)
	f.want(p, "requested 0.00/100.00; 110000 requested 0.00")
	if l := f.payment(p.ID).Legs[0]; l.Payer != "" {
		t.Errorf("%+v", l)
	}
	f.say(beijing, shanghai, answer(math.MaxInt64, "a made up code", ""), nil)
	f.want(p, "held 100.00/100.00; 110000 placed 100.00")
	f.confirms(p, "60.00")
	f.say(beijing, shanghai, outcome(h, "captured", math.MaxInt64), nil)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 60.00")
	f.say(beijing, shanghai, outcome(h, "captured", -1), nil)
	f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 60.00")

	q := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "100.00")).ID)
	h = q.Legs[0].HoldID
	f.say(beijing, shanghai, answer(5000, "a made up code", ""), nil)
	f.want(q, "held 100.00/100.00; 110000 placed 50.00 balance_insufficient; 310000 placed 50.00")
	g := family(t)
	r := g.payment(g.done(shanghai, g.bill(shanghai, g.mother, "100.00")).ID)
	h = r.Legs[0].HoldID
	g.say(beijing, shanghai, answer(0, "", "a made up code"), nil)
	g.flow()
	g.want(r, "held 100.00/100.00; 110000 declined 0.00; 310000 placed 100.00; -110000 core_unavailable")
}

// TestSayingReleasedBeforeAnything: a home that holds nothing after all does not stop the payment.
func TestSayingReleasedBeforeAnything(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"released", "declined", "capture_failed"} {
		f := family(t)
		f.silent[federation.Lane{From: beijing, To: shanghai}] = true
		p := f.payment(f.done(shanghai, f.bill(shanghai, f.mother, "100.00")).ID)
		f.say(beijing, shanghai, outcome(p.Legs[0].HoldID, state, 0), nil)
		f.flow()
		f.want(p, "held 100.00/100.00; 110000 declined 0.00; 310000 placed 100.00; -110000 core_unavailable")
	}
}

// TestLongTexts: what could not be a key, or could not be answered, is set aside; what stands behind it goes on.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 60_000)
	id := func(letter string) string { return letter + "-310000-" + strings.Repeat("x", 56) }
	base := func(f *fed) *wirepb.HoldRequest { return request(f, "x").GetHoldRequest() }
	notice := func(change func(n *wirepb.GrantNotice)) func(f *fed) *wirepb.Body {
		return func(*fed) *wirepb.Body {
			n := &wirepb.GrantNotice{GrantId: "g-310000-1", Revision: 1, ValidFrom: "2026-01-01"}
			change(n)
			return &wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: n}}
		}
	}
	for name, body := range map[string]func(f *fed) *wirepb.Body{
		"hold":    func(f *fed) *wirepb.Body { m := base(f); m.HoldId = id("h"); return holdBody(m) },
		"payment": func(f *fed) *wirepb.Body { m := base(f); m.PaymentId = id("p"); return holdBody(m) },
		"grant":   func(f *fed) *wirepb.Body { m := base(f); m.GrantId = id("g"); return holdBody(m) },
		"visit":   func(f *fed) *wirepb.Body { m := base(f); m.VisitId = long; return holdBody(m) },
		"purpose": func(f *fed) *wirepb.Body { m := base(f); m.Purpose = long; return holdBody(m) },
		"capture": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: id("h"), Amount: 1}}}
		},
		"act": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: "h-310000-1", ActId: long}}}
		},
		"outcome": func(*fed) *wirepb.Body { return outcome(long, "released", 0) },
		"enquiry": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: long}}}
		},
		"enquiry's answer": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: &wirepb.EnquiryAnswer{HoldId: long}}}
		},
		"answer": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{Payer: long}}}
		},
		"consent": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_GrantConsent{GrantConsent: &wirepb.GrantConsent{GrantId: long}}}
		},
		"rejected": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Rejected{Rejected: &wirepb.Rejected{Reason: long}}}
		},
		"notice":          notice(func(n *wirepb.GrantNotice) { n.GrantId = id("g") }),
		"notice's status": notice(func(n *wirepb.GrantNotice) { n.Status = long }),
		"notice's payer":  notice(func(n *wirepb.GrantNotice) { n.Payer = long }),
		"a query on the link": func(*fed) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_LookUp{LookUp: &wirepb.LookUp{}}}
		},
	} {
		f := family(t)
		f.say(shanghai, beijing, body(f), &f.mother)
		w := f.waiting(beijing, shanghai)
		if len(w) != 1 || w[0].GetRejected().GetNumber() != 1 || w[0].GetRejected().GetReason() == "" {
			t.Errorf("%s: %v", name, w)
		}
		f.say(shanghai, beijing, request(f, "behind"), &f.mother)
		f.wantAccount(f.son, "200.00", "50.00")
	}
}

// TestOffersOfAnotherRegion: the look-up's answer comes from another region, and is as hostile as anything else.
func TestOffersOfAnotherRegion(t *testing.T) {
	t.Parallel()
	f := family(t)
	c := f.bill(shanghai, f.mother, "100.00")
	good := c.Offers
	c.Offers = []ledger.Offer{
		{GrantID: strings.Repeat("x", 65), Region: "110000"},
		{GrantID: "", Region: "110000"},
		{GrantID: "g-1", Region: "11000x"},
		{GrantID: "g-2", Region: "440100"},
		{GrantID: "g-3", Code: policy.CodeNotFound},
	}
	c.Offers = append(c.Offers, good...)
	p := f.payment(f.done(shanghai, c).ID)
	f.flow()
	f.want(p, "held 100.00/100.00; 110000 placed 100.00; -440100 region_pair_closed; - not_found")

	c = f.bill(shanghai, f.mother, "100.00")
	c.Ticket = []byte(strings.Repeat("x", 50_000))
	f.refused(shanghai, c, policy.CodeRegionUnreachable)

	c = f.bill(shanghai, f.mother, "100.00")
	c.Offers = nil
	for range 6000 {
		c.Offers = append(c.Offers, ledger.Offer{GrantID: "g-310000-none", Region: "310000"})
	}
	p = f.payment(f.done(shanghai, c).ID)
	f.want(p, "declined 0.00/100.00"+strings.Repeat("; 310000 declined 0.00", payment.LegsMax)+
		strings.Repeat("; -310000 not_found", payment.LegsMax))
}

// TestGrantNoticesOfOthers: only the payer's home tells of a grant, and only what is newer counts.
func TestGrantNoticesOfOthers(t *testing.T) {
	t.Parallel()
	f := family(t)
	id := f.grantIn("110000", f.mother)
	notice := func(change func(n *wirepb.GrantNotice)) *wirepb.Body {
		n := &wirepb.GrantNotice{
			GrantId: id, Revision: 9, Status: "revoked", ValidFrom: "2026-01-01", Payer: "x",
			Created: f.now.UnixMicro(),
		}
		change(n)
		return &wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: n}}
	}
	before := *f.indexed(id)
	f.say(shanghai, fuzhou, notice(func(*wirepb.GrantNotice) {}), &f.mother)
	f.say(beijing, fuzhou, notice(func(n *wirepb.GrantNotice) { n.Revision = 1 }), &f.mother)
	f.say(beijing, fuzhou, notice(func(n *wirepb.GrantNotice) { n.ValidFrom = "yesterday" }), &f.mother)
	f.say(beijing, fuzhou, notice(func(n *wirepb.GrantNotice) { n.ValidUntil = "2026-02-30" }), &f.mother)
	f.say(beijing, fuzhou, notice(func(*wirepb.GrantNotice) {}), nil)
	f.say(beijing, fuzhou, notice(func(n *wirepb.GrantNotice) { n.Revision, n.GrantId = 0, "g-110000-new" }), &f.mother)
	if got := *f.indexed(id); got != before {
		t.Errorf("%+v", got)
	}
	// Once known, a grant stays with its beneficiary, whoever a later notice names.
	f.say(beijing, fuzhou, notice(func(n *wirepb.GrantNotice) {
		n.PerPaymentLimit, n.AnnualLimit, n.EndCause = "1.00", "x", "whim"
	}), &f.son)
	got := f.indexed(id)
	if got.Beneficiary != before.Beneficiary || got.Entry.Status != "revoked" || got.PerPayment != 100 || got.Cause != "" {
		t.Errorf("%+v", got)
	}
	consent := &wirepb.Body{Kind: &wirepb.Body_GrantConsent{GrantConsent: &wirepb.GrantConsent{GrantId: id}}}
	f.say(shanghai, beijing, consent, nil)
	f.say(fuzhou, beijing, consent, nil)
	if g, err := f.view(beijing).Grant(id); err != nil || g.Version != 1 {
		t.Errorf("%+v, %v", g, err)
	}
}

// TestClosedPair: no new hold between the two, and under an expired directory none at all; what is held is captured all
// the same.
func TestClosedPair(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *federation.DirectoryData)
		want   string      // what becomes of a payment; the origin does not ask the home
		home   policy.Code // what the home says when it is asked all the same
	}{
		"pair": {func(d *federation.DirectoryData) {
			for i, p := range d.Pairs {
				if p.A == beijing && p.B == shanghai || p.A == shanghai && p.B == beijing {
					d.Pairs[i].Until = "2026-11-19"
				}
			}
		}, "held 10.00/10.00; 310000 placed 10.00; -110000 region_pair_closed", policy.CodeRegionPairClosed},
		"member": {func(d *federation.DirectoryData) {
			d.Members[0].State = federation.MemberPaused
		}, "held 10.00/10.00; 310000 placed 10.00; -110000 region_pair_closed", policy.CodeRegionPairClosed},
		"expired": {func(d *federation.DirectoryData) {
			d.Expires = begins.Truncate(time.Second).Add(2 * time.Second) // passed below
		}, "declined 0.00/10.00; -110000 region_unreachable; -310000 region_unreachable", policy.CodeRegionPairClosed},
	} {
		f := family(t)
		p := f.pays(shanghai, f.mother, "100.00")
		f.directory(c.change)
		if name == "expired" {
			f.now = f.now.Add(2 * time.Second)
		}
		q := f.pays(shanghai, f.mother, "10.00")
		f.want(q, c.want)
		f.confirms(p, "100.00")
		f.flow()
		f.want(p, "captured 100.00/100.00; 110000 captured 100.00 took 100.00")
		f.say(shanghai, beijing, request(f, "all-the-same"), &f.mother)
		w := f.waiting(beijing, shanghai)
		if got := w[len(w)-1].GetHoldAnswer(); got.GetCode() != string(c.home) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
