package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/wire/wirepb"
)

func dutyKey(p policy.Purpose, no, grantID string) string { return joined(string(p), no, grantID) }

// mandateTold takes a mandate in at the beneficiary's home, or its end. The home of the grant is the only one that can
// tell of it: both ids carry that region. A grant that the index does not have is nobody's here.
func (x *tx) mandateTold(now time.Time, peer federation.Region, m *wirepb.MandateNotice) {
	purpose := policy.Purpose(m.GetPurpose())
	if !ownID("g", m.GetGrantId(), peer) || !ownID("m", m.GetMandateId(), peer) || !purpose.Premium() {
		x.stranger(peer, StrangerMandate, m.GetMandateId())
		return
	}
	index := x.indexed(m.GetGrantId())
	if index == nil || index.PayerRegion != string(peer) {
		x.stranger(peer, StrangerMandate, m.GetMandateId())
		return
	}
	key := dutyKey(purpose, index.Beneficiary, m.GetGrantId())
	d := get(x, x.l.duties, key)
	if d == nil {
		d = &DutyRecord{GrantID: m.GetGrantId(), Region: string(peer)}
	}
	if m.GetRevision() <= d.Revision {
		return
	}
	if d.MandateID != m.GetMandateId() {
		d.MandateID, d.Since = m.GetMandateId(), now
		d.Year, d.Status, d.Code = 0, "", ""
	}
	d.Revision, d.Active = m.GetRevision(), m.GetStatus() == MandateActive
	put(x, x.l.duties, key, d)
	x.Set(stateKey(keyDuty, key), record.Append(nil, d)) // at once: what follows looks through the state
	if d.Active {
		x.beginAtOnce(now, purpose, index.Beneficiary, d)
	} else {
		x.dutyEnded(now, purpose, index.Beneficiary)
	}
}

// beginAtOnce does not let a mandate made in the season wait for the next day's pass, and tells its payer if nothing is
// left to pay. The mandate is only being written, so that no list has it yet.
func (x *tx) beginAtOnce(now time.Time, p policy.Purpose, no string, d *DutyRecord) {
	s := get(x, x.l.seasons, seasonKey(p))
	premium, step := x.seasonStep(now, p, s)
	if s == nil || s.Year != premiumYear(now) || step == SeasonClose || (step == SeasonRest && s.Day != policy.Day(now)) {
		return
	}
	rec := get(x, x.l.premiums, premiumKey(p, s.Year, no))
	switch {
	case rec != nil && !rec.again() && !rec.State.Open():
		x.tellPayer(now, rec, get(x, x.l.payments, rec.PaymentID), d)
	case s.Open < PremiumsOpenMax:
		x.attemptPremium(now, s, premium, no)
	}
}

// dutyEnded closes what waits for a next attempt when nobody is left to pay it. An attempt under way is still settled.
func (x *tx) dutyEnded(now time.Time, p policy.Purpose, no string) {
	s := get(x, x.l.seasons, seasonKey(p))
	if s == nil {
		return
	}
	rec := get(x, x.l.premiums, premiumKey(p, s.Year, no))
	if rec == nil {
		return
	}
	if rec.State == StateWaiting && len(x.payersOf(now, p, no)) == 0 {
		x.endPremium(now, rec, StateSkipped, policy.CodeGrantNotActive)
	}
}

// dutiesOf are the mandates of one person and purpose, ended ones too, in the order of their grants' ids.
func (x *tx) dutiesOf(p policy.Purpose, no string) []*DutyRecord {
	var keys []string
	lo := stateKey(keyDuty, joined(string(p), no))
	x.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		keys = append(keys, string(key[1:]))
		return len(keys) < grantsMax
	})
	out := make([]*DutyRecord, 0, len(keys))
	for _, key := range keys {
		if d := get(x, x.l.duties, key); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// payersOf are the mandates by which a premium can be paid today: active, under a grant that is not over.
func (x *tx) payersOf(now time.Time, p policy.Purpose, no string) []*DutyRecord {
	var out []*DutyRecord
	for _, d := range x.dutiesOf(p, no) {
		if !d.Active {
			continue
		}
		if g := get(x, x.l.index, joined(no, d.GrantID)); g != nil && !g.Entry.EffectiveStatus(policy.Day(now)).Final() {
			out = append(out, d)
		}
	}
	return out
}

// tellPayers tells the payers' homes what became of a premium, each what concerns its own mandate.
func (x *tx) tellPayers(now time.Time, rec *PremiumRecord) {
	p := get(x, x.l.payments, rec.PaymentID)
	for _, d := range x.dutiesOf(rec.Purpose, rec.Person) {
		if d.Active || d.Year == rec.Year || (rec.State == StatePaid && captured(p, d.GrantID) > 0) {
			x.tellPayer(now, rec, p, d) // one that ended before anything was to be told hears nothing
		}
	}
}

// tellPayer tells one of them, and only what it has not been told.
func (x *tx) tellPayer(now time.Time, rec *PremiumRecord, p *PaymentRecord, d *DutyRecord) {
	r := resultFor(rec, p, d.GrantID)
	if d.Year == rec.Year && d.Status == r.Status && d.Code == r.Code {
		return
	}
	d.Year, d.Status, d.Code = rec.Year, r.Status, r.Code
	put(x, x.l.duties, dutyKey(rec.Purpose, rec.Person, d.GrantID), d)
	x.send(federation.Region(d.Region), &wirepb.Body{Kind: &wirepb.Body_MandateResult{
		MandateResult: &wirepb.MandateResult{
			MandateId: d.MandateID, Year: int32(rec.Year), Status: r.Status, //nolint:gosec // a year has four digits
			Amount: r.Amount.Fen(), Code: string(r.Code), PaymentId: r.PaymentID, Time: now.UnixMicro(),
		},
	}}, nil, nil)
}

// captured is what a payment took under a grant.
func captured(p *PaymentRecord, grantID string) money.Amount {
	var sum money.Amount
	if p != nil {
		for i := range p.Legs {
			if p.Legs[i].GrantID == grantID {
				sum += p.Legs[i].Captured
			}
		}
	}
	return sum
}

// resultFor is what a premium's state means for one mandate. Of a payment by several payers each hears its own part;
// one whose money was not needed is skipped.
func resultFor(rec *PremiumRecord, p *PaymentRecord, grantID string) PremiumResult {
	switch rec.State {
	case StatePaid:
		if part := captured(p, grantID); part > 0 {
			return PremiumResult{Status: PremiumPaid, Amount: part, PaymentID: rec.PaymentID}
		}
		return PremiumResult{Status: PremiumSkipped}
	case StateSkipped:
		return PremiumResult{Status: PremiumSkipped, Code: rec.Code}
	case StateFailed:
		return PremiumResult{Status: PremiumFailed, Amount: rec.Amount, Code: declined(rec, p, grantID)}
	case StateAsking, StateHolding, StatePaying, StateTaking, StateReturning, StateWaiting:
	}
	return PremiumResult{Status: PremiumWaiting, Amount: rec.Amount, Code: declined(rec, p, grantID)}
}

// declined is why a mandate's own grant gave nothing in the newest attempt, else why the attempt came to nothing.
func declined(rec *PremiumRecord, p *PaymentRecord, grantID string) policy.Code {
	if p != nil {
		for _, d := range p.Declines {
			if d.GrantID == grantID {
				return d.Code
			}
		}
	}
	return rec.Code
}
