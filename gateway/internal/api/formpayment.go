package api

import (
	"time"

	"gongji/gateway/client"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// Bounds of a payment's fields that the page names.
const (
	decideSecondsMin = 5
	decideSecondsMax = 1 << 30 // no region can mean more; its own bound is asked for afterwards
	visitDaysMax     = 400     // how far back a bill may lie: bill records outlive request ids (design 5)
)

// charge is what the checks of a payment compute with, beside the form itself.
type charge struct {
	amount, selfBorne, ownPaid money.Amount
}

// paymentForm reads the body of POST /v1/payments, and of a quote, which has no request id.
func paymentForm(f *form, body *node, quote bool) (client.PaymentRequest, charge) {
	o := f.root(body)
	r, c := client.PaymentRequest{}, charge{}
	if quote {
		o.ignore("request_id")
	} else {
		r.RequestID = o.requestID()
	}
	r.Beneficiary = o.person("beneficiary", required)
	r.Credential = credentialForm(o.child("credential", required))
	r.Institution = institutionForm(o.child("institution", required))
	r.Purpose = o.word("purpose", required, func(s string) bool {
		return policy.Purpose(s).Openable() || policy.Purpose(s).Forbidden()
	})
	r.VisitID = o.label("visit_id", required)
	r.VisitDate = visitDateForm(o)
	r.Bill = billForm(o.child("bill", required), &c)
	c.amount, r.Amount = o.positive("amount", required)
	r.AllowPartial = o.flag("allow_partial", true)
	r.Confirm = o.confirm()
	if r.Confirm == "" {
		r.Confirm = client.ConfirmManual
	}
	r.DecideWithinSeconds = o.whole("decide_within_seconds", decideSecondsMin, decideSecondsMax)
	r.Grants = o.named()
	o.done()
	return r, c
}

func (o *object) confirm() string {
	return o.word("confirm", optional, func(s string) bool {
		return s == client.ConfirmManual || s == client.ConfirmAuto
	})
}

// named are the grants to be used and no others; none of them is the order in force, an empty list is refused.
func (o *object) named() []string {
	ids := o.ids("grants", optional)
	if o.has("grants") && len(ids) == 0 {
		o.form.refuseWith(policy.CodeInvalidRequest, "/grants", "The list is empty.", "列表不能为空。")
	}
	return ids
}

// completionForm reads the body of POST /v1/payments/{payment_id}/complete.
func completionForm(f *form, body *node) client.Completion {
	o := f.root(body)
	r := client.Completion{
		RequestID: o.requestID(), Confirm: o.confirm(),
		DecideWithinSeconds: o.whole("decide_within_seconds", decideSecondsMin, decideSecondsMax), Grants: o.named(),
	}
	o.done()
	return r
}

func credentialForm(o *object) client.Credential {
	c := client.Credential{
		Type: o.word("type", required, func(s string) bool {
			switch s {
			case client.CredentialECredential, client.CredentialSocialCard, client.CredentialIDCard,
				client.CredentialKinAccount:
				return true
			}
			return false
		}),
		RemoteUse: o.flag("remote_use", false),
	}
	if n := o.take("holder_id_number", kindString, required); n != nil {
		number, err := person.ParseNumber(n.text)
		if err != nil {
			o.form.refuse(policy.CodeInvalidIDNumber, o.pointer("holder_id_number"))
		}
		c.HolderIDNumber = number.Clear()
	}
	o.done()
	return c
}

func institutionForm(o *object) client.Institution {
	i := client.Institution{
		Code: o.label("code", required),
		Kind: o.word("kind", required, func(s string) bool {
			return policy.InstitutionKind(s).Valid()
		}),
	}
	o.done()
	return i
}

// visitDateForm: not in the future, and not older than bill records are kept.
func visitDateForm(o *object) string {
	day, text := o.day("visit_date", required)
	if day.Valid() && (day > o.form.today || day < o.form.today.AddDays(-visitDaysMax)) {
		o.form.refuseWith(policy.CodeInvalidRequest, o.pointer("visit_date"),
			"visit_date lies in the future or more than 400 days back.", "就诊日期不得晚于今日或早于400天前。")
	}
	return text
}

// billForm: fund_paid + self_borne = total and own_account_paid <= self_borne.
func billForm(o *object, c *charge) client.Bill {
	b := client.Bill{ID: o.label("id", required)}
	var total, fundPaid money.Amount
	total, b.Total = o.amount("total", required)
	fundPaid, b.FundPaid = o.amount("fund_paid", required)
	c.selfBorne, b.SelfBorne = o.amount("self_borne", required)
	c.ownPaid, b.OwnAccountPaid = o.amount("own_account_paid", optional)
	if b.OwnAccountPaid == "" {
		b.OwnAccountPaid = money.Amount(0).String()
	}
	o.done()
	if sum, err := fundPaid.Add(c.selfBorne); err != nil || sum != total {
		o.form.refuseWith(policy.CodeInvalidAmount, o.pointer("total"),
			"fund_paid and self_borne do not add up to total.", "基金支付与个人负担之和不等于总额。")
	}
	if c.ownPaid > c.selfBorne {
		o.form.refuseWith(policy.CodeInvalidAmount, o.pointer("own_account_paid"),
			"own_account_paid is more than self_borne.", "本人账户支付金额大于个人负担金额。")
	}
	return b
}

// forbidden are the refusals that need nothing but the request, in the order of the page: they come before all that a
// desk has to look up. What other payments took of the bill is the desk's to know.
func (c charge) forbidden(r client.PaymentRequest) error {
	switch {
	case r.Credential.Type == client.CredentialKinAccount:
		return &Error{Code: policy.CodeKinAccount, Field: "/credential/type"}
	case policy.Purpose(r.Purpose).Forbidden():
		return &Error{Code: policy.CodePurposeForbidden, Field: "/purpose"}
	case c.amount > c.selfBorne.Less(c.ownPaid):
		return &Error{Code: policy.CodeAmountExceedsSelfBorne, Field: "/amount"}
	}
	return nil
}

// confirmForm reads the body of a confirm; no amount means all that is held.
func confirmForm(f *form, body *node) (client.Confirmation, *money.Amount) {
	o := f.root(body)
	c := client.Confirmation{RequestID: o.requestID()}
	amount, text := o.positive("amount", optional)
	c.Amount = text
	o.done()
	if text == "" {
		return c, nil
	}
	return c, &amount
}

// paymentSearchForm reads the body of POST /v1/payments/search. A search needs no request id and ignores one,
// unless it is what is searched by.
func paymentSearchForm(f *form, body *node) client.PaymentSearch {
	o := f.root(body)
	s := client.PaymentSearch{VisitID: o.label("visit_id", optional), BillID: o.label("bill_id", optional)}
	if o.has("visit_id") || o.has("bill_id") {
		o.ignore("request_id")
	} else {
		s.RequestID = o.requestID()
	}
	s.Limit, s.Cursor = o.page()
	o.done()
	if o.has("visit_id") && o.has("bill_id") {
		f.breaks("", "Search by request_id, visit_id or bill_id.", "只能按 request_id、visit_id 或 bill_id 之一查询。")
	}
	return s
}

// Bounds of how long a confirm waits for its legs.
const (
	waitStandard = 5 * time.Second
	waitMax      = 30 // seconds
)

// waitForm reads ?wait=: whole seconds from 0 to 30.
func waitForm(f *form, values []string) time.Duration {
	if len(values) == 0 {
		return waitStandard
	}
	if len(values) == 1 && values[0] != "" && len(values[0]) <= 2 {
		seconds, ok := 0, true
		for _, c := range values[0] {
			ok = ok && c >= '0' && c <= '9'
			seconds = seconds*10 + int(c-'0')
		}
		if ok && seconds <= waitMax {
			return time.Duration(seconds) * time.Second
		}
	}
	f.breaks("/wait", "wait has whole seconds, 0 to 30.", "wait 须为 0 至 30 的整秒数。")
	return 0
}
