package policy

import (
	"fmt"
	"strconv"

	"gongji/gateway/internal/money"
)

// RulesBytesMax bounds the bytes of one version of rules: InstitutionsMax institutions of
// ordinary length fit. With the head of its command it is what a log takes in one (consensus.CommandMax).
const RulesBytesMax = 1<<20 - 1<<10

// EncodeRules writes the canonical form: a JSON object with the keys in a fixed order, no
// white space, lists in canonical order. Equal rules give equal bytes. ErrRules if the
// rules are not valid or longer than RulesBytesMax.
func EncodeRules(r Rules) ([]byte, error) {
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		return nil, err
	}
	w := &writer{}
	w.open('{')
	w.key("region").text(r.Region)
	w.key("effective_from").text(r.EffectiveFrom.String())
	r.writePublic(w)
	if len(r.PurposeShares) > 0 {
		w.key("purpose_shares").open('{')
		for _, s := range r.PurposeShares {
			w.key(string(s.Purpose)).text(s.Share.String())
		}
		w.close('}')
	}
	w.key("consent").text(string(r.Consent))
	w.key("commitment").open('{')
	w.key("version").text(r.Commitment.Version)
	w.key("text").text(r.Commitment.Text)
	w.key("text_zh").text(r.Commitment.TextZH)
	w.close('}')
	w.key("institutions").open('[')
	for _, i := range r.Institutions {
		w.element().open('{')
		w.key("code").text(i.Code)
		w.key("name").text(i.Name)
		w.key("kind").text(string(i.Kind))
		writeWords(w.key("purposes"), i.Purposes)
		w.close('}')
	}
	w.close(']')
	if r.EmergencyDays > 0 {
		w.key("emergency_days").integer(r.EmergencyDays)
	}
	if len(r.Premiums) > 0 {
		w.key("premiums").open('{')
		for _, p := range r.Premiums {
			w.key(string(p.Purpose)).open('{')
			w.key("amount").text(p.Amount.String())
			w.key("season_from").text(formatMonthDay(p.SeasonFrom))
			w.key("season_to").text(formatMonthDay(p.SeasonTo))
			w.close('}')
		}
		w.close('}')
	}
	r.writeScopes(w)
	w.close('}')
	if len(w.b) > RulesBytesMax {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrRules, RulesBytesMax)
	}
	return w.b, nil
}

// PublicJSON writes the public part of the rules, as GET /v1/rules and session.json show it
// (api.md section 6), from rules that are valid.
func (r *Rules) PublicJSON() []byte {
	w := &writer{}
	w.open('{')
	r.writePublic(w)
	w.close('}')
	return w.b
}

// writePublic writes the keys that api.md section 6 fixes.
func (r *Rules) writePublic(w *writer) {
	w.key("annual_share").text(r.AnnualShare.String())
	w.key("retained_floor").text(r.RetainedFloor.String())
	w.key("visit_limits").open('{')
	for _, l := range r.VisitLimits {
		w.key(string(l.Purpose)).text(l.Limit.String())
	}
	w.close('}')
	w.key("decide_within_seconds_max").integer(r.DecideWithinSecondsMax)
	writeWords(w.key("purposes"), r.Purposes)
	writeWords(w.key("relations"), r.Relations)
	w.key("hotline").text(r.Hotline)
}

func writeWords[T ~string](w *writer, words []T) {
	w.open('[')
	for _, s := range words {
		w.element().text(string(s))
	}
	w.close(']')
}

// DecodeRules reads rules in JSON: keys and lists in any order, but every key known, none
// twice, none of the required missing, no null, nothing behind the document, at most
// RulesBytesMax bytes, and Validate satisfied. Every failure is an ErrRules.
func DecodeRules(data []byte) (Rules, error) {
	if len(data) > RulesBytesMax {
		return Rules{}, fmt.Errorf("%w: longer than %d bytes", ErrRules, RulesBytesMax)
	}
	var r Rules
	s := &reader{b: data}
	s.object(append([]field{
		{"region", true, func() { r.Region = s.text(len("110000")) }},
		{"effective_from", true, func() { parse(s, &r.EffectiveFrom, ParseDate) }},
		{"annual_share", true, func() { parse(s, &r.AnnualShare, money.ParseShare) }},
		{"purpose_shares", false, func() { r.PurposeShares = s.purposeShares() }},
		{"retained_floor", true, func() { parse(s, &r.RetainedFloor, money.Parse) }},
		{"visit_limits", true, func() { r.VisitLimits = s.visitLimits() }},
		{"decide_within_seconds_max", true, func() { r.DecideWithinSecondsMax = s.integer() }},
		{"purposes", true, func() { r.Purposes = words[Purpose](s, len(purposes)) }},
		{"relations", true, func() { r.Relations = words[Relation](s, len(relations)) }},
		{"hotline", true, func() { r.Hotline = s.text(wordMax) }},
		{"consent", true, func() { r.Consent = Consent(s.text(wordMax)) }},
		{"commitment", true, func() { r.Commitment = s.commitment() }},
		{"institutions", true, func() { r.Institutions = s.institutions() }},
		{"emergency_days", false, func() { r.EmergencyDays = s.integer() }},
		{"premiums", false, func() { r.Premiums = s.premiums() }},
	}, s.scopeFields(&r)...))
	s.end()
	if s.err != nil {
		return Rules{}, s.err
	}
	r = r.Normalize()
	if err := r.Validate(); err != nil {
		return Rules{}, err
	}
	return r, nil
}

// wordMax is longer than any word of the rules.
const wordMax = 64

// parse reads a string and gives it to a parser of its kind.
func parse[T any](s *reader, into *T, parser func(string) (T, error)) {
	v, err := parser(s.text(wordMax))
	if err != nil {
		s.fail(err.Error())
		return
	}
	*into = v
}

// words reads a list of at most n words; Validate says whether they are known.
func words[T ~string](s *reader, n int) []T {
	out := []T{}
	s.array(n, func() { out = append(out, T(s.text(wordMax))) })
	return out
}

func (s *reader) purposeShares() []PurposeShare {
	var out []PurposeShare
	s.entries(len(purposes), func(key string) {
		e := PurposeShare{Purpose: Purpose(key)}
		parse(s, &e.Share, money.ParseShare)
		out = append(out, e)
	})
	return out
}

func (s *reader) visitLimits() []VisitLimit {
	var out []VisitLimit
	s.entries(len(purposes), func(key string) {
		e := VisitLimit{Purpose: Purpose(key)}
		parse(s, &e.Limit, money.Parse)
		out = append(out, e)
	})
	return out
}

func (s *reader) premiums() []Premium {
	var out []Premium
	s.entries(len(purposes), func(key string) {
		p := Premium{Purpose: Purpose(key)}
		s.object([]field{
			{"amount", true, func() { parse(s, &p.Amount, money.Parse) }},
			{"season_from", true, func() { parse(s, &p.SeasonFrom, ParseMonthDay) }},
			{"season_to", true, func() { parse(s, &p.SeasonTo, ParseMonthDay) }},
		})
		out = append(out, p)
	})
	return out
}

func (s *reader) commitment() Commitment {
	var c Commitment
	s.object([]field{
		{"version", true, func() { c.Version = s.text(versionMax) }},
		{"text", true, func() { c.Text = s.text(commitmentTextMax) }},
		{"text_zh", true, func() { c.TextZH = s.text(commitmentTextMax) }},
	})
	return c
}

func (s *reader) institutions() []Institution {
	var out []Institution
	s.array(InstitutionsMax, func() {
		var i Institution
		s.object([]field{
			{"code", true, func() { i.Code = s.text(institutionCodeMax) }},
			{"name", true, func() { i.Name = s.text(institutionNameMax * 4) }},
			{"kind", true, func() { i.Kind = InstitutionKind(s.text(wordMax)) }},
			{"purposes", true, func() { i.Purposes = words[Purpose](s, len(purposes)) }},
		})
		out = append(out, i)
	})
	return out
}

// writer writes JSON without white space.
type writer struct {
	b     []byte
	comma bool // whether an element stands before
}

func (w *writer) open(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = false
}

func (w *writer) close(bracket byte) {
	w.b = append(w.b, bracket)
	w.comma = true
}

func (w *writer) element() *writer {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = false
	return w
}

func (w *writer) key(name string) *writer {
	w.element().quote(name)
	w.b = append(w.b, ':')
	return w
}

func (w *writer) text(s string) {
	w.quote(s)
	w.comma = true
}

func (w *writer) integer(n int) {
	w.b = strconv.AppendInt(w.b, int64(n), 10)
	w.comma = true
}

// quote writes valid UTF-8 as it is, and escapes only what JSON demands.
func (w *writer) quote(s string) {
	const hex = "0123456789abcdef"
	w.b = append(w.b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			w.b = append(w.b, '\\', c)
		case c < 0x20:
			w.b = append(w.b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			w.b = append(w.b, c)
		}
	}
	w.b = append(w.b, '"')
}
