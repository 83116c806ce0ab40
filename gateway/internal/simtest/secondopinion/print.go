package secondopinion

import (
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
)

// Yuan writes fen as a person reads them; None as a dash.
func Yuan(fen int) string {
	if fen == None {
		return "-"
	}
	sign := ""
	if fen < 0 {
		sign, fen = "-", -fen
	}
	return fmt.Sprintf("%s%d.%02d", sign, fen/100, fen%100)
}

// table lines columns up; each row is one string with tabs.
func table(rows []string) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 4, 2, ' ', 0)
	for _, r := range rows {
		_, _ = fmt.Fprintln(t, "  "+r)
	}
	_ = t.Flush()
	return b.String()
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func amounts(m map[string]int, show func(int) string) string {
	var parts []string
	for _, k := range sorted(m) {
		parts = append(parts, k+" "+show(m[k]))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func share(s int) string { return fmt.Sprintf("%d.%04d", s/10000, s%10000) }

func dash(words ...string) string {
	if s := strings.Join(words, " "); s != "" {
		return s
	}
	return "-"
}

func scopes(r *Region) []string {
	var out []string
	for _, s := range sorted(r.ScopePurposes) {
		out = append(out, s+": "+dash(r.ScopePurposes[s]...))
	}
	return out
}

func pairs(r *Region) []string {
	var out []string
	for _, p := range r.Pairs {
		out = append(out, p.Region+" from "+p.From+" to "+dash(p.Until))
	}
	return out
}

func modes(r *Region) []string {
	var out []string
	if r.CarriedOver {
		out = append(out, "carried_over_only")
	}
	if r.ZeroOnly {
		out = append(out, "zero_only")
	}
	return out
}

// String is the world as tables that a person can read.
func (w *World) String() string {
	var b strings.Builder
	b.WriteString("It is " + w.Now + " in Beijing. Closed: " + dash(sorted(w.Closed)...) + "\nregions\n")
	rows := []string{"code\tshare\traised\tfloor\tvisit limits\tpurposes\tby scope\tpairs\trelations\tmodes"}
	for _, code := range sorted(w.Regions) {
		r := w.Regions[code]
		rows = append(rows, strings.Join([]string{
			code, share(r.Share), amounts(r.PurposeShare, share), Yuan(r.Floor), amounts(r.VisitLimit, Yuan),
			dash(r.Purposes...), dash(scopes(r)...), dash(pairs(r)...), dash(r.Relations...), dash(modes(r)...),
		}, "\t"))
	}
	b.WriteString(table(rows) + "persons\n")
	rows = []string{"who\thome\tscheme\tstatus\tbalance\theld\topenings\tcredited since"}
	for _, name := range sorted(w.Persons) {
		p := w.Persons[name]
		rows = append(rows, fmt.Sprintf("%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s", name, p.Region, p.Scheme, p.Status,
			Yuan(w.Balance(name)), Yuan(w.Held(name)), amounts(p.Opening, Yuan), amounts(p.Credited, Yuan)))
	}
	b.WriteString(table(rows) + "grants, as they were made\n")
	rows = []string{"id\tpayer\tbeneficiary\trelation\tstatus\tfrom\tuntil\tat once\ta year\tvirtual\tleft"}
	for _, g := range w.Grants {
		rows = append(rows, strings.Join([]string{
			g.ID, g.Payer, g.Beneficiary, g.Relation, g.Status, g.From, dash(g.Until), Yuan(g.PerPayment), Yuan(g.Annual),
			Yuan(g.Virtual), strings.TrimSpace(Yuan(g.Left) + " " + g.LeftYear),
		}, "\t"))
	}
	b.WriteString(table(rows) + "holds\n")
	rows = []string{"payment\tgrant\tpayer\tvisit\tyear\tstate\tamount\tcaptured\trefunded\tlimited by"}
	for _, h := range w.Holds {
		rows = append(rows, strings.Join([]string{
			h.Payment, h.Grant, h.Payer, h.VisitRegion + "/" + h.Visit, h.Year, h.State, Yuan(h.Amount), Yuan(h.Captured),
			Yuan(h.Refunded), dash(h.LimitedBy),
		}, "\t"))
	}
	b.WriteString(table(rows))
	for _, who := range sorted(w.Order) {
		b.WriteString("order of " + who + ": " + dash(w.Order[who]...) + "\n")
	}
	return b.String()
}

// String is a request in one line; what is as usual is left out.
func (r Request) String() string {
	line := fmt.Sprintf("%s asks in %s for %s: %s %s, %s, %s/%s with %s self-borne", r.ID, r.VisitRegion, r.Beneficiary,
		r.Purpose, Yuan(r.Amount), r.Visit, r.Institution, r.Bill, Yuan(r.SelfBorne))
	if r.OwnPaid != 0 {
		line += ", own account " + Yuan(r.OwnPaid)
	}
	if r.FundPaid+r.SelfBorne != r.Total {
		line += fmt.Sprintf(", total %s, funds %s", Yuan(r.Total), Yuan(r.FundPaid))
	}
	if !r.AllowPartial {
		line += ", all or nothing"
	}
	if r.Auto {
		line += ", confirmed at once"
	}
	if r.Named != nil {
		line += ", grants " + dash(r.Named...)
	}
	if r.Credential != "e_credential" || r.HolderIsOther {
		line += fmt.Sprintf(", %s (another's %v, remote %v)", r.Credential, r.HolderIsOther, r.RemoteUse)
	}
	if r.Undesignated {
		line += ", not designated"
	}
	return line
}

// Shown is a payment as both sides of a comparison write it.
type Shown struct {
	Status                                    string
	Held, Amount, Captured, Refunded, CashDue int
	Legs                                      []string // LegLine
	Declines                                  []Decline
}

// String is the payment in one line; the declines stand by grant, since their order is not part of the rules. A
// declined payment shows no legs.
func (s Shown) String() string {
	parts := []string{fmt.Sprintf("%s %s of %s, took %s, gave back %s, cash due %s",
		s.Status, Yuan(s.Held), Yuan(s.Amount), Yuan(s.Captured), Yuan(s.Refunded), Yuan(s.CashDue))}
	if s.Status != "declined" {
		parts = append(parts, s.Legs...)
	}
	lines := make([]string, 0, len(s.Declines))
	for _, d := range s.Declines {
		lines = append(lines, "-"+d.Grant+" "+d.Code)
	}
	sort.Strings(lines)
	return strings.Join(append(parts, lines...), "; ")
}

// Show is a payment as it stands.
func (w *World) Show(p *Payment) Shown {
	s := Shown{Status: p.Status, Held: p.Held, Amount: p.Amount, CashDue: p.CashDue(), Declines: p.Declines}
	s.Captured, s.Refunded = w.Captured(p)
	for _, h := range w.HoldsOf(p.ID) {
		s.Legs = append(s.Legs, LegLine(h.Grant, h.State, h.Amount, h.Captured, h.Refunded, h.LimitedBy))
	}
	return s
}

// LegLine is one leg in an answer.
func LegLine(grant, state string, amount, captured, refunded int, limitedBy string) string {
	line := fmt.Sprintf("%s %s %s", grant, state, Yuan(amount))
	if captured > 0 || refunded > 0 {
		line += fmt.Sprintf(" took %s gave back %s", Yuan(captured), Yuan(refunded))
	}
	if limitedBy != "" {
		line += " (" + limitedBy + ")"
	}
	return line
}
