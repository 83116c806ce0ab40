package golden

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
)

// show tells an answer in a few lines.
func (w *world) show(a answer) ([]string, error) {
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(string(a.body)))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("golden: %d with %q: %w", a.status, a.body, err)
	}
	head := fmt.Sprint(a.status)
	if a.replay {
		head += " again"
	}
	var lines []string
	switch {
	case a.status >= http.StatusBadRequest:
		lines = []string{w.problem(m)}
	case m["legs"] != nil && m["cash_due"] != nil:
		lines = w.payment(m)
	case m["refund_id"] != nil:
		lines = w.refund(m)
	case m["mandate_id"] != nil:
		lines = w.mandate(m)
	case m["grant_id"] != nil && m["relation"] != nil:
		lines = []string{w.grant(m)}
	default:
		lines = w.anything(m)
	}
	lines[0] = strings.TrimSpace(head + " " + lines[0])
	return lines, nil
}

// part is a field with the words around it.
type part struct{ before, key, after string }

// told tells the fields that are there.
func told(m map[string]any, parts []part) string {
	var b strings.Builder
	for _, p := range parts {
		if v := text(m, p.key); v != "" {
			b.WriteString(p.before + v + p.after)
		}
	}
	return b.String()
}

func text(m map[string]any, key string) string {
	switch v := m[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func list(m map[string]any, key string) []map[string]any {
	all, _ := m[key].([]any)
	var out []map[string]any
	for _, x := range all {
		if one, ok := x.(map[string]any); ok {
			out = append(out, one)
		}
	}
	return out
}

func (w *world) problem(m map[string]any) string {
	s := text(m, "code") + told(m, []part{
		{" at ", "field", ""}, {", refused by ", "origin", ""}, {", ask ", "region", ""}, {", hotline ", "hotline", ""},
	})
	if o := text(m, "outcome"); o != client.OutcomeNone {
		s += ", outcome " + o
	}
	if text(m, "retryable") == "true" {
		s += ", may be tried again"
	}
	return s
}

// known are the fields of a payment, leg and decline that the lines tell by themselves; others are added at the end.
var (
	paymentFields = []string{
		"payment_id", "status", "amount", "held", "captured", "refunded", "cash_due", "decide_by", "legs", "declines",
	}
	legFields = []string{
		"hold_id", "grant_id", "payer", "region", "status", "amount", "captured", "refunded", "limited_by",
	}
	declineFields = []string{"grant_id", "region", "code", "message", "message_zh"}
	refundFields  = []string{
		"refund_id", "payment_id", "status", "amount", "reason", "code", "created", "legs",
	}
	mandateFields = []string{"mandate_id", "status", "purpose", "grant_id", "max_amount", "results"}
	resultFields  = []string{"year", "status", "amount", "payment_id", "code", "time"}
	entryFields   = []string{
		"time", "kind", "amount", "payment_id", "hold_id", "purpose", "institution", "counterparty", "status",
	}
	refundLegFields = []string{"hold_id", "grant_id", "region", "amount", "status", "code"}
	grantFields     = []string{
		"grant_id", "status", "hotline", "payer", "beneficiary", "relation", "channel", "consent", "proofs", "valid_from",
		"valid_until", "per_payment_limit", "annual_limit", "funding", "limit", "request_id", "end_cause",
	}
)

func (w *world) payment(m map[string]any) []string {
	name := w.names.of(aPayment, text(m, "payment_id"))
	if name == "" {
		name = "quote"
	}
	s := fmt.Sprintf("%s %s: %s asked, %s held", name, text(m, "status"), text(m, "amount"), text(m, "held"))
	if v := text(m, "captured"); v != "0.00" {
		s += ", " + v + " captured"
	}
	if v := text(m, "refunded"); v != "0.00" {
		s += ", " + v + " refunded"
	}
	s += ", " + text(m, "cash_due") + " cash due"
	if v := text(m, "decide_by"); v != "" && text(m, "status") == client.PaymentHeld {
		s += ", decide by " + w.time(v)
	}
	lines := []string{s + w.rest(m, paymentFields)}
	for _, l := range list(m, "legs") {
		w.names.of(aHold, text(l, "hold_id"))
		lines = append(lines, w.leg(l))
	}
	for _, d := range list(m, "declines") {
		lines = append(lines, fmt.Sprintf("declined %s at %s: %s%s", w.names.of(aGrant, text(d, "grant_id")),
			text(d, "region"), text(d, "code"), w.rest(d, declineFields)))
	}
	return lines
}

func (w *world) leg(l map[string]any) string {
	s := fmt.Sprintf("leg %s of %s at %s: %s ", w.names.of(aGrant, text(l, "grant_id")), w.masked(l["payer"]),
		text(l, "region"), text(l, "status"))
	if v := text(l, "captured"); v != "0.00" && v != text(l, "amount") {
		s += v + " of "
	}
	s += text(l, "amount")
	if v := text(l, "refunded"); v != "0.00" {
		s += ", " + v + " refunded"
	}
	if v := text(l, "limited_by"); v != "" {
		s += ", limited by " + v
	}
	return s + w.rest(l, legFields)
}

func (w *world) refund(m map[string]any) []string {
	s := fmt.Sprintf("%s %s: %s of %s", w.names.of(aRefund, text(m, "refund_id")), text(m, "status"), text(m, "amount"),
		w.names.of(aPayment, text(m, "payment_id")))
	lines := []string{s + told(m, []part{{", ", "code", ""}}) + w.rest(m, refundFields)}
	for _, l := range list(m, "legs") {
		lines = append(lines, fmt.Sprintf("leg %s at %s: %s %s%s", w.names.of(aGrant, text(l, "grant_id")), text(l, "region"),
			text(l, "status"), text(l, "amount"), told(l, []part{{", ", "code", ""}})+w.rest(l, refundLegFields)))
	}
	return lines
}

func (w *world) mandate(m map[string]any) []string {
	s := fmt.Sprintf("%s %s: %s under %s", w.names.of(aMandate, text(m, "mandate_id")), text(m, "status"),
		text(m, "purpose"), w.names.of(aGrant, text(m, "grant_id")))
	lines := []string{s + told(m, []part{{", at most ", "max_amount", ""}}) + w.rest(m, mandateFields)}
	for _, r := range list(m, "results") {
		s := fmt.Sprintf("for %s: %s %s", text(r, "year"), text(r, "status"), text(r, "amount"))
		if id := text(r, "payment_id"); id != "" {
			s += " by " + w.names.of(aPayment, id)
		}
		s += told(r, []part{{", ", "code", ""}}) + ", " + w.time(text(r, "time"))
		lines = append(lines, s+w.rest(r, resultFields))
	}
	return lines
}

// entry is a line of a statement.
func (w *world) entry(m map[string]any) string {
	w.names.of(aHold, text(m, "hold_id"))
	return fmt.Sprintf("%s %s %s: %s, %s at %s, with %s, now %s%s", w.time(text(m, "time")), text(m, "kind"),
		text(m, "amount"), w.names.of(aPayment, text(m, "payment_id")), text(m, "purpose"), text(m, "institution"),
		w.masked(m["counterparty"]), text(m, "status"), w.rest(m, entryFields))
}

func (w *world) grant(m map[string]any) string {
	s := fmt.Sprintf("%s %s: %s→%s, %s, %s, from %s", w.names.of(aGrant, text(m, "grant_id")), text(m, "status"),
		w.masked(m["payer"]), w.masked(m["beneficiary"]), text(m, "relation"), text(m, "channel"), text(m, "valid_from"))
	s += told(m, []part{
		{" until ", "valid_until", ""},
		{", ", "per_payment_limit", " a payment"},
		{", ", "annual_limit", " a year"},
		{", ended by ", "end_cause", ""},
		{", virtual limit ", "limit", ""},
		{", hotline ", "hotline", ""},
	})
	return s + w.rest(m, grantFields)
}

// rest tells what an answer has beside the fields that the line tells.
func (w *world) rest(m map[string]any, known []string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, key) {
			b.WriteString(", " + key + " " + w.word(key, m[key]))
		}
	}
	return b.String()
}

// masked is a person by the name that the situation gave, or as the answer shows them.
func (w *world) masked(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return "nobody"
	}
	for _, called := range w.order {
		p := w.people[called].Masked()
		if p.IDNumber == text(m, "id_number") && p.Name == text(m, "name") && p.Region == text(m, "region") {
			return called
		}
	}
	return fmt.Sprintf("%s %s (%s)", text(m, "name"), text(m, "id_number"), text(m, "region"))
}

// time tells a moment to the minute, and its day if it is not today.
func (w *world) time(v string) string {
	at, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return v
	}
	at = at.In(beijing()).Round(time.Minute)
	if at.Format(time.DateOnly) == w.now().In(beijing()).Format(time.DateOnly) {
		return at.Format("15:04")
	}
	return at.Format("2006-01-02 15:04")
}

// kinds of the ids, by the fields that hold them.
var kinds = map[string]string{
	"grant_id": aGrant, "payment_id": aPayment, "hold_id": aHold, "refund_id": aRefund, "mandate_id": aMandate,
	"grants": aGrant,
}

// silent are fields that say nothing to a reader.
var silent = []string{"message", "message_zh", "text", "text_zh", "digest", "title", "title_zh", "detail", "detail_zh"}

// anything tells an answer of any other form: its plain fields in one line, and a line for each thing in its lists.
func (w *world) anything(m map[string]any) []string {
	lines := []string{w.fields(m)}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all := list(m, key)
		for _, one := range all {
			switch {
			case key == "payments":
				lines = append(lines, w.payment(one)...)
			case key == "mandates":
				lines = append(lines, w.mandate(one)...)
			case key == "refunds":
				lines = append(lines, w.refund(one)...)
			case key == "entries":
				lines = append(lines, w.entry(one))
			case key == "grants" && one["payer"] != nil:
				lines = append(lines, w.grant(one))
			default:
				inner := w.anything(one)
				inner[0] = strings.TrimSuffix(key, "s") + " " + inner[0]
				for i := range inner[1:] {
					inner[i+1] = "  " + inner[i+1]
				}
				lines = append(lines, inner...)
			}
		}
		if a, ok := m[key].([]any); ok && (len(a) == 0 || len(all) > 0) {
			lines[0] = strings.TrimSpace(fmt.Sprintf("%s %s: %d", lines[0], key, len(a)))
		}
	}
	return lines
}

// fields tells the plain fields of an object.
func (w *world) fields(m map[string]any) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(silent, key) || len(list(m, key)) > 0 {
			continue
		}
		if all, ok := m[key].([]any); ok && len(all) == 0 {
			continue
		}
		parts = append(parts, key+" "+w.word(key, m[key]))
	}
	return strings.Join(parts, ", ")
}

// word tells one value.
func (w *world) word(key string, v any) string {
	switch v := v.(type) {
	case string:
		if kind := kinds[key]; kind != "" {
			return w.names.of(kind, v)
		}
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return w.time(v)
		}
		return v
	case []any:
		var words []string
		for _, x := range v {
			words = append(words, w.word(key, x))
		}
		return strings.Join(words, " ")
	case map[string]any:
		if v["id_number"] != nil {
			return w.masked(v)
		}
		return "(" + w.fields(v) + ")"
	default:
		return fmt.Sprint(v)
	}
}
