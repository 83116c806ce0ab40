package ledger

import (
	"encoding/hex"
	"fmt"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/wire/wirepb"
)

// makeGrant makes a grant; the first failing check answers (api.md section 1).
func (x *tx) makeGrant(now time.Time, c *MakeGrant) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	rules, err := x.l.rules.At(policy.Day(now))
	if err != nil {
		return refuse(policy.CodeRelationNotAllowed)
	}
	payer := x.standing(&c.Payer, c.PayerFacts)
	beneficiary := c.Standing
	home := federation.Region(c.Beneficiary.Region)
	if home == x.l.cfg.Self && x.l.cfg.Book != nil {
		beneficiary = x.standing(&c.Beneficiary, nil)
	}
	payerNo, beneficiaryNo := x.number(&c.Payer), x.number(&c.Beneficiary)
	if c.Payer.Token == c.Beneficiary.Token {
		beneficiaryNo = payerNo
	}
	digest := x.l.cfg.Hash([]byte(rules.Commitment.TextZH))
	pair := joined(payerNo, beneficiaryNo)
	in := InForce{Rules: x.l.rules, Directory: x.l.dir, Self: x.l.cfg.Self}
	day := policy.Day(now)
	g, err := grant.New(c.Terms, grant.Facts{
		ID: c.GrantID, Payer: grant.PersonRef(payerNo), Beneficiary: grant.PersonRef(beneficiaryNo),
		PayerRegion: string(x.l.cfg.Self), BeneficiaryRegion: c.Beneficiary.Region,
		PayerStanding: payer, BeneficiaryStanding: beneficiary, Rules: rules,
		CommitmentDigest: hex.EncodeToString(digest[:]), PairOpen: in.PairForGrant(now, home, c.Terms),
		Duplicate: x.duplicate(pair, day), At: now,
		BothConsents: rules.Consent.Both(policy.ScopeOf(string(x.l.cfg.Self), c.Beneficiary.Region)),
	})
	if err != nil {
		return refused(err)
	}
	if c.Terms.Limit > 0 {
		if err = x.reservable(now, payerNo, c.Terms.Limit, rules); err != nil {
			return refused(err)
		}
	}
	x.person(&c.Payer) // only now: who is refused is not taken in
	x.person(&c.Beneficiary)
	rec := &GrantRecord{Grant: g, Persons: c.Persons, Request: c.Request.ID}
	x.reserve(now, rec)
	x.keepGrant(now, rec)
	put(x, x.l.pairs, pair, &pairRecord{GrantID: g.ID})
	x.Set(stateKey(keyByPayer, joined(payerNo, g.ID)), nil)
	x.Set(stateKey(keyTo, joined(beneficiaryNo, g.ID)), nil)
	x.Set(stateKey(keyHome, joined(g.BeneficiaryRegion, g.ID)), nil)
	x.remember(now, c.Request, ThingGrant, g.ID)
	x.notice(rec, &c.Beneficiary)
	return Outcome{ID: g.ID}
}

func (x *tx) duplicate(pair string, day policy.Date) bool {
	p := get(x, x.l.pairs, pair)
	if p == nil {
		return false
	}
	g := get(x, x.l.grants, p.GrantID)
	return g != nil && g.Blocks(day)
}

// notice tells the beneficiary's home of a grant as it now is.
func (x *tx) notice(g *GrantRecord, who *Person) {
	p := get(x, x.l.persons, string(g.Payer))
	if p == nil {
		x.fail(fmt.Errorf("ledger: a grant without its payer"))
		return
	}
	if who == nil {
		b := get(x, x.l.persons, string(g.Beneficiary))
		if b == nil {
			x.fail(fmt.Errorf("ledger: a grant without its beneficiary"))
			return
		}
		who = &Person{New: string(g.Beneficiary), Masked: b.Masked, Called: b.Called, Region: b.Region}
	}
	n := &wirepb.GrantNotice{
		GrantId: g.ID, Revision: g.Version, Relation: string(g.Terms.Relation), Status: string(g.Status),
		ValidFrom: g.Terms.ValidFrom.String(), Created: g.CreatedAt.UnixMicro(),
		Payer: p.Masked, PayerName: p.Called, Channel: string(g.Terms.Channel), Funding: string(g.Terms.Funding),
		EndCause: string(g.Cause),
	}
	if rules, err := x.l.rules.At(policy.Day(x.now)); err == nil {
		n.Hotline = rules.Hotline
	}
	if g.Terms.ValidUntil != 0 {
		n.ValidUntil = g.Terms.ValidUntil.String()
	}
	if g.Terms.PerPaymentLimit > 0 {
		n.PerPaymentLimit = g.Terms.PerPaymentLimit.String()
	}
	if g.Terms.AnnualLimit > 0 {
		n.AnnualLimit = g.Terms.AnnualLimit.String()
	}
	if g.Terms.Limit > 0 {
		n.Limit = g.Terms.Limit.String()
	}
	x.send(federation.Region(g.BeneficiaryRegion),
		&wirepb.Body{Kind: &wirepb.Body_GrantNotice{GrantNotice: n}}, &g.Persons, who)
	if g.Status.Final() {
		x.endMandatesOf(x.now, g, "")
	} else {
		x.tellMandates(g)
	}
}

// change carries a transition of a grant out.
func (x *tx) change(now time.Time, r Request, id string, by func(grant.Grant) (grant.Grant, error)) Outcome {
	if r.ID != "" {
		if out, done := x.seen(r); done {
			return out
		}
	}
	g := get(x, x.l.grants, id)
	if g == nil {
		return refuse(policy.CodeNotFound)
	}
	next, err := by(g.Grant)
	if err != nil {
		return refused(err)
	}
	changed := next.Version != g.Version
	g.Grant = next
	x.keepGrant(now, g)
	if r.ID != "" {
		x.remember(now, r, ThingGrant, id)
	}
	if changed {
		x.notice(g, nil)
	}
	return Outcome{ID: id}
}

func (x *tx) changeGrant(now time.Time, c *ChangeGrant) Outcome {
	return x.change(now, c.Request, c.GrantID, func(g grant.Grant) (grant.Grant, error) {
		return g.Change(c.patch(), now)
	})
}

func (x *tx) revokeGrant(now time.Time, c *RevokeGrant) Outcome {
	return x.change(now, c.Request, c.GrantID, func(g grant.Grant) (grant.Grant, error) { return g.Revoke(now) })
}

// acceptGrant is the beneficiary's consent, given here and sent to the payer's home.
func (x *tx) acceptGrant(now time.Time, c *AcceptGrant) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	rec := x.indexed(c.GrantID)
	switch {
	case rec == nil:
		return refuse(policy.CodeNotFound)
	case rec.Entry.EffectiveStatus(policy.Day(now)) != grant.StatusPending || rec.Accepted != "":
		return refuse(policy.CodeWrongState)
	}
	rec.Accepted = c.Request.ID
	x.keepIndexed(rec)
	x.remember(now, c.Request, ThingGrant, c.GrantID)
	x.send(federation.Region(rec.PayerRegion), &wirepb.Body{Kind: &wirepb.Body_GrantConsent{
		GrantConsent: &wirepb.GrantConsent{GrantId: c.GrantID},
	}}, nil, nil)
	return Outcome{ID: c.GrantID}
}

// grantConsent takes the beneficiary's consent at the payer's home. Only the beneficiary's home can send it.
func (x *tx) grantConsent(now time.Time, peer federation.Region, m *wirepb.GrantConsent) {
	g := get(x, x.l.grants, m.GetGrantId())
	if g == nil || g.BeneficiaryRegion != string(peer) {
		x.stranger(peer, StrangerGrant, m.GetGrantId())
		return
	}
	x.change(now, Request{}, g.ID, func(g grant.Grant) (grant.Grant, error) { return g.Accept(now) })
}

func (x *tx) indexed(grantID string) *IndexRecord {
	no, ok := x.Get(stateKey(keyIndexID, grantID))
	if !ok {
		return nil
	}
	key := joined(string(no), grantID)
	if rec := get(x, x.l.index, key); rec != nil {
		return rec
	}
	return get(x, x.l.over, key)
}

// grantNotice takes a grant into the beneficiary's index, or brings it up to date. The payer's home is the only one
// that can tell of it: the id carries that region.
func (x *tx) grantNotice(peer federation.Region, m *wirepb.GrantNotice, in *Inbound) {
	if !ownID("g", m.GetGrantId(), peer) || in.Person == nil {
		x.stranger(peer, StrangerGrant, m.GetGrantId())
		return
	}
	from, err := policy.ParseDate(m.GetValidFrom())
	if err != nil {
		return
	}
	var until policy.Date
	if m.GetValidUntil() != "" {
		if until, err = policy.ParseDate(m.GetValidUntil()); err != nil {
			return
		}
	}
	rec := x.indexed(m.GetGrantId())
	if rec == nil {
		no := in.Person.New
		if in.Person.Tokens() != nil { // a message of this region to itself names the person by number
			no = x.person(in.Person)
		}
		rec = &IndexRecord{Beneficiary: no, PayerRegion: string(peer)}
		x.Set(stateKey(keyIndexID, m.GetGrantId()), []byte(no))
	}
	if m.GetRevision() <= rec.Revision {
		return
	}
	rec.Entry = grant.Entry{
		ID: m.GetGrantId(), Status: grant.Status(m.GetStatus()), ValidFrom: from, ValidUntil: until,
		CreatedAt: time.UnixMicro(m.GetCreated()).UTC(),
	}
	rec.Revision = m.GetRevision()
	rec.Payer, rec.PayerName = m.GetPayer(), m.GetPayerName()
	rec.Relation, rec.Channel, rec.Funding = m.GetRelation(), m.GetChannel(), m.GetFunding()
	rec.Hotline = m.GetHotline()
	rec.PerPayment, rec.Annual = limitOf(m.GetPerPaymentLimit()), limitOf(m.GetAnnualLimit())
	rec.Limit, rec.Cause = limitOf(m.GetLimit()), ""
	if cause := grant.Cause(m.GetEndCause()); cause.Valid() {
		rec.Cause = cause
	}
	x.keepIndexed(rec)
	x.l.effects.Grants = appendOnce(x.l.effects.Grants, rec.Entry.ID)
}

func limitOf(s string) money.Amount {
	a, err := money.Parse(s)
	if err != nil {
		return 0
	}
	return a
}

// setOrder sets the order of use.
func (x *tx) setOrder(now time.Time, c *SetOrder) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	no, _, named := x.known(&c.Beneficiary)
	if x.l.cfg.Book == nil && c.Facts != nil {
		named = c.Facts.Known
	}
	if !named {
		return Outcome{Code: policy.CodeIdentityMismatch, Field: "/beneficiary"}
	}
	var own []grant.Entry
	for _, id := range c.Grants[:min(len(c.Grants), grant.OrderMax)] {
		if rec := x.indexed(id); rec != nil && rec.Beneficiary == no {
			own = append(own, rec.Entry)
		}
	}
	if err := grant.CheckOrder(c.Grants, own, policy.Day(now)); err != nil {
		return refused(err)
	}
	key := stateKey(keyOrder, no)
	if len(c.Grants) == 0 {
		x.Delete(key)
	} else {
		x.Set(key, record.Encode(&orderRecord{Grants: c.Grants}))
	}
	x.remember(now, c.Request, ThingOrder, no)
	return Outcome{ID: no}
}
