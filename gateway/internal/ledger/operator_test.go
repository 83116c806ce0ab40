package ledger_test

import (
	"slices"
	"testing"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

func registration(name string) operator.Registration {
	return operator.Registration{Name: name, Public: []byte("key of " + name), Salt: []byte("s"), Hash: []byte("h")}
}

// staff is a region with two security officers, two operators and an auditor.
func staff(t *testing.T) *fed {
	t.Helper()
	f := federationOf(t, beijing)
	for _, name := range []string{"officer.one", "officer.two"} {
		f.done(beijing, &ledger.PutOperator{Registration: registration(name), Role: operator.RoleSecurity, First: true})
	}
	for name, role := range map[string]operator.Role{
		"li": operator.RoleOperator, "wang": operator.RoleOperator, "audrey": operator.RoleAuditor,
	} {
		f.done(beijing, put(name, role))
	}
	return f
}

func put(name string, role operator.Role) *ledger.PutOperator {
	return &ledger.PutOperator{Registration: registration(name), Role: role, By: "officer.one", Second: "officer.two"}
}

func (f *fed) operator(name string) *ledger.OperatorRecord {
	f.t.Helper()
	o, err := f.view(beijing).Operator(name)
	if err != nil || o == nil {
		f.t.Fatalf("%s: %v, %v", name, o, err)
	}
	return o
}

func (f *fed) login(name string, good bool, token byte) *ledger.Login {
	f.t.Helper()
	return &ledger.Login{Name: name, Good: good, Changed: f.operator(name).Changed, Session: [32]byte{token}}
}

// events are the audit log's, the oldest first.
func (f *fed) events() []string {
	f.t.Helper()
	var out []string
	if err := f.view(beijing).AuditLines(1, func(e *auditlog.Entry) bool {
		out = append(out, e.Line.Event)
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// TestEscalation: nobody gives himself or anybody else a role alone, no operator or auditor gives any, one key is one
// person, and the configuration's way in is shut once there are two officers.
func TestEscalation(t *testing.T) {
	t.Parallel()
	f := staff(t)
	stolen := put("mallory", operator.RoleSecurity)
	stolen.Registration.Public = registration("li").Public
	for _, c := range [][4]string{
		{"alone", "mallory", "officer.one", ""},
		{"twice the same", "mallory", "officer.one", "officer.one"},
		{"himself", "officer.one", "officer.one", "officer.two"},
		{"himself as second", "officer.two", "officer.one", "officer.two"},
		{"operators", "mallory", "li", "wang"},
		{"an auditor", "mallory", "officer.one", "audrey"},
	} {
		t.Log(c[0])
		f.refused(beijing, &ledger.PutOperator{
			Registration: registration(c[1]), Role: operator.RoleSecurity, By: c[2], Second: c[3],
		}, policy.CodeForbidden)
	}
	f.refused(beijing, stolen, policy.CodeConflict)
	f.refused(beijing, put("li", "root"), policy.CodeInvalidRequest)
	f.refused(beijing, &ledger.PutOperator{
		Registration: registration("mallory"), Role: operator.RoleSecurity, First: true,
	}, policy.CodeWrongState)
	f.refused(beijing, &ledger.StateOperator{
		Name: "officer.two", State: ledger.OperatorLocked, By: "li",
	}, policy.CodeForbidden)
	f.refused(beijing, &ledger.StateOperator{
		Name: "officer.two", State: ledger.OperatorLocked, By: "officer.two",
	}, policy.CodeForbidden)
	f.done(beijing, &ledger.StateOperator{Name: "li", State: ledger.OperatorLocked, By: "officer.one"})
	f.refused(beijing, &ledger.StateOperator{
		Name: "li", State: ledger.OperatorActive, By: "officer.one",
	}, policy.CodeForbidden)
	f.done(beijing, &ledger.StateOperator{
		Name: "li", State: ledger.OperatorActive, By: "officer.one", Second: "officer.two",
	})
	f.done(beijing, &ledger.StateOperator{Name: "li", State: ledger.OperatorRemoved, By: "officer.one"})
	f.refused(beijing, put("li", operator.RoleOperator), policy.CodeWrongState)
}

// TestLockOut: five wrong passphrases lock the operator out for half an hour, the right one does not help meanwhile,
// and nobody else is locked out.
func TestLockOut(t *testing.T) {
	t.Parallel()
	f := staff(t)
	for range ledger.FailuresMax - 1 {
		f.apply(beijing, f.login("li", false, 1))
	}
	f.done(beijing, f.login("li", true, 1)) // the count begins anew
	for range ledger.FailuresMax {
		if o := f.apply(beijing, f.login("li", false, 2)); o.Code != policy.CodeUnauthenticated {
			t.Errorf("%+v", o)
		}
	}
	f.refused(beijing, f.login("li", true, 3), policy.CodeForbidden)
	f.done(beijing, f.login("wang", true, 4))
	f.now = f.now.Add(ledger.LockedFor - time.Second)
	f.refused(beijing, f.login("li", true, 5), policy.CodeForbidden)
	f.now = f.now.Add(2 * time.Second)
	f.done(beijing, f.login("li", true, 6))
	if !slices.Contains(f.events(), "operator_locked_out") {
		t.Error("it is not in the audit log")
	}
}

// TestSessions: a session ends by itself when it is not used, after eight hours, at a log-out, and at once with every
// change of its operator; one too many ends the oldest.
func TestSessions(t *testing.T) {
	t.Parallel()
	f := staff(t)
	use := func(token byte) *ledger.UseSession { return &ledger.UseSession{Session: [32]byte{token}} }
	f.done(beijing, f.login("li", true, 1))
	for range 33 {
		f.now = f.now.Add(ledger.SessionIdle - time.Second)
		if o := f.apply(beijing, use(1)); o.Code != "" {
			break
		}
	}
	if begun := begins.Add(ledger.SessionEnds - ledger.SessionIdle); f.now.Before(begun) {
		t.Errorf("it ended at %s", f.now)
	}
	f.refused(beijing, use(1), policy.CodeUnauthenticated)
	f.done(beijing, f.login("li", true, 2))
	f.now = f.now.Add(ledger.SessionIdle)
	f.refused(beijing, use(2), policy.CodeUnauthenticated)
	f.done(beijing, f.login("li", true, 3))
	f.done(beijing, &ledger.UseSession{Session: [32]byte{3}, End: true})
	f.refused(beijing, use(3), policy.CodeUnauthenticated)
	for token := range byte(ledger.SessionsMax + 1) {
		f.done(beijing, f.login("li", true, 10+token))
	}
	f.refused(beijing, use(10), policy.CodeUnauthenticated)
	f.done(beijing, use(11))
	old := f.login("li", true, 20)
	f.done(beijing, put("li", operator.RoleOperator))
	f.refused(beijing, use(11), policy.CodeUnauthenticated)
	f.refused(beijing, old, policy.CodeUnauthenticated) // its factors were held against the old registration
	f.done(beijing, f.login("li", true, 21))
	f.done(beijing, &ledger.StateOperator{Name: "li", State: ledger.OperatorLocked, By: "officer.one"})
	f.refused(beijing, use(21), policy.CodeUnauthenticated)
	f.refused(beijing, f.login("li", true, 22), policy.CodeUnauthenticated)
}

func proposed(id string) *ledger.ProposeAct {
	return &ledger.ProposeAct{
		ID: id, Act: operator.Act{Method: "POST", Target: "/x"}, Digest: [32]byte{7}, Needs: operator.Operate, By: "li",
	}
}

// TestTwoPersons: an act is carried out once, at the word of another operator with the duty, for exactly what was
// proposed, within a day.
func TestTwoPersons(t *testing.T) {
	t.Parallel()
	f := staff(t)
	decide := func(id, by string, digest byte) *ledger.DecideAct {
		return &ledger.DecideAct{ID: id, Digest: [32]byte{digest}, Approve: true, By: by}
	}
	byAuditor := proposed("a-0")
	byAuditor.By = "audrey"
	f.refused(beijing, byAuditor, policy.CodeForbidden)
	f.done(beijing, proposed("a-1"))
	f.refused(beijing, decide("a-1", "li", 7), policy.CodeForbidden)
	f.refused(beijing, decide("a-1", "audrey", 7), policy.CodeForbidden)
	f.refused(beijing, decide("a-1", "officer.one", 7), policy.CodeForbidden)
	f.refused(beijing, decide("a-1", "wang", 8), policy.CodeConflict)
	f.refused(beijing, decide("a-2", "wang", 7), policy.CodeNotFound)
	f.done(beijing, decide("a-1", "wang", 7))
	f.refused(beijing, decide("a-1", "wang", 7), policy.CodeWrongState)
	f.done(beijing, &ledger.DecideAct{ID: "a-1", Digest: [32]byte{7}, Status: 204})
	f.refused(beijing, &ledger.DecideAct{ID: "a-1", Digest: [32]byte{7}, Status: 204}, policy.CodeWrongState)

	f.done(beijing, proposed("a-3"))
	f.now = f.now.Add(ledger.ActWaits)
	f.refused(beijing, decide("a-3", "wang", 7), policy.CodeExpired)
	if a, err := f.view(beijing).Act("a-3"); err != nil || a.State != ledger.ActExpired {
		t.Errorf("%+v, %v", a, err)
	}
	f.done(beijing, proposed("a-4"))
	f.done(beijing, &ledger.StateOperator{Name: "li", State: ledger.OperatorLocked, By: "officer.one"})
	f.refused(beijing, decide("a-4", "wang", 7), policy.CodeForbidden) // the first one may no longer
	if events := f.events(); !slices.Contains(events, "act_proposed") || !slices.Contains(events, "act_approved") ||
		!slices.Contains(events, "act_ended") || !slices.Contains(events, "act_expired") {
		t.Error(events)
	}
}

// TestActsBounded: acts that wait are bounded, and old ones are forgotten.
func TestActsBounded(t *testing.T) {
	t.Parallel()
	f := staff(t)
	for i := range ledger.ActsMax {
		f.done(beijing, proposed(string(rune('A'+i))))
	}
	f.refused(beijing, proposed("one-more"), policy.CodeRateLimited)
	f.now = f.now.Add(ledger.ActWaits)
	f.done(beijing, &ledger.Tick{})
	f.done(beijing, proposed("one-more"))
	f.now = f.now.Add(200 * 24 * time.Hour)
	f.done(beijing, &ledger.Tick{})
	n := 0
	if err := f.view(beijing).Acts(func(a *ledger.ActRecord) bool {
		n++
		return a.ID == "one-more"
	}); err != nil || n != 1 {
		t.Errorf("%d acts, %v", n, err)
	}
}

// TestDoneBy: the line of the audit log stands in the entry that does or refuses the command.
func TestDoneBy(t *testing.T) {
	t.Parallel()
	f := staff(t)
	before := f.auditHead().Number
	wrapped := func(c ledger.Command) *ledger.DoneBy {
		return &ledger.DoneBy{Line: auditlog.Line{Event: "rules_withdrawn", Operator: "li"}, Command: ledger.EncodeCommand(c)}
	}
	if o := f.apply(beijing, wrapped(&ledger.WithdrawRules{From: 1})); o.Code != policy.CodeNotFound {
		t.Errorf("%+v", o)
	}
	var last auditlog.Line
	if err := f.view(beijing).AuditLines(before+1, func(e *auditlog.Entry) bool {
		last = e.Line
		return true
	}); err != nil || last.Operator != "li" || last.Result != auditlog.ResultRefused ||
		last.Attrs[0].Value != string(policy.CodeNotFound) {
		t.Errorf("%+v, %v", last, err)
	}
	f.refused(beijing, wrapped(wrapped(&ledger.Tick{})), policy.CodeInvalidRequest)
}

// TestPlatformByTwo: a platform's key comes in, or may do more, at the word of two security officers, or of the
// configuration, which names nobody.
func TestPlatformByTwo(t *testing.T) {
	t.Parallel()
	f := staff(t)
	key := platformKey("k-1")
	key.Region = string(beijing)
	for _, c := range [][2]string{
		{"officer.one", ""},
		{"", "officer.two"},
		{"officer.one", "officer.one"},
		{"li", "wang"},
		{"officer.one", "audrey"},
	} {
		f.refused(beijing, &ledger.RegisterPlatform{Platform: key, Operator: c[0], Second: c[1]}, policy.CodeForbidden)
	}
	f.done(beijing, &ledger.RegisterPlatform{Platform: key, Operator: "officer.one", Second: "officer.two"})
	key.Roles = []string{"all", "refunds"}
	f.refused(beijing, &ledger.RegisterPlatform{Platform: key, Operator: "officer.one"}, policy.CodeForbidden)
	f.done(beijing, &ledger.RevokePlatform{KeyID: "k-1", Reason: "lost"})
}
