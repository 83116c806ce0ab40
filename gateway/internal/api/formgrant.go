package api

import (
	"gongji/gateway/client"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// grantForm reads the body of POST /v1/grants; package grant judges the values.
func grantForm(f *form, body *node) client.GrantRequest {
	o := f.root(body)
	g := client.GrantRequest{
		RequestID:   o.requestID(),
		Payer:       o.person("payer", required),
		Beneficiary: o.person("beneficiary", required),
		Relation:    o.text("relation", required),
		Channel:     o.text("channel", required),
		Consent:     consentForm(o.child("consent", required)),
		Proofs:      proofsForm(o),
		ValidFrom:   o.text("valid_from", required),
	}
	in := grant.Input{
		Payer: input(g.Payer), Beneficiary: input(g.Beneficiary),
		Relation: g.Relation, Channel: g.Channel, ValidFrom: g.ValidFrom, Consent: grant.Consent(g.Consent),
		ClerkID: o.maybe("clerk_id", &g.ClerkID), ScanDigest: o.maybe("scan_digest", &g.ScanDigest),
		ValidUntil: o.maybe("valid_until", &g.ValidUntil), Funding: o.maybe("funding", &g.Funding),
		PerPaymentLimit: o.limit("per_payment_limit", &g.PerPaymentLimit),
		AnnualLimit:     o.limit("annual_limit", &g.AnnualLimit),
		Limit:           o.limit("limit", &g.Limit),
	}
	for _, p := range g.Proofs {
		in.Proofs = append(in.Proofs, grant.Proof(p))
	}
	o.done()
	if f.broken == nil && f.wrong == nil {
		_, err := grant.Parse(in, f.today)
		f.judged(err)
	}
	if g.Funding == "" {
		g.Funding = client.FundingBalance
	}
	return g
}

func input(p client.Person) person.Input {
	return person.Input{IDType: p.IDType, IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// judged keeps what the domain says of the values.
func (f *form) judged(err error) {
	if r, ok := policy.AsRefusal(err); ok {
		f.refuseWith(r.Code, r.Field, r.Detail, r.DetailZH)
	}
}

// maybe reads an optional text into to; nil if it is absent.
func (o *object) maybe(key string, to *string) *string {
	n := o.take(key, kindString, optional)
	if n == nil {
		return nil
	}
	*to = n.text
	return to
}

// limit reads optional money whose value the domain judges; another JSON type is invalid_amount here.
func (o *object) limit(key string, to *string) *string {
	n := o.any(key, optional)
	switch {
	case n == nil:
		return nil
	case n.kind != kindString:
		o.form.refuse(policy.CodeInvalidAmount, o.pointer(key))
		return nil
	default:
		*to = n.text
		return to
	}
}

// consentForm: version and digest are held against the commitment in force by the desk.
func consentForm(o *object) client.Consent {
	c := client.Consent{
		Version: o.text("version", required), Digest: o.text("digest", required), Signature: o.text("signature", required),
	}
	o.done()
	return c
}

func proofsForm(o *object) []client.Proof {
	proofs := []client.Proof{}
	n := o.take("proofs", kindArray, required)
	if n == nil {
		return proofs
	}
	for i := range n.items {
		p := o.item("proofs", i, &n.items[i])
		proofs = append(proofs, client.Proof{Kind: p.text("kind", required), Digest: p.text("digest", required)})
		p.done()
	}
	return proofs
}

// patchForm reads the body of PATCH /v1/grants/{grant_id}; the parser has kept the nulls.
func patchForm(f *form, body *node) client.GrantPatch {
	o := f.root(body)
	p := client.GrantPatch{RequestID: o.requestID()}
	in := grant.PatchInput{
		ValidFrom:       o.change("valid_from", o.text),
		ValidUntil:      o.change("valid_until", o.text),
		PerPaymentLimit: o.change("per_payment_limit", o.limitText),
		AnnualLimit:     o.change("annual_limit", o.limitText),
		Status:          o.change("status", o.text),
	}
	o.done()
	if f.broken == nil && f.wrong == nil {
		_, err := grant.ParsePatch(in, f.today)
		f.judged(err)
	}
	p.ValidFrom, p.Status = in.ValidFrom.Text, in.Status.Text
	p.ValidUntil, p.PerPaymentLimit, p.AnnualLimit = removable(in.ValidUntil), removable(in.PerPaymentLimit),
		removable(in.AnnualLimit)
	return p
}

// change reads a field of a patch: null is neither absent nor a wrong type.
func (o *object) change(key string, read func(string, must) string) grant.Change {
	n := o.node.member(key)
	switch {
	case n == nil:
		o.ignore(key)
		return grant.Change{}
	case n.kind == kindNull:
		o.ignore(key)
		return grant.Change{Set: true, Null: true}
	default:
		return grant.Change{Set: true, Text: read(key, optional)}
	}
}

func (o *object) limitText(key string, _ must) string {
	text := ""
	o.limit(key, &text)
	return text
}

func removable(c grant.Change) client.Change { return client.Change{Given: c.Set, Value: c.Text} }

// orderForm reads the body of PUT /v1/beneficiaries/order; an empty list restores the default.
func orderForm(f *form, body *node) client.OrderRequest {
	o := f.root(body)
	r := client.OrderRequest{
		RequestID: o.requestID(), Beneficiary: o.person("beneficiary", required), Grants: o.ids("grants", required),
	}
	o.done()
	return r
}

// actForm reads the body of the writes that carry nothing but their id.
func actForm(f *form, body *node) client.Act {
	o := f.root(body)
	a := client.Act{RequestID: o.requestID()}
	o.done()
	return a
}

// grantSearchForm reads the body of POST /v1/grants/search.
func grantSearchForm(f *form, body *node) client.GrantSearch {
	o := f.root(body)
	o.ignore("request_id")
	s := client.GrantSearch{Payer: o.who("payer"), Beneficiary: o.who("beneficiary")}
	s.Limit, s.Cursor = o.page()
	o.done()
	if o.has("payer") == o.has("beneficiary") {
		f.breaks("", "Search by payer or by beneficiary.", "须且仅能按共济人或使用人查询。")
	}
	return s
}

// who is an optional person.
func (o *object) who(key string) *client.Person {
	p := o.person(key, optional)
	if !o.has(key) {
		return nil
	}
	return &p
}

// Bounds of one page of a list.
const (
	limitStandard = 100
	limitMax      = 1000
)

// page reads what every list takes.
func (o *object) page() (int, string) {
	limit := limitStandard
	if v := o.whole("limit", 1, limitMax); v != nil {
		limit = *v
	}
	cursor := o.word("cursor", optional, func(s string) bool {
		return printable(s, cursorMax)
	})
	return limit, cursor
}
