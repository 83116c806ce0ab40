package node_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/auditlog"
)

// later is a clock that can be put forward.
type later struct{ by atomic.Int64 }

func (l *later) now() time.Time { return time.Now().Add(time.Duration(l.by.Load())).Round(0) }

// forced is a payment whose origin confirmed it and died before the payer's home heard of it.
type forced struct {
	*household

	f       *field
	clock   later
	people  map[string]*member
	sh, bj  *place
	payment string
	hold    string
}

func newForced(t testing.TB) *forced {
	t.Helper()
	f := newField(t, beijing, shanghai)
	payer, child := insured(shanghai, 911, "郑一", "5000.00"), insured(beijing, 912, "郑二", "0.00")
	child.Scheme = "390"
	c := &forced{f: f, household: &household{payer: person(shanghai, payer), child: person(beijing, child)}}
	c.sh, c.bj = f.places(shanghai, 1, payer)[0], f.places(beijing, 1, child)[0]
	for _, p := range []*place{c.sh, c.bj} {
		p.deps.Clock = c.clock.now
	}
	f.secured(c.sh)
	startAll(t, c.bj)
	c.people = f.staff(c.sh)
	c.grant(t, ask(t, c.sh), c.payer)
	at := ask(t, c.bj)
	bill := c.bill("visit-1")
	bill.Institution.Code = "H11000000001"
	var paid client.Payment
	until(t, "it is held", func() bool {
		var err error
		paid, err = at.CreatePayment(t.Context(), bill)
		return err == nil && paid.Status == client.PaymentHeld
	})
	f.bus.Cut(federation.Lane{From: beijing, To: shanghai})
	confirmed, err := at.Confirm(t.Context(), paid.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 0)
	if err != nil || confirmed.Status != client.PaymentCapturing {
		t.Fatalf("%+v, %v", confirmed, err)
	}
	c.payment, c.hold = paid.PaymentID, paid.Legs[0].HoldID
	c.bj.stop()
	return c
}

// release proposes the forced release.
func (c *forced) release(who *member) (string, string) {
	return c.sh.propose(who, "/admin/v1/holds/"+c.hold+"/force-release", `{"reason":"the origin lost its log, ticket 17"}`)
}

// account is what the payer's home has of the payer's account and of the hold.
func (c *forced) account(t testing.TB) (client.AuditAccount, client.AuditHold) {
	t.Helper()
	var account client.AuditAccount
	var held client.AuditHold
	lines := bufio.NewScanner(bytes.NewReader(c.sh.want(c.people["audrey"], http.MethodGet, "/admin/v1/audit", "", 200)))
	for lines.Scan() {
		var l client.AuditLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.Account != nil {
			account = *l.Account
		}
		if l.Hold != nil && l.Hold.ID == c.hold {
			held = *l.Hold
		}
	}
	return account, held
}

// jump puts the clocks forward beyond the decision: all sessions are over by then, no leader stamps anything, and an
// operator's session of before is good for acknowledging the jump and for nothing that changes money.
func (c *forced) jump(t testing.TB) {
	t.Helper()
	li := c.people["li"]
	old := *li
	c.clock.by.Store(int64(20 * time.Minute))
	until(t, "an operator acknowledges the jump", func() bool {
		status, _ := c.sh.call(li, http.MethodPost, "/admin/v1/clock/acknowledge", "")
		return status == http.StatusNoContent
	})
	until(t, "the hold is asked for with a session that is over", func() bool {
		status, _ := c.sh.call(&old, http.MethodGet, "/admin/v1/holds/in-doubt", "")
		return status == http.StatusUnauthorized
	})
	for _, who := range c.people {
		c.sh.login(who)
	}
	until(t, "the hold is in doubt", func() bool {
		status, list := c.sh.call(li, http.MethodGet, "/admin/v1/holds/in-doubt", "")
		return status == http.StatusOK && strings.Contains(string(list), c.hold)
	})
	id, digest := c.release(li)
	c.refused(t, &old, id, digest, http.StatusUnauthorized)
	c.refused(t, nil, id, digest, http.StatusUnauthorized)
	c.sh.want(li, http.MethodPost, "/admin/v1/acts/"+id+"/reject", `{"digest":"`+digest+`"}`, http.StatusOK)
}

func (c *forced) refused(t testing.TB, who *member, id, digest string, status int) {
	t.Helper()
	c.sh.want(who, http.MethodPost, "/admin/v1/acts/"+id+"/approve", `{"digest":"`+digest+`"}`, status)
	if _, held := c.account(t); held.State != "in_doubt" {
		t.Fatalf("the hold is %s", held.State)
	}
}

// TestForcedRelease: a hold whose origin is dead is given back at the word of two operators over the
// operators' TLS listener, once, and of nobody else; the origin learns of it when it is back, as a claim.
func TestForcedRelease(t *testing.T) {
	t.Parallel()
	c := newForced(t)
	li, wang := c.people["li"], c.people["wang"]
	id, digest := c.release(li)
	if a := c.sh.approve(wang, id, digest); a.Status != http.StatusConflict || !strings.Contains(a.Result, "wrong_state") {
		t.Errorf("before it is in doubt: %+v", a)
	}
	c.jump(t)
	for _, name := range []string{"olga", "audrey", "officer.one"} {
		c.sh.want(c.people[name], http.MethodPost, "/admin/v1/holds/"+c.hold+"/force-release", `{"reason":"x"}`, 403)
	}
	id, digest = c.release(li)
	for _, name := range []string{"li", "olga", "audrey", "officer.one"} {
		c.refused(t, c.people[name], id, digest, http.StatusForbidden)
	}
	c.sh.want(c.people["officer.one"], http.MethodPost, "/admin/v1/operators/li/lock", "", http.StatusNoContent)
	c.refused(t, wang, id, digest, http.StatusForbidden) // the first one may not any more
	unlock, its := c.sh.propose(c.people["officer.one"], "/admin/v1/operators/li/unlock", "")
	c.sh.approve(c.people["officer.two"], unlock, its)
	c.sh.login(li)
	if a := c.sh.approve(wang, id, digest); a.Status != http.StatusNoContent {
		t.Fatalf("%+v", a)
	}
	account, held := c.account(t)
	if held.State != "released" || held.CoreState != "released" || held.Captured != 0 || held.Amount != 300_00 ||
		account.Held != 0 || account.Captured != 0 || account.Balance != 5000_00 {
		t.Errorf("%+v %+v", account, held)
	}
	again, its := c.release(li)
	if a := c.sh.approve(wang, again, its); a.Status != http.StatusConflict {
		t.Errorf("a second time: %+v", a)
	}
	c.learns(t)
	c.told(t)
}

// learns has the origin come back: it decided to take the money, and hears that it was given back.
func (c *forced) learns(t testing.TB) {
	t.Helper()
	c.f.bus.Mend(federation.Lane{From: beijing, To: shanghai})
	startAll(t, c.bj)
	at := ask(t, c.bj)
	var p client.Payment
	until(t, "the origin has heard of it", func() bool {
		var err error
		p, err = at.Payment(t.Context(), c.payment)
		return err == nil && p.Status == client.PaymentCaptured
	})
	if l := p.Legs[0]; l.Status != "capture_failed" || l.Captured != "0.00" || l.Shortfall != "300.00" ||
		p.Shortfall != "300.00" {
		t.Errorf("%+v", p)
	}
	if account, held := c.account(t); held.State != "released" || account.Balance != 5000_00 || account.Captured != 0 {
		t.Errorf("the capture that came late moved money: %+v %+v", account, held)
	}
}

// told looks at the audit log of the payer's home: who, in which order.
func (c *forced) told(t testing.TB) {
	t.Helper()
	var got []string
	for _, l := range c.sh.lines(c.people["audrey"], func(l *auditlog.Line) bool {
		return strings.Contains(l.Object, c.hold)
	}) {
		second := ""
		for _, a := range l.Attrs {
			if a.Name == "second" && l.Event == "force_release" {
				second = " with " + a.Value
			}
		}
		if l.Event != "operator_act" && l.Event != "operator_refused" {
			got = append(got, l.Event+" "+l.Operator+" "+l.Result+second)
		}
	}
	want := []string{
		"act_proposed li intended", "act_approved wang done", "force_release li refused with wang", "act_ended wang refused",
		"act_proposed li intended", "act_rejected li done",
		"act_proposed li intended", "act_approved wang done", "force_release li done with wang", "act_ended wang done",
		"act_proposed li intended", "act_approved wang done", "force_release li refused with wang", "act_ended wang refused",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit log has\n%s", strings.Join(got, "\n"))
	}
}
