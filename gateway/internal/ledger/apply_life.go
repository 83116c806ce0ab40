package ledger

import (
	"time"

	"gongji/adapters"
	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// Bounds of what ends by itself.
const (
	endMax   = 256            // grants to one beneficiary that one command ends; the next one ends the rest
	endAgain = 24 * time.Hour // a payer's home that has not answered is told again after so long
)

// dispatchLife carries out the commands of a grant's whole life.
func (x *tx) dispatchLife(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *MakeGrant:
		return x.makeGrant(now, c), true
	case *ChangeGrant:
		return x.changeGrant(now, c), true
	case *RevokeGrant:
		return x.revokeGrant(now, c), true
	case *AcceptGrant:
		return x.acceptGrant(now, c), true
	case *SetOrder:
		return x.setOrder(now, c), true
	case *SetStanding:
		return x.setStanding(now, c), true
	case *RenounceGrant:
		return x.renounceGrant(now, c), true
	case *EndInsurance:
		return x.endInsurance(now, c), true
	case *RebuildIndex:
		return x.rebuildIndex(now, c), true
	case *SweepGrants:
		return x.sweepGrants(now, c), true
	}
	return Outcome{}, false
}

// handleLife gives the peers' messages about a grant's whole life their meaning.
func (x *tx) handleLife(now time.Time, peer federation.Region, body *wirepb.Body) {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_IndexWanted:
		x.indexWanted(peer, k.IndexWanted)
	case *wirepb.Body_IndexPage:
		x.indexPage(now, peer, k.IndexPage)
	case *wirepb.Body_GrantRenounced:
		x.ofBeneficiary(now, peer, k.GrantRenounced.GetGrantId(), grant.Grant.Renounce)
	case *wirepb.Body_InsuranceEnded:
		x.ofBeneficiary(now, peer, k.InsuranceEnded.GetGrantId(), func(g grant.Grant, at time.Time) (grant.Grant, error) {
			return g.End(at, grant.CauseBeneficiaryInsurance)
		})
	}
}

// ofBeneficiary takes what the beneficiary's home says of a grant; nobody else can say it. A grant that is over stays
// as it is.
func (x *tx) ofBeneficiary(
	now time.Time, peer federation.Region, id string, by func(grant.Grant, time.Time) (grant.Grant, error),
) {
	g := get(x, x.l.grants, id)
	if g == nil || g.BeneficiaryRegion != string(peer) {
		x.stranger(peer, StrangerGrant, id)
		return
	}
	x.change(now, Request{}, id, func(g grant.Grant) (grant.Grant, error) { return by(g, now) })
}

// setStanding sets scheme and status of somebody who has an account here.
func (x *tx) setStanding(now time.Time, c *SetStanding) Outcome {
	book := x.l.cfg.Book
	if book == nil {
		return refuse(policy.CodeNotSupported)
	}
	no, rec, named := x.known(&c.Person)
	if !named || !rec.InBook {
		return refuse(policy.CodeIdentityMismatch)
	}
	account := adapters.Account{Scheme: int(c.Scheme), Status: int(c.Status), Provisional: true}
	if x.reason(book.Open(x, now, no, account)) != "" {
		return refuse(policy.CodeInvalidRequest)
	}
	return Outcome{ID: no}
}

// renounceGrant is the beneficiary's will, given here and sent to the payer's home. From this entry on no look-up
// offers the grant.
func (x *tx) renounceGrant(now time.Time, c *RenounceGrant) Outcome {
	if out, done := x.seen(c.Request); done {
		return out
	}
	rec := x.indexed(c.GrantID)
	switch {
	case rec == nil:
		return refuse(policy.CodeNotFound)
	case rec.Entry.EffectiveStatus(policy.Day(now)).Final():
		return refuse(policy.CodeWrongState)
	}
	rec.Renounced = c.Request.ID
	x.keepIndexed(rec)
	x.remember(now, c.Request, ThingGrant, c.GrantID)
	x.send(federation.Region(rec.PayerRegion), &wirepb.Body{Kind: &wirepb.Body_GrantRenounced{
		GrantRenounced: &wirepb.GrantRenounced{GrantId: c.GrantID},
	}}, nil, nil)
	return Outcome{ID: c.GrantID}
}

// endInsurance tells the payers' homes of the grants to a beneficiary whose insurance here has ended.
func (x *tx) endInsurance(now time.Time, c *EndInsurance) Outcome {
	if x.bookSays(c.Person, policy.Standing.BeneficiaryGone) == saysNo {
		return refuse(policy.CodeWrongState)
	}
	var list []string
	day := policy.Day(now)
	err := eachIndexed(x, keyIndex, c.Person, func(rec *IndexRecord) bool {
		if rec.EndsNow(now, day) {
			list = append(list, rec.Entry.ID)
		}
		return len(list) < endMax
	})
	if err != nil {
		x.fail(err)
		return Outcome{}
	}
	for _, id := range list {
		x.tellEnded(now, id)
	}
	return Outcome{}
}

// EndsNow tells whether the payer's home is to be told that the beneficiary's insurance has ended: the grant is not
// over, and it was not told within the last day.
func (r *IndexRecord) EndsNow(now time.Time, day policy.Date) bool {
	return !r.Entry.EffectiveStatus(day).Final() && (r.EndSent.IsZero() || now.Sub(r.EndSent) >= endAgain)
}

func (x *tx) tellEnded(now time.Time, grantID string) {
	rec := x.indexed(grantID)
	if rec == nil || !rec.EndsNow(now, policy.Day(now)) {
		return
	}
	rec.EndSent = now
	x.keepIndexed(rec)
	x.send(federation.Region(rec.PayerRegion), &wirepb.Body{Kind: &wirepb.Body_InsuranceEnded{
		InsuranceEnded: &wirepb.InsuranceEnded{GrantId: grantID},
	}}, nil, nil)
}

// said is what the region's Book says to a question: nothing, where a core outside keeps the accounts.
type said uint8

const (
	saysNothing said = iota
	saysYes
	saysNo
)

// bookSays asks the Book about a person's standing.
func (x *tx) bookSays(person string, question func(policy.Standing) bool) said {
	if x.l.cfg.Book == nil {
		return saysNothing
	}
	account, ok, err := x.l.cfg.Book.Account(x, person)
	if err != nil {
		x.fail(err)
		return saysNo
	}
	f := factsOf(account, ok)
	if question(f.Standing()) {
		return saysYes
	}
	return saysNo
}

// Standing is what decides who may pay and be paid for.
func (f *Facts) Standing() policy.Standing {
	return policy.Standing{Known: f.Known, Scheme: policy.Scheme(f.Scheme), Status: policy.InsuredStatus(f.Status)}
}

// endIfGone ends a grant by itself when its payer's insurance has ended. A suspended payer comes back.
func (x *tx) endIfGone(now time.Time, grantID string, payer policy.Standing) {
	if !payer.PayerGone() {
		return
	}
	x.endForPayer(now, grantID)
}

func (x *tx) endForPayer(now time.Time, grantID string) {
	x.change(now, Request{}, grantID, func(g grant.Grant) (grant.Grant, error) {
		return g.End(now, grant.CausePayerInsurance)
	})
}

// keepIndexed writes a grant of the index: what is over stands apart, so that a look-up never reads through it. A grant
// that the beneficiary has renounced is over here, whatever its payer's home has not heard yet.
func (x *tx) keepIndexed(rec *IndexRecord) {
	if rec.Renounced != "" && !rec.Entry.Status.Final() {
		rec.Entry.Status, rec.Cause = grant.StatusRevoked, grant.CauseBeneficiary
	}
	key := joined(rec.Beneficiary, rec.Entry.ID)
	if rec.Entry.Status.Final() || rec.Over {
		put(x, x.l.index, key, nil)
		put(x, x.l.over, key, rec)
		return
	}
	put(x, x.l.index, key, rec)
}
