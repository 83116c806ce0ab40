package crowd_test

import (
	"fmt"
	"strconv"
	"sync"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/simtest/secondopinion"
)

// watcher looks at a region's state after every command: it writes all holds down as tables of the second opinion,
// which knows nothing of the ledger's running totals, and holds every limit against them.
type watcher struct {
	rules map[string]*secondopinion.Region

	mu      sync.Mutex
	start   map[string]int            // what an account was opened with
	opening map[string]map[string]int // by account and year, as the Book has said it
	looks   int
	full    map[string]bool // limits that were met to the fen
	wrong   string          // the first thing that was
}

func newWatcher(rules map[string]*secondopinion.Region) *watcher {
	return &watcher{
		rules: rules, start: map[string]int{}, opening: map[string]map[string]int{}, full: map[string]bool{},
	}
}

func (w *watcher) see(code federation.Region, v ledger.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong != "" {
		return
	}
	w.looks++
	t, err := w.tables(string(code), v)
	if err == nil {
		err = w.limits(string(code), t, v)
	}
	if err == nil {
		err = bills(v)
	}
	if err != nil {
		w.wrong = fmt.Sprintf("%s: %v", code, err)
		if t != nil {
			w.wrong += "\n" + t.String()
		}
	}
}

// stateOf is a hold's state as the second opinion knows it: money is held until the core has confirmed an end.
func stateOf(s hold.State) string {
	switch s {
	case hold.Captured:
		return "captured"
	case hold.Declined, hold.Released, hold.CaptureFailed:
		return "released"
	case hold.Requested, hold.Abandoning, hold.Placed, hold.InDoubt, hold.Capturing, hold.Undoing, hold.Releasing:
	}
	return "placed"
}

// tables are all holds of a region with their accounts and grants.
func (w *watcher) tables(code string, v ledger.View) (*secondopinion.World, error) {
	t := secondopinion.New("2026-01-01 00:00:00")
	t.Regions[code] = w.rules[code]
	var failed error
	grants := map[string]bool{}
	err := v.Holds(func(h *ledger.HoldRecord) bool {
		if h.Account == "" || !h.Checked {
			return true
		}
		t.Holds = append(t.Holds, &secondopinion.Hold{
			Payment: h.PaymentID, Grant: h.GrantID, Payer: h.Account, VisitRegion: h.Origin, Visit: h.VisitID,
			Year: strconv.Itoa(h.Year), Amount: int(h.Amount), State: stateOf(h.State), Captured: int(h.Captured),
			Refunded: int(h.Refunded), LimitedBy: string(h.LimitedBy),
		})
		if failed = w.person(t, code, h.Account, v); failed != nil {
			return false
		}
		if !grants[h.GrantID] {
			grants[h.GrantID] = true
			failed = grantOf(t, h.GrantID, v)
		}
		return failed == nil
	})
	if failed == nil && err == nil {
		err = v.Grants(func(g *ledger.GrantRecord) bool { // virtual limits hold money before any payment
			if !grants[g.ID] && g.Reserve.Left > 0 {
				if failed = w.person(t, code, string(g.Payer), v); failed == nil {
					failed = grantOf(t, g.ID, v)
				}
			}
			return failed == nil
		})
	}
	if failed != nil {
		err = failed
	}
	return t, err
}

func (w *watcher) person(t *secondopinion.World, code, no string, v ledger.View) error {
	if t.Persons[no] != nil {
		return nil
	}
	a, known, err := v.Account(no)
	if err != nil || !known {
		return fmt.Errorf("no account of %s: %w", no, err)
	}
	if _, ok := w.start[no]; !ok {
		err = v.Movements(no, func(m adapters.Movement) bool {
			if m.Kind == adapters.KindCredit {
				w.start[no] = int(m.Amount)
			}
			return false
		})
		if err != nil {
			return err
		}
		w.opening[no] = map[string]int{}
	}
	w.opening[no][strconv.Itoa(a.Year)] = int(a.Opening)
	t.Persons[no] = &secondopinion.Person{
		Region: code, Scheme: a.Scheme, Status: a.Status, Paid: w.start[no], Opening: w.opening[no],
	}
	return nil
}

func limitOf(a money.Amount) int {
	if a == 0 {
		return secondopinion.None
	}
	return int(a)
}

func grantOf(t *secondopinion.World, id string, v ledger.View) error {
	g, err := v.Grant(id)
	if err != nil || g == nil {
		return fmt.Errorf("no grant %s: %w", id, err)
	}
	t.Grants = append(t.Grants, &secondopinion.Grant{
		ID: id, Payer: string(g.Payer), Beneficiary: string(g.Beneficiary), Relation: string(g.Terms.Relation),
		Status: string(g.Status), PerPayment: limitOf(g.Terms.PerPaymentLimit), Annual: limitOf(g.Terms.AnnualLimit),
		Virtual: int(g.Terms.Limit), Left: int(g.Reserve.Left), LeftYear: strconv.Itoa(g.Reserve.Year),
	})
	return nil
}

// meets holds a sum against what it may be, and notes where the two are equal.
func (w *watcher) meets(code, who string, sum, most int) error {
	if sum > most {
		return fmt.Errorf("%s: %s is at %s, of at most %s", code, who, secondopinion.Yuan(sum), secondopinion.Yuan(most))
	}
	if sum == most && sum > 0 {
		w.full[code] = true
	}
	return nil
}

// limits are I-1, I-2, I-4 and I-7 for every account, visit and grant of a region.
func (w *watcher) limits(code string, t *secondopinion.World, v ledger.View) error {
	rules := w.rules[code]
	for no := range t.Persons {
		a, _, err := v.Account(no)
		if err != nil {
			return err
		}
		balance, held := t.Balance(no), t.Held(no)
		if int(a.Balance) != balance || int(a.Held) != held {
			return fmt.Errorf("the Book has %s and holds %s, the holds say %s and %s", a.Balance, a.Held,
				secondopinion.Yuan(balance), secondopinion.Yuan(held))
		}
		if held > 0 {
			name := "balance_insufficient"
			if rules.Floor > 0 {
				name = "retained_floor"
			}
			if err := w.meets(name, no, held, max(0, balance-rules.Floor)); err != nil {
				return err
			}
		}
		for year := range w.opening[no] {
			t.Now = year + "-06-01 00:00:00"
			if err := w.meets("annual_quota", no+" in "+year, t.UsedYear(no, year), t.Quota(no, "outpatient")); err != nil {
				return err
			}
		}
	}
	for _, h := range t.Holds {
		if h.Captured > h.Amount || h.Refunded > h.Captured || h.Amount < 0 || h.Captured < 0 || h.Refunded < 0 {
			return fmt.Errorf("the hold of %s for %s is impossible", h.Grant, h.Payment)
		}
		if most, ok := rules.VisitLimit["outpatient"]; ok {
			used := t.UsedVisit(h.Payer, h.VisitRegion, h.Visit)
			if err := w.meets("visit_limit", h.Payer+" for "+h.VisitRegion+"/"+h.Visit, used, most); err != nil {
				return err
			}
		}
		if err := w.grantLimits(t, h); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) grantLimits(t *secondopinion.World, h *secondopinion.Hold) error {
	for _, g := range t.Grants {
		if g.ID != h.Grant {
			continue
		}
		if g.PerPayment != secondopinion.None {
			if err := w.meets("payment_limit", g.ID, h.Amount, g.PerPayment); err != nil {
				return err
			}
		}
		if g.Annual != secondopinion.None {
			if err := w.meets("grant_annual_limit", g.ID+" in "+h.Year, t.UsedGrant(g.ID, h.Year), g.Annual); err != nil {
				return err
			}
		}
	}
	return nil
}

// bills: what the payments of a bill hold, or have taken and not given back, is at most what they may share (I-4).
func bills(v ledger.View) error {
	used, most := map[[2]string]money.Amount{}, map[[2]string]money.Amount{}
	err := v.Payments(func(p *ledger.PaymentRecord) bool {
		key := [2]string{p.Institution, p.Bill.ID}
		most[key] = p.Bill.SelfBorne - p.Bill.OwnPaid
		for i := range p.Legs {
			switch l := &p.Legs[i]; l.State {
			case payment.LegPlaced:
				used[key] += l.Amount
			case payment.LegCapturing:
				used[key] += l.Share
			case payment.LegCaptured:
				used[key] += l.Captured - l.Refunded
			case payment.LegRequested, payment.LegDeclined, payment.LegReleasing, payment.LegReleased,
				payment.LegCaptureFailed:
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	for key, sum := range used {
		if sum > most[key] {
			return fmt.Errorf("%v: %s of at most %s", key, sum, most[key])
		}
	}
	return nil
}
