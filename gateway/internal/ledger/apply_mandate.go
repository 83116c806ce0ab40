package ledger

import (
	"slices"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// Bounds of what is kept of mandates: what is beyond is forgotten, the oldest first. No payer needs as many.
const (
	mandatesMax = 32 // of a grant
	resultsMax  = 16 // years of a mandate
)

func mandatesKey(grantID string) string { return joined("g", grantID) }

func mandateKey(mandateID string) []byte { return stateKey(keyMandate, joined("i", mandateID)) }

// makeMandate makes a mandate on an active grant, and tells the beneficiary's home.
func (x *tx) makeMandate(now time.Time, c *MakeMandate) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	if !c.Purpose.Premium() {
		return Outcome{Code: policy.CodeInvalidRequest, Field: "/purpose"}
	}
	g := get(x, x.l.grants, c.GrantID)
	switch {
	case g == nil:
		return refuse(policy.CodeNotFound)
	case g.EffectiveStatus(policy.Day(now)) != grant.StatusActive:
		return refuse(policy.CodeGrantNotActive)
	}
	rules, err := x.l.rules.At(policy.Day(now))
	if err != nil || !rules.OpensPurpose(policy.ScopeOf(g.PayerRegion, g.BeneficiaryRegion), c.Purpose) {
		return Outcome{Code: policy.CodePurposeNotOpen, Field: "/purpose"}
	}
	rec := get(x, x.l.mandates, mandatesKey(g.ID))
	if rec == nil {
		rec = new(MandatesRecord)
	}
	if rec.active(c.Purpose) != nil {
		return Outcome{
			Code: policy.CodeConflict, Field: "/purpose",
			Detail:   "The grant has an active mandate for this premium already; end it before making another.",
			DetailZH: "该共济关系已有同一用途的有效代缴委托，请先终止原委托。",
		}
	}
	m := Mandate{ID: c.MandateID, Purpose: c.Purpose, MaxAmount: c.MaxAmount, Status: MandateActive, Made: now}
	rec.List = append(rec.List, m)
	x.forgetMandates(rec)
	x.Set(mandateKey(m.ID), []byte(g.ID))
	x.mandateNotice(g, rec, &rec.List[len(rec.List)-1])
	put(x, x.l.mandates, mandatesKey(g.ID), rec)
	x.remember(now, c.Request, ThingMandate, m.ID)
	return Outcome{ID: m.ID}
}

func (r *MandatesRecord) active(p policy.Purpose) *Mandate {
	if r == nil {
		return nil
	}
	for i := range r.List {
		if m := &r.List[i]; m.Purpose == p && m.Status == MandateActive {
			return m
		}
	}
	return nil
}

// forgetMandates keeps the list within its bound: the oldest that has ended goes. There are never more active ones than
// purposes.
func (x *tx) forgetMandates(r *MandatesRecord) {
	for len(r.List) > mandatesMax {
		i := slices.IndexFunc(r.List, func(m Mandate) bool { return m.Status != MandateActive })
		if i < 0 {
			return
		}
		x.Delete(mandateKey(r.List[i].ID))
		r.List = slices.Delete(r.List, i, i+1)
	}
}

// mandateNotice tells the beneficiary's home of a mandate as it now is.
func (x *tx) mandateNotice(g *GrantRecord, r *MandatesRecord, m *Mandate) {
	r.Revision++
	x.send(federation.Region(g.BeneficiaryRegion), &wirepb.Body{Kind: &wirepb.Body_MandateNotice{
		MandateNotice: &wirepb.MandateNotice{
			MandateId: m.ID, GrantId: g.ID, Revision: r.Revision, Purpose: string(m.Purpose), Status: m.Status,
		},
	}}, nil, nil)
}

// tellMandates tells of a grant's mandates again, with the grant: an index that is made anew has them, and a premium
// that waits is tried at once when its payer has changed the grant.
func (x *tx) tellMandates(g *GrantRecord) {
	rec := get(x, x.l.mandates, mandatesKey(g.ID))
	if rec == nil {
		return
	}
	for i := range rec.List {
		if rec.List[i].Status == MandateActive {
			x.mandateNotice(g, rec, &rec.List[i])
		}
	}
	put(x, x.l.mandates, mandatesKey(g.ID), rec)
}

// endMandates is the payer's word: no premium is begun any more. One whose payment is under way is still settled.
func (x *tx) endMandates(now time.Time, c *EndMandates) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	g := get(x, x.l.grants, c.GrantID)
	if g == nil {
		return refuse(policy.CodeNotFound)
	}
	rec := get(x, x.l.mandates, mandatesKey(g.ID))
	if c.MandateID != "" {
		i := -1
		if rec != nil {
			i = slices.IndexFunc(rec.List, func(m Mandate) bool { return m.ID == c.MandateID })
		}
		switch {
		case i < 0:
			return Outcome{Code: policy.CodeNotFound, Field: "/mandate_id"}
		case rec.List[i].Status != MandateActive:
			return refuse(policy.CodeWrongState)
		}
	}
	x.endMandatesOf(now, g, c.MandateID)
	x.remember(now, c.Request, ThingMandates, g.ID)
	return Outcome{ID: g.ID}
}

// endMandatesOf ends one mandate of a grant, or all. A grant that has ended takes its mandates along.
func (x *tx) endMandatesOf(now time.Time, g *GrantRecord, mandateID string) {
	rec := get(x, x.l.mandates, mandatesKey(g.ID))
	if rec == nil {
		return
	}
	changed := false
	for i := range rec.List {
		m := &rec.List[i]
		if m.Status != MandateActive || (mandateID != "" && m.ID != mandateID) {
			continue
		}
		m.Status, m.Ended, changed = MandateEnded, now, true
		x.mandateNotice(g, rec, m)
	}
	if changed {
		put(x, x.l.mandates, mandatesKey(g.ID), rec)
	}
}

// capped is a grant with the bound that the payer has set for a premium of that purpose: it bounds one payment, as the
// grant's own limit does, and whoever asks for it.
func (x *tx) capped(g *GrantRecord, p policy.Purpose) *GrantRecord {
	if g == nil || !p.Premium() {
		return g
	}
	return cappedBy(get(x, x.l.mandates, mandatesKey(g.ID)), g, p)
}

func cappedBy(r *MandatesRecord, g *GrantRecord, p policy.Purpose) *GrantRecord {
	m := r.active(p)
	if m == nil || m.MaxAmount == 0 || (g.Terms.PerPaymentLimit != 0 && g.Terms.PerPaymentLimit <= m.MaxAmount) {
		return g
	}
	lower := *g
	lower.Terms.PerPaymentLimit = m.MaxAmount
	return &lower
}

// resultYears is how far the year of a result may lie from the present one.
const resultYears = 2

// mandateResult keeps what became of a year's premium. Only the beneficiary's home can tell; paid is its last word.
func (x *tx) mandateResult(now time.Time, peer federation.Region, m *wirepb.MandateResult) {
	id, ok := x.Get(mandateKey(m.GetMandateId()))
	if !ok {
		x.stranger(peer, StrangerMandate, m.GetMandateId())
		return
	}
	g := get(x, x.l.grants, string(id))
	rec := get(x, x.l.mandates, mandatesKey(string(id)))
	if g == nil || rec == nil || g.BeneficiaryRegion != string(peer) {
		x.stranger(peer, StrangerMandate, m.GetMandateId())
		return
	}
	i := slices.IndexFunc(rec.List, func(e Mandate) bool { return e.ID == m.GetMandateId() })
	r := PremiumResult{
		Year: int(m.GetYear()), Status: m.GetStatus(), Amount: money.Amount(m.GetAmount()),
		Code: policy.Code(m.GetCode()), PaymentID: m.GetPaymentId(), At: time.UnixMicro(m.GetTime()).UTC(),
	}
	if i < 0 || !r.possible(now, peer) {
		return
	}
	rec.List[i].keep(r)
	put(x, x.l.mandates, mandatesKey(string(id)), rec)
}

// possible reports whether a result is one that an honest home can tell.
func (r *PremiumResult) possible(now time.Time, peer federation.Region) bool {
	year := policy.Year(now)
	known := r.Status == PremiumWaiting || r.Status == PremiumPaid || r.Status == PremiumSkipped ||
		r.Status == PremiumFailed
	return known && r.Year >= year-resultYears && r.Year <= year+resultYears && r.Amount >= 0 && r.Amount <= money.Max &&
		(r.Code == "" || r.Code.Valid()) && (r.PaymentID == "" || ownID("p", r.PaymentID, peer)) &&
		!r.At.After(now.Add(time.Hour))
}

func (m *Mandate) keep(r PremiumResult) {
	at, found := slices.BinarySearchFunc(m.Results, r.Year, func(e PremiumResult, year int) int { return e.Year - year })
	switch {
	case !found:
		m.Results = slices.Insert(m.Results, at, r)
	case m.Results[at].Status != PremiumPaid:
		m.Results[at] = r
	}
	if len(m.Results) > resultsMax {
		m.Results = slices.Delete(m.Results, 0, len(m.Results)-resultsMax)
	}
}
