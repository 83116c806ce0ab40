package simtest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gongji/adapters"
	"gongji/gateway/client"
)

// page is what one region says of itself at one moment.
type page struct {
	region    string
	rules     []client.AuditRules
	accounts  map[string]*client.AuditAccount
	movements map[string][]client.AuditMovement
	grants    map[string]client.AuditGrant
	holds     map[string]*client.AuditHold
	payments  map[string]*client.AuditPayment
	bills     map[string]int64
	end       client.AuditEnd
	raw       string // without the end
}

// books reads what the nodes say, and remembers what was said before.
type books struct {
	w *world

	mu    sync.Mutex
	known map[string]*client.AuditPayment // newest reading of each payment
}

func newBooks(w *world) *books { return &books{w: w, known: map[string]*client.AuditPayment{}} }

const auditTimeout = 15 * time.Second

// read asks one machine.
func (b *books) read(m *machine) (*page, error) {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	status, text, err := m.ask(ctx, true, http.MethodGet, "/admin/v1/audit", "")
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("audit of %s: %d", m.id, status)
	}
	p := &page{
		region: m.region.code, accounts: map[string]*client.AuditAccount{}, movements: map[string][]client.AuditMovement{},
		grants: map[string]client.AuditGrant{}, holds: map[string]*client.AuditHold{},
		payments: map[string]*client.AuditPayment{}, bills: map[string]int64{},
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	lines.Buffer(nil, 1<<20)
	ended := false
	var raw strings.Builder
	for lines.Scan() {
		var l client.AuditLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("audit of %s: %w", m.id, err)
		}
		p.add(&l)
		ended = l.End != nil
		if !ended {
			raw.WriteString(lines.Text() + "\n")
		}
	}
	p.raw = raw.String()
	if !ended {
		return nil, errors.New("the audit was cut off")
	}
	return p, lines.Err()
}

func (p *page) add(l *client.AuditLine) {
	switch {
	case l.Rules != nil:
		p.rules = append(p.rules, *l.Rules)
	case l.Account != nil:
		p.accounts[l.Account.Account] = l.Account
	case l.Movement != nil:
		p.movements[l.Movement.Account] = append(p.movements[l.Movement.Account], *l.Movement)
	case l.Grant != nil:
		p.grants[l.Grant.ID] = *l.Grant
	case l.Hold != nil:
		p.holds[l.Hold.ID] = l.Hold
	case l.Payment != nil:
		p.payments[l.Payment.ID] = l.Payment
	case l.Bill != nil:
		p.bills[l.Bill.Key] += l.Bill.Used
	case l.End != nil:
		p.end = *l.End
	}
}

// readRegion asks any machine of a region; nil when none answers.
func (b *books) readRegion(r *region) *page {
	for _, m := range r.machines {
		if p, err := b.read(m); err == nil {
			if r.core != nil {
				p.addCore(r)
			}
			return p
		}
	}
	return nil
}

// addCore puts what the core system outside has beside what the region's log says. Accounts are named by the region's
// own person numbers as far as a hold tells them.
func (p *page) addCore(r *region) {
	names := map[string]string{} // identity number → person number
	for _, h := range r.core.Holds() {
		rec := p.holds[h.Ref]
		if rec == nil {
			if h.Hold.State != adapters.HoldNone {
				p.holds[h.Ref] = &client.AuditHold{ID: h.Ref, State: "not in the log", CoreState: h.Hold.State.String()}
			}
			continue
		}
		rec.CoreState, rec.CoreHeld, rec.CoreCaptured = h.Hold.State.String(), h.Hold.Held, h.Hold.Captured
		rec.CoreRefunded = h.Hold.Refunded
		if h.Number != "" {
			names[h.Number] = rec.Account
		}
	}
	for _, a := range r.core.Accounts() {
		name := names[a.Person.Number]
		if name == "" {
			name = "unused " + a.Person.Number
		}
		line := &client.AuditAccount{
			Region: r.code, Account: name, Balance: a.Account.Balance, Held: a.Account.Held,
			YearOpening: a.Account.Opening, Year: a.Account.Year,
		}
		for _, m := range r.core.Movements(a.Person.Number) {
			switch {
			case m.Kind == adapters.KindCapture:
				line.Captured += m.Amount
			case m.Kind == adapters.KindRefund:
				line.Refunded += m.Amount
			case m.Ref == adapters.RefOpening:
				line.Opening += m.Amount
			case m.Kind == adapters.KindCredit:
				line.Credits += m.Amount
			}
			p.movements[name] = append(p.movements[name], client.AuditMovement{
				Account: name, Seq: m.Seq, At: m.At, Kind: string(m.Kind), Ref: m.Ref, Amount: m.Amount, Balance: m.Balance,
				Held: m.Held,
			})
		}
		p.accounts[name] = line
	}
}

// readAll asks every region; a region that does not answer is left out.
func (b *books) readAll() map[string]*page {
	pages := map[string]*page{}
	for _, r := range b.w.regions {
		if p := b.readRegion(r); p != nil {
			pages[r.code] = p
		}
	}
	return pages
}

// stampMax is how far a stamp may run ahead of the true time: a clock may jump by a minute before its node stops to
// lead.
const stampMax = 62 * time.Second

// look checks what has to hold at any moment.
func (b *books) look() {
	for _, m := range b.w.machines() {
		if l := m.running(); l != nil {
			if ahead := time.Until(l.node.Log().Status().LastStamp); ahead > stampMax {
				b.w.story.fault("the stamps of %s run %v ahead of the time", m.id, ahead)
			}
		}
	}
	origins := b.readAll()
	homes := b.readAll() // later than what the origins believe
	for _, p := range origins {
		b.progress(p)
	}
	for _, p := range homes {
		b.limits(p)
		b.bounds(p)
	}
	for _, o := range origins {
		for _, pay := range o.payments {
			for i := range pay.Legs {
				if home := homes[pay.Legs[i].Region]; home != nil {
					b.believed(pay, &pay.Legs[i], home)
				}
			}
		}
	}
	for _, r := range b.w.regions {
		if r.core != nil {
			if err := r.core.Check(); err != nil {
				b.w.story.fault("core system of %s: %v", r.code, err)
			}
		}
	}
}

func final(state string) bool {
	return slices.Contains([]string{"captured", "released", "declined", "expired", "capture_failed"}, state)
}

// progress checks one region's payments against the reading before, and against their legs.
func (b *books) progress(p *page) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, pay := range p.payments {
		if before := b.known[id]; before != nil {
			if !follows(before.State, pay.State) && (before.State != "requested" || pay.State != "declined") {
				b.w.story.fault("payment %s was %s and is %s", id, before.State, pay.State)
			}
			if before.Confirmed != 0 && pay.Confirmed != before.Confirmed {
				b.w.story.fault("payment %s: the decision was %d fen and is %d", id, before.Confirmed, pay.Confirmed)
			}
		}
		b.known[id] = pay
		for _, l := range pay.Legs {
			// A leg that was given up before a capture gives nothing either way, so the capture does not wait for it.
			if final(pay.State) && !final(l.State) && (pay.State != "captured" || !l.GivenUp) {
				b.w.story.fault("payment %s has ended as %s while its leg %s is %s", id, pay.State, l.HoldID, l.State)
			}
		}
	}
	for id := range b.known {
		if strings.HasPrefix(id, "p-"+p.region) && p.payments[id] == nil {
			b.w.story.fault("payment %s was in the books of %s and is gone", id, p.region)
		}
	}
}

// believed checks that a home has done what the origin was told.
func (b *books) believed(pay *client.AuditPayment, l *client.AuditLeg, home *page) {
	if !final(l.State) && l.State != "placed" {
		return
	}
	h := home.holds[l.HoldID]
	switch {
	case h == nil && l.State == "declined":
	case h == nil:
		b.w.story.fault("leg %s of %s is %s, and %s has no such hold", l.HoldID, pay.ID, l.State, home.region)
	case l.State == "placed":
		if h.State == "requested" || h.State == "declined" || h.Amount != l.Amount {
			b.w.story.fault("leg %s holds %d fen, its hold is %s with %d", l.HoldID, l.Amount, h.State, h.Amount)
		}
	case !slices.Contains(outcomes(l.State), h.State):
		b.w.story.fault("leg %s is %s, its hold is %s in %s", l.HoldID, l.State, h.State, home.region)
	}
}

// outcomes are the states that a hold has when its leg has ended. Nothing here can fail to be captured: no account is
// closed and nobody forces a release.
func outcomes(leg string) []string {
	switch leg {
	case "captured":
		return []string{"captured"}
	case "declined":
		return []string{"declined"}
	case "released":
		return []string{"released", "declined"}
	}
	return nil
}
