package desk

import (
	"context"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire/wirepb"
)

// Quote says what a payment would hold now, without any effect.
func (d *Desk) Quote(ctx context.Context, f client.PaymentRequest) (client.Payment, error) {
	a, err := d.begin(ctx, f)
	if err != nil {
		return client.Payment{}, err
	}
	day := policy.Day(d.Now())
	if a.date > day || a.date < day.AddDays(-ledger.RequestDays) {
		return client.Payment{}, policy.Refuse(policy.CodeInvalidRequest, "/visit_date")
	}
	ticket, _, err := d.lookUp(ctx, &a, "")
	if err != nil {
		return client.Payment{}, err
	}
	p := payment.Payment{
		ID: "p-quote", Amount: a.amount, AllowPartial: f.AllowPartial == nil || *f.AllowPartial,
		DecideBy: d.Now().Add(a.within),
	}
	for _, x := range ticket.GetDeclines() {
		p.Declines = append(p.Declines, payment.Decline{
			GrantID: x.GetGrantId(), Region: x.GetRegion(), Code: policy.Code(x.GetCode()),
		})
	}
	for _, x := range ticket.GetOffers() {
		p.Candidates = append(p.Candidates, payment.Candidate{GrantID: x.GetGrantId(), Region: x.GetRegion()})
	}
	d.play(ctx, &p, &a)
	out := client.Payment{
		Status: status(&p), Amount: p.Amount.String(), Held: p.Held.String(),
		Captured: money.Amount(0).String(), Refunded: money.Amount(0).String(), CashDue: p.CashDue().String(),
		Legs: legs(&p), Declines: declines(&p),
	}
	for i := range out.Legs {
		out.Legs[i].HoldID = ""
	}
	return out, nil
}

// play runs the origin's own state table with quotes in the place of holds, so that a quote and a payment decide alike.
func (d *Desk) play(ctx context.Context, p *payment.Payment, a *asking) {
	effects := p.Start(d.Now())
	for len(effects) > 0 && effects[0].Do == payment.AskHold {
		l := &p.Legs[effects[0].Leg]
		q := &wirepb.Quote{
			GrantId: l.GrantID, Amount: l.Asked.Fen(), Purpose: a.form.Purpose,
			Institution: a.form.Institution.Code, VisitId: a.form.VisitID,
		}
		home := federation.Region(l.Region)
		var got *wirepb.QuoteAnswer
		code := policy.CodeRegionUnreachable
		if d.Ledger.InForce().PairOpen(d.Now(), home) {
			if answer, err := d.Settle.Ask(ctx, home, &wirepb.Body{Kind: &wirepb.Body_Quote{Quote: q}}, a.who); err == nil {
				got = answer.Body.GetQuoteAnswer()
			}
		} else {
			code = policy.CodeRegionPairClosed
		}
		switch {
		case got == nil:
			effects = p.Refused(d.Now(), l.HoldID, code)
		case got.GetCode() != "":
			effects = p.Refused(d.Now(), l.HoldID, policy.Code(got.GetCode()))
		default:
			l.Payer, l.PayerName = got.GetPayer(), got.GetPayerName()
			effects = p.Placed(d.Now(), l.HoldID, money.Amount(got.GetAmount()), policy.Code(got.GetLimitedBy()))
		}
	}
}
