package api_test

import (
	"strings"
	"testing"

	"gongji/gateway/internal/api"
)

// TestRoles is the whole table: every operation, and which roles may ask for it. a: all, r: read, p: payments,
// g: grants, b: refunds (back office), s: statements.
func TestRoles(t *testing.T) {
	t.Parallel()
	table := map[string]string{
		"getCommitment": "arpgbs", "getRules": "arpgbs",
		"createGrant": "ag", "getGrant": "arg", "searchGrants": "arg", "patchGrant": "ag", "revokeGrant": "ag",
		"acceptGrant": "ag", "renounceGrant": "ag", "setOrder": "ag", "createMandate": "ag", "listMandates": "arg",
		"deleteMandates": "ag",
		"createPayment":  "ap", "quote": "arp", "getPayment": "arpb", "searchPayments": "arpb", "confirmPayment": "ap",
		"cancelPayment": "ap", "completePayment": "ap", "getTrace": "arpb", "getEvidence": "arpb",
		"createRefund": "apb", "listRefunds": "arpb", "getRefund": "arpb",
		"quotas": "args", "statements": "args",
	}
	letters := map[string]api.Role{
		"a": api.RoleAll, "r": api.RoleRead, "p": api.RolePayments, "g": api.RoleGrants, "b": api.RoleRefunds,
		"s": api.RoleStatements,
	}
	if len(letters) != len(api.Roles()) {
		t.Errorf("%d roles are in the table, there are %q", len(letters), api.Roles())
	}
	for _, op := range api.Operations() {
		want, listed := table[op.ID]
		if !listed {
			t.Errorf("%s is not in the table: who may ask for it?", op.ID)
			continue
		}
		delete(table, op.ID)
		for letter, role := range letters {
			if got := role.May(op); got != strings.Contains(want, letter) {
				t.Errorf("%s by %s: %t", op.ID, role, got)
			}
			if op.Write && role == api.RoleRead && role.May(op) {
				t.Errorf("%s is a write that a reader may ask for", op.ID)
			}
		}
	}
	if len(table) > 0 {
		t.Errorf("no operations: %v", table)
	}
	for _, roles := range [][]api.Role{nil, {"admin"}, {api.RoleRead, ""}, make([]api.Role, 100)} {
		if api.ValidRoles(roles) {
			t.Errorf("%q are valid", roles)
		}
	}
}

// TestSeveralRoles: a key may do what any of its roles may, and nothing else is done for it.
func TestSeveralRoles(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k-two")
	e := newEnv(t, func(d *api.Deps) {
		d.Keys = keysOf(k.platform(t, "desk", api.RoleRefunds, api.RoleStatements))
	})
	for i, c := range []struct {
		line   string
		status int
	}{
		{"GET /v1/payments/p1", 200},
		{"GET /v1/payments/p1/refunds", 200},
		{"GET /v1/rules", 200},
		{"GET /v1/grants/g1", 403},
		{"DELETE /v1/grants/g1?request_id=x", 403},
	} {
		method, target, _ := strings.Cut(c.line, " ")
		if r := e.call(t, e.leader, method, target, "", k.headers(t, c.line, "", now(), nonce(i))...); r.status != c.status {
			t.Errorf("%s: %d %s", c.line, r.status, r.body)
		}
	}
}
