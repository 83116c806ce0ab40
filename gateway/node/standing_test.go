package node_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gongji/gateway/config"
)

// TestStanding: an operator sets one person's scheme and status, which decide at once; what is not of the form
// or nobody's is refused; all of it is audited without the number.
func TestStanding(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	who := insured(shanghai, 1, "郑一", "100.00")
	p := f.places(shanghai, 1, who)[0]
	startAll(t, p)
	body := func(number, name, scheme, status, operator string) string {
		return fmt.Sprintf(`{"id_number":%q,"name":%q,"scheme":%q,"status":%q,"operator":%q}`,
			number, name, scheme, status, operator)
	}
	const path = "/admin/v1/standing"
	for name, c := range map[string]struct {
		body string
		want int
	}{
		"nothing":         {"", 400},
		"behind":          {body(who.IDNumber, who.Name, "310", "2", "li") + "{}", 400},
		"unknown field":   {`{"id":"1"}`, 400},
		"no operator":     {body(who.IDNumber, who.Name, "310", "2", ""), 400},
		"number":          {body("1", who.Name, "310", "2", "li"), 400},
		"scheme":          {body(who.IDNumber, who.Name, "3100", "2", "li"), 400},
		"status":          {body(who.IDNumber, who.Name, "310", "3", "li"), 400},
		"too long":        {body(who.IDNumber, strings.Repeat("郑", 5000), "310", "1", "li"), 400},
		"another name":    {body(who.IDNumber, "郑二", "310", "2", "li"), 422},
		"without account": {body(insured(shanghai, 2, "", "").IDNumber, "郑二", "310", "2", "li"), 422},
	} {
		if got := p.operator(path, c.body); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if got := p.operator(path, body(who.IDNumber, who.Name, "390", "4", "li")); got != 204 {
		t.Fatalf("%d", got)
	}
	if got := p.books(); len(got.Accounts) != 0 { // only employees have one
		t.Errorf("%+v", got)
	}
	log := string(f.log.bytes())
	if !strings.Contains(log, "standing_set") || !strings.Contains(log, "identity_mismatch") ||
		strings.Contains(log, who.IDNumber) {
		t.Errorf("audited: %s", log)
	}
}

// TestPeopleAgain: an operator imports a people file again.
func TestPeopleAgain(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	who := insured(shanghai, 1, "郑一", "100.00")
	p := f.places(shanghai, 1, who)[0]
	startAll(t, p)
	file := func(people ...config.Person) string {
		b, err := json.Marshal(config.People{People: people})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	const path = "/admin/v1/people"
	wrong, more := insured(shanghai, 3, "郑三", "1"), insured(shanghai, 2, "郑二", "200.00")
	if got := p.operator(path, file(more, wrong)); got != 400 {
		t.Errorf("a wrong one: %d", got)
	}
	if got := p.operator(path, "{"); got != 400 {
		t.Errorf("no file: %d", got)
	}
	who.Balance = "999.00"
	if got := p.operator(path, file(who, more)); got != 204 {
		t.Fatalf("%d", got)
	}
	got := p.books()
	if len(got.Accounts) != 2 || got.Accounts[0].Balance != "100.00" || got.Accounts[1].Balance != "200.00" {
		t.Errorf("%+v", got)
	}
}

// TestRebuildByOperator: an operator begins the rebuild of the index and sees how far it has come.
func TestRebuildByOperator(t *testing.T) {
	t.Parallel()
	f := newField(t, shanghai)
	p := f.places(shanghai, 1)[0]
	startAll(t, p)
	if got := p.operator("/admin/v1/index/rebuild", ""); got != 202 {
		t.Errorf("%d", got)
	}
	if status, body := p.admin("GET", "/admin/v1/index"); status != 200 || !strings.Contains(string(body), "rebuilds") {
		t.Errorf("%d %s", status, body)
	}
}
