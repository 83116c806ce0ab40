package check

import (
	"errors"

	"gongji/gateway/client"
)

// books are one region's, while its audit is read.
type books struct {
	*pass
	region   string
	rules    []client.AuditRules
	accounts *spool[accountItem]
	grants   *spool[grantItem]
	end      *client.AuditEnd
	counted  client.AuditEnd
}

// accountItem is one line about an account; one field is set.
type accountItem struct {
	Account  *client.AuditAccount  `json:"a,omitempty"`
	Movement *client.AuditMovement `json:"m,omitempty"`
	Hold     *client.AuditHold     `json:"h,omitempty"`
	Reserve  *client.AuditGrant    `json:"r,omitempty"` // a virtual limit
}

// grantItem is one line about a grant.
type grantItem struct {
	Grant *client.AuditGrant `json:"g,omitempty"`
	Hold  *client.AuditHold  `json:"h,omitempty"`
}

// legItem is one side of a leg.
type legItem struct {
	Region string            `json:"r"` // that says so
	Leg    *client.AuditLeg  `json:"l,omitempty"`
	Hold   *client.AuditHold `json:"h,omitempty"`
}

// billItem is one line about a bill.
type billItem struct {
	Payment *client.AuditPayment `json:"p,omitempty"`
	Bill    *client.AuditBill    `json:"b,omitempty"`
}

func newBooks(p *pass, region string) (*books, error) {
	b := &books{pass: p, region: region}
	var err error
	if b.accounts, err = newSpool[accountItem](p.f.TempDir); err != nil {
		return nil, err
	}
	if b.grants, err = newSpool[grantItem](p.f.TempDir); err != nil {
		return nil, errors.Join(err, b.accounts.close())
	}
	return b, nil
}

func (b *books) close() error { return errors.Join(b.accounts.close(), b.grants.close()) }

// line takes one line of the audit.
func (b *books) line(l client.AuditLine) error {
	switch {
	case l.Rules != nil:
		b.rules = append(b.rules, *l.Rules)
	case l.Account != nil:
		b.counted.Accounts++
		return b.accounts.put(l.Account.Account, accountItem{Account: l.Account})
	case l.Movement != nil:
		b.counted.Movements++
		return b.accounts.put(l.Movement.Account, accountItem{Movement: l.Movement})
	case l.Grant != nil:
		err := b.grants.put(l.Grant.ID, grantItem{Grant: l.Grant})
		if l.Grant.Account != "" {
			err = errors.Join(err, b.accounts.put(l.Grant.Account, accountItem{Reserve: l.Grant}))
		}
		return err
	case l.Hold != nil:
		return b.hold(l.Hold)
	case l.Payment != nil:
		return b.payment(l.Payment)
	case l.Bill != nil:
		return b.bills.put(b.region+" "+l.Bill.Key, billItem{Bill: l.Bill})
	case l.End != nil:
		b.end = l.End
	}
	return nil
}

func (b *books) hold(h *client.AuditHold) error {
	b.counted.Holds++
	b.checkHold(h)
	return errors.Join(
		b.accounts.put(h.Account, accountItem{Hold: h}),
		b.grants.put(h.GrantID, grantItem{Hold: h}),
		b.legs.put(h.ID, legItem{Region: b.region, Hold: h}),
	)
}

func (b *books) payment(p *client.AuditPayment) error {
	b.counted.Payments++
	b.checkPayment(p)
	short := *p
	short.Legs = nil
	err := b.bills.put(b.region+" "+p.BillKey, billItem{Payment: &short})
	for i := range p.Legs {
		err = errors.Join(err, b.legs.put(p.Legs[i].HoldID, legItem{Region: b.region, Leg: &p.Legs[i]}))
	}
	return err
}

// finish checks what needed all lines of the region.
func (b *books) finish() error {
	got, want := b.counted, *b.end
	if got.Accounts != want.Accounts || got.Movements != want.Movements || got.Holds != want.Holds ||
		got.Payments != want.Payments {
		b.report.fail(Balances, "region %s: the audit has other counts than its end says", b.region)
	}
	sortRules(b.rules)
	if len(b.rules) == 0 {
		b.report.fail(Limits, "region %s: no rules", b.region)
	}
	return errors.Join(b.accounts.groups(b.checkAccount), b.grants.groups(b.checkGrant))
}
