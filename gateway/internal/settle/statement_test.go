package settle_test

import (
	"strings"
	"testing"
	"time"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/wire/wirepb"
)

// TestStatementAsk: a payer's home tells the beneficiary's home of that person's grants, in pages, and
// nobody else of anything.
func TestStatementAsk(t *testing.T) {
	two(t, regiontest.Config{}, func(t *testing.T, f *regiontest.Federation) {
		bj, sh := f.Regions[beijing], f.Regions[shanghai]
		payer := regiontest.Employee(string(beijing), "李秀英", 7, 100_000)
		who, other := beneficiary(), regiontest.Resident(string(shanghai), "王小红", 8)
		for r, p := range map[*regiontest.Region][]regiontest.Person{bj: {payer}, sh: {who, other}} {
			if err := r.Open(t.Context(), p...); err != nil {
				t.Fatal(err)
			}
		}
		var made []string
		for _, p := range []regiontest.Person{who, other} {
			id, err := bj.Grant(t.Context(), payer, p)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, id)
			for _, visit := range []string{"v-1", "v-2"} {
				if _, err = sh.Pay(t.Context(), p, p.Name+visit, "10.00"); err != nil {
					t.Fatal(err)
				}
			}
		}
		mine, theirs := made[0], made[1]
		passes(time.Second)
		day := policy.Day(time.Now()).String()
		ask := func(as regiontest.Person, change func(*wirepb.StatementAsk)) *wirepb.StatementAnswer {
			t.Helper()
			q := &wirepb.StatementAsk{Grants: []string{mine, "g-110000-none"}, From: day, To: day, Limit: 1000}
			change(q)
			body := &wirepb.Body{Kind: &wirepb.Body_StatementAsk{StatementAsk: q}}
			a, err := sh.Settler.Ask(t.Context(), beijing, body, as.Identity())
			if err != nil || a.Body.GetStatementAnswer() == nil {
				t.Fatalf("%v, %v", a.Body, err)
			}
			return a.Body.GetStatementAnswer()
		}
		all := ask(who, func(*wirepb.StatementAsk) {})
		if len(all.GetEntries()) != 2 || all.GetNext() != "" ||
			all.GetEntries()[0].GetCounterparty() != payer.Masked().IDNumber ||
			all.GetEntries()[0].GetCounterpartyRegion() != string(beijing) {
			t.Fatalf("%v", all)
		}
		first := ask(who, func(q *wirepb.StatementAsk) { q.Limit = 1 })
		rest := ask(who, func(q *wirepb.StatementAsk) { q.After = first.GetNext() })
		if len(first.GetEntries()) != 1 || len(rest.GetEntries()) != 1 ||
			rest.GetEntries()[0].GetKey() != all.GetEntries()[1].GetKey() {
			t.Errorf("%v then %v", first, rest)
		}
		stranger := who
		stranger.Region = string(beijing)
		many := make([]string, settle.StatementGrantsMax+1)
		for name, a := range map[string]*wirepb.StatementAnswer{
			"another's grant": ask(who, func(q *wirepb.StatementAsk) { q.Grants = []string{theirs} }),
			"another's home":  ask(stranger, func(*wirepb.StatementAsk) {}),
			"nobody known":    ask(regiontest.Resident(string(shanghai), "王无名", 9), func(*wirepb.StatementAsk) {}),
			"no day":          ask(who, func(q *wirepb.StatementAsk) { q.From = "today" }),
			"no last day":     ask(who, func(q *wirepb.StatementAsk) { q.To = "" }),
			"backwards":       ask(who, func(q *wirepb.StatementAsk) { q.To = "1999-01-01" }),
			"too many days":   ask(who, func(q *wirepb.StatementAsk) { q.From = "1990-01-01" }),
			"too many grants": ask(who, func(q *wirepb.StatementAsk) { q.Grants = many }),
			"no cursor":       ask(who, func(q *wirepb.StatementAsk) { q.After = strings.Repeat("x", 40) }),
		} {
			if len(a.GetEntries()) != 0 || a.GetNext() != "" {
				t.Errorf("%s: %v", name, a)
			}
		}
	})
}
