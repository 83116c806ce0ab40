package ledger_test

import (
	"slices"
	"testing"

	"gongji/federation"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// destroy is the order of two officers.
func destroy(use, id string) *ledger.DestroyKey {
	return &ledger.DestroyKey{ID: id, Use: use, Operator: "officer.one", Second: "officer.two", Reason: "over"}
}

func (f *fed) gone(id string) *ledger.DestroyedKey {
	f.t.Helper()
	all, err := f.view(beijing).Destroyed()
	if err != nil {
		f.t.Fatal(err)
	}
	return all[id]
}

// TestKeyDestroyedByTwo: a key is ordered destroyed at the word of two security officers and of nobody else, once, and
// never comes into force again; each node's word counts once and stands in the audit log.
func TestKeyDestroyedByTwo(t *testing.T) {
	t.Parallel()
	f := staff(t)
	twin := put("officer.twin", operator.RoleSecurity)
	f.done(beijing, twin)
	for _, c := range [][2]string{
		{"officer.one", ""},
		{"", ""},
		{"officer.one", "officer.one"},
		{"officer.one", "li"},
		{"li", "wang"},
		{"officer.one", "audrey"},
		{"mallory", "officer.one"},
	} {
		order := destroy("evidence", "evidence-0")
		order.Operator, order.Second = c[0], c[1]
		f.refused(beijing, order, policy.CodeForbidden)
	}
	f.done(beijing, &ledger.StateOperator{Name: "officer.twin", State: ledger.OperatorLocked, By: "officer.one"})
	locked := destroy("evidence", "evidence-0")
	locked.Second = "officer.twin"
	f.refused(beijing, locked, policy.CodeForbidden)
	without := destroy("evidence", "evidence-0")
	without.Reason = ""
	f.refused(beijing, without, policy.CodeInvalidRequest)
	f.refused(beijing, &ledger.KeyDestroyed{ID: "evidence-0", Node: "a", End: ledger.KeyEndAbsent}, policy.CodeNotFound)

	f.done(beijing, destroy("evidence", "evidence-0"))
	if o := f.apply(beijing, destroy("evidence", "evidence-0")); !o.Replay {
		t.Errorf("a second order: %+v", o)
	}
	said := func(node string, end ledger.KeyEnd) *ledger.KeyDestroyed {
		return &ledger.KeyDestroyed{ID: "evidence-0", Node: node, End: end}
	}
	f.refused(beijing, said("a", "eaten"), policy.CodeInvalidRequest)
	f.done(beijing, said("a", ledger.KeyEndDestroyed))
	f.done(beijing, said("b", ledger.KeyEndNoRight))
	f.done(beijing, said("b", ledger.KeyEndDestroyed))
	if o := f.apply(beijing, said("b", ledger.KeyEndDestroyed)); !o.Replay {
		t.Errorf("the same word again: %+v", o)
	}
	d := f.gone("evidence-0")
	if d.At("a") != ledger.KeyEndDestroyed || d.At("b") != ledger.KeyEndDestroyed || len(d.Nodes) != 2 {
		t.Errorf("%+v", d)
	}
	var lines []string
	if err := f.view(beijing).AuditLines(1, func(e *auditlog.Entry) bool {
		if e.Line.Object == "evidence-0" {
			lines = append(lines, e.Line.Event+" "+e.Line.Node+" "+e.Line.Operator+" "+e.Line.Result)
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{
		"key_destroyed a officer.one done", "key_destroyed b officer.one refused", "key_destroyed b officer.one done",
	}; !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	f.done(beijing, &ledger.NameKeys{Token: "token-1", Data: "data-1", Evidence: "evidence-0"})
	if k := f.keys(); k.Evidence != "" {
		t.Error("a destroyed key was named")
	}
	f.done(beijing, &ledger.NameKeys{Evidence: "evidence-1"})
	f.refused(beijing, &ledger.StartRotation{Use: ledger.KeyEvidence, New: "evidence-0"}, policy.CodeInvalidRequest)
}

func (f *fed) keys() ledger.KeysRecord {
	f.t.Helper()
	k, err := f.view(beijing).Keys()
	if err != nil {
		f.t.Fatal(err)
	}
	return k
}

// TestNeededKeyStays: what is in force, comes or goes with a rotation, may have sealed somebody, or is listed in the
// directory, is not destroyed; the reason is said.
func TestNeededKeyStays(t *testing.T) {
	t.Parallel()
	f := staff(t)
	f.done(beijing, &ledger.NameKeys{Token: "token-1", Data: "data-1", Evidence: "evidence-1"})
	stays := func(use, id, why string) {
		t.Helper()
		if o := f.apply(beijing, destroy(use, id)); o.Code != ledger.CodeKeyNeeded || o.Field != why || f.gone(id) != nil {
			t.Errorf("%s: %+v", id, o)
		}
	}
	stays("token", "token-1", ledger.NeededInForce)
	stays("data", "data-1", ledger.NeededInForce)
	stays("evidence", "evidence-1", ledger.NeededInForce)
	stays("data", "data-0", ledger.NeededPersons)
	f.done(beijing, &ledger.StartRotation{Use: ledger.KeyData, New: "data-2", Operator: "officer.one"})
	stays("data", "data-2", ledger.NeededRotation)
	f.done(beijing, &ledger.ConfirmKey{Rotation: 1, Node: "a"})
	f.done(beijing, &ledger.StageRotation{Rotation: 1, Nodes: []string{"a"}})
	stays("data", "data-1", ledger.NeededRotation)
	for step := ledger.StepPersons; step <= ledger.StepOutbox; step++ {
		f.done(beijing, &ledger.RotatePage{Rotation: 1, Step: step, Last: true})
	}
	f.done(beijing, destroy("data", "data-1"))

	listed := func(change func(k *federation.Key)) {
		t.Helper()
		f.directory(func(d *federation.DirectoryData) {
			k := federation.Key{
				ID: "sign-1", Use: federation.UseSign, Public: []byte("public"), NotBefore: d.Issued, NotAfter: d.Expires,
			}
			change(&k)
			d.Members[0].Keys = []federation.Key{k}
		})
	}
	listed(func(*federation.Key) {})
	stays("sign", "sign-1", ledger.NeededListed)
	listed(func(k *federation.Key) { k.Revoked = true })
	f.done(beijing, destroy("sign", "sign-1"))
	listed(func(k *federation.Key) { k.ID, k.NotAfter = "sign-2", f.now })
	f.done(beijing, destroy("sign", "sign-2"))
}
