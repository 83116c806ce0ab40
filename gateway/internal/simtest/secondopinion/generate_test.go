package secondopinion_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"gongji/gateway/internal/simtest/secondopinion"
)

// situation is one request in a world with a past, and what the platform then decides.
type situation struct {
	world   *secondopinion.World
	request secondopinion.Request
	confirm int // of what is held, in hundredths
}

// GoString is what rapid prints of a draw; the failure itself prints the tables.
func (situation) GoString() string { return "a situation" }

func (s situation) String() string {
	return fmt.Sprintf("%s%s\nthen %d %% of what is held is confirmed\n", s.world, s.request, s.confirm)
}

const (
	patient = "patient"
	amounts = 99_999_999_999_999 // the largest amount of the API's form
)

var (
	codes     = []string{"350100", "350200", "110000"} // two of one province
	relations = []string{"spouse", "parent", "child", "sibling"}
	purposes  = []string{"outpatient", "inpatient", "chronic", "checkup"}
	days      = []string{"2026-12-31", "2026-12-30", "2027-01-01", "2025-12-31", "2027-12-31"}
)

// drawer draws one situation. Its amounts come from a small pool, a fen up or down, so that limits meet.
type drawer struct {
	t    *rapid.T
	pool []int
}

func (d *drawer) n(most int, what string) int { return rapid.IntRange(0, most).Draw(d.t, what) }
func (d *drawer) rarely(what string) bool     { return d.n(9, what) == 9 }

func pick[T any](d *drawer, from []T, what string) T { return from[d.n(len(from)-1, what)] }

func (d *drawer) amount(what string) int {
	a := pick(d, d.pool, what) + pick(d, []int{0, 0, 0, 1, -1}, what+" off")
	return min(max(a, 0), amounts)
}

func (d *drawer) optional(what string) int {
	if d.n(2, what+" set") < 2 {
		return secondopinion.None
	}
	return max(d.amount(what), 1)
}

func (d *drawer) subset(words []string, what string) []string {
	var out []string
	for _, w := range words {
		if !d.rarely(what + " " + w) {
			out = append(out, w)
		}
	}
	return out
}

func situations() *rapid.Generator[situation] {
	return rapid.Custom(func(t *rapid.T) situation {
		d := &drawer{t: t, pool: []int{100_00}}
		for i := range 2 {
			d.pool = append(d.pool, rapid.SampledFrom([]int{
				0, 1, 2, 3, 60, 99_99, 100_00, 166_66, 166_67, 500_00, 2_000_00, 4_084_00, amounts / 2, amounts,
			}).Draw(t, fmt.Sprint("pool ", i)))
		}
		w := secondopinion.New(pick(d, days, "day") + pick(d, []string{" 12:00:00", " 00:00:00", " 23:59:59"}, "time"))
		d.regions(w)
		d.people(w)
		d.past(w)
		s := situation{world: w, request: d.request(), confirm: 100 - d.n(100, "not confirmed")}
		return s
	})
}

func (d *drawer) regions(w *secondopinion.World) {
	for i, code := range codes {
		r := &secondopinion.Region{
			Share:        pick(d, []int{10_000, 6_000, 7_000, 5_000, 9_999, 1, 0}, "share"),
			PurposeShare: map[string]int{}, VisitLimit: map[string]int{},
			Purposes: d.subset(purposes, "purpose"), Relations: d.subset(relations, "relation"),
		}
		if d.n(2, "floor") == 2 {
			r.Floor = d.amount("floor")
		}
		d.scopes(code, r)
		if d.n(2, "raised") == 2 {
			r.PurposeShare["chronic"] = min(r.Share+1_000, 10_000)
		}
		for _, p := range purposes {
			if d.n(2, "visit limit") == 2 {
				r.VisitLimit[p] = max(d.amount("visit limit"), 1)
			}
		}
		w.Regions[code] = r
		for _, other := range codes[:i] {
			if d.rarely("closed") {
				w.Closed[secondopinion.Pair(code, other)] = true
			}
		}
	}
}

// scopes are the rules that depend on where the visit is, and the two modes.
func (d *drawer) scopes(code string, r *secondopinion.Region) {
	r.CarriedOver, r.ScopePurposes = d.rarely("carried over only"), map[string][]string{}
	for _, s := range []string{"same_region", "same_province", "cross_province"} {
		if d.rarely("scope") {
			r.ScopePurposes[s] = d.subset(purposes, "purpose in scope")
		}
	}
	for _, other := range codes {
		if other[:2] != code[:2] && d.rarely("pair") {
			r.Pairs = append(r.Pairs, secondopinion.Open{Region: other, From: pick(d, days, "pair from")})
		}
	}
}

func (d *drawer) people(w *secondopinion.World) {
	w.Persons[patient] = &secondopinion.Person{
		Region: pick(d, codes, "home"), Scheme: 390, Status: 1, Opening: map[string]int{},
	}
	payers := 1 + d.n(2, "payers")
	for i := range payers {
		p := &secondopinion.Person{
			Region: pick(d, codes, "payer's home"), Scheme: 310, Status: 1, Paid: d.amount("balance"),
			Opening: map[string]int{w.Now[:4]: d.amount("opening")}, Credited: map[string]int{},
		}
		if d.rarely("credited") {
			p.Credited[w.Now[:4]] = min(d.amount("credit"), p.Paid)
		}
		switch d.n(19, "standing") {
		case 17:
			p.Scheme = 390
		case 18:
			p.Status = 2
		case 19:
			p.Status = 4
		}
		w.Persons[fmt.Sprint("payer", i+1)] = p
	}
	var ids []string
	for i := range payers + d.n(1, "more grants") {
		g := &secondopinion.Grant{
			ID: fmt.Sprint("grant", i+1), Payer: fmt.Sprint("payer", i%payers+1), Beneficiary: patient,
			Relation: pick(d, relations, "relation"), Status: "active", From: "2020-01-01",
			PerPayment: d.optional("at once"), Annual: d.optional("a year"),
		}
		if d.rarely("status") {
			g.Status = pick(d, []string{"suspended", "revoked", "ended", "pending_beneficiary"}, "which status")
		}
		if d.rarely("from") {
			g.From = pick(d, days, "which from")
		}
		if d.rarely("until") {
			g.Until = pick(d, days, "which until")
		}
		w.Grants = append(w.Grants, g)
		ids = append(ids, g.ID)
	}
	if d.n(2, "ordered") == 2 {
		order := rapid.Permutation(ids).Draw(d.t, "order")
		w.Order[patient] = order[:d.n(len(order), "listed")]
	}
}

// past are holds that came before, whatever the limits were then.
func (d *drawer) past(w *secondopinion.World) {
	for i := range d.n(4, "past holds") {
		g := pick(d, w.Grants, "past grant")
		h := &secondopinion.Hold{
			Payment: fmt.Sprint("past", i+1), Grant: g.ID, Payer: g.Payer, VisitRegion: pick(d, codes, "past region"),
			Visit: pick(d, []string{"visit1", "visit2"}, "past visit"), Year: pick(d, []string{w.Now[:4], "2025"}, "past year"),
			Amount: max(d.amount("past amount"), 1),
			State:  pick(d, []string{"placed", "captured", "released"}, "past state"),
		}
		if h.State == "captured" {
			h.Captured = max(1, h.Amount-pick(d, []int{0, 1, h.Amount / 2}, "not taken"))
			w.Persons[g.Payer].Paid += h.Captured // so that the balance stays what was drawn
		}
		w.Holds = append(w.Holds, h)
	}
}

func (d *drawer) request() secondopinion.Request {
	r := secondopinion.Request{
		ID: "payment", VisitRegion: pick(d, codes, "visit region"), Beneficiary: patient, Credential: "e_credential",
		Purpose: pick(d, purposes, "purpose"), Visit: "visit1", Institution: "hospital", Bill: "bill",
		Amount: max(d.amount("asked"), 1), AllowPartial: !d.rarely("all or nothing"),
	}
	r.Total, r.SelfBorne = r.Amount, r.Amount
	if d.rarely("named") {
		r.Named = []string{"grant2", "grant9", "grant1"}
	}
	return r
}

// against lays both answers side by side.
func against(s situation, program, second string) string {
	return "\n" + strings.Join([]string{s.String(), "the program:        " + program, "the second opinion: " + second}, "\n")
}
