package rulebook

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// ErrDecision: a decision whose amounts, share or limits cannot be read.
var ErrDecision = errors.New("rulebook: not a recorded decision")

// Decisions is what an operator is given of a payment at a payer's home region (docs/operations.md).
type Decisions struct {
	PaymentID string     `json:"payment_id"`
	Region    string     `json:"region"`
	Decisions []Decision `json:"decisions"`
}

// Decision is what the rules said to one hold, with the facts that they said it by, as they stand in the region's log.
// Amounts are yuan with two places.
type Decision struct {
	HoldID      string    `json:"hold_id"`
	PaymentID   string    `json:"payment_id"`
	GrantID     string    `json:"grant_id"`
	Region      string    `json:"region"`       // the payer's home
	VisitRegion string    `json:"visit_region"` // where the bill arose
	Payer       string    `json:"payer"`        // masked number
	PayerName   string    `json:"payer_name"`   // masked
	Purpose     string    `json:"purpose"`
	Institution string    `json:"institution"`
	VisitID     string    `json:"visit_id"`
	CheckedAt   time.Time `json:"checked_at"`
	Year        int       `json:"year"`
	Status      string    `json:"status"` // of the hold, now
	Asked       string    `json:"asked"`
	Held        string    `json:"held"`
	Captured    string    `json:"captured"`
	Code        string    `json:"code,omitempty"`       // of a declined one
	LimitedBy   string    `json:"limited_by,omitempty"` // the limit that decided
	Facts       *Facts    `json:"facts,omitempty"`      // absent where no rules were asked
}

// Facts are what the rules decided by, at that moment.
type Facts struct {
	RulesFrom          string  `json:"rules_from"` // the day from which that version of the rules holds
	Scheme             int     `json:"scheme"`
	InsuredStatus      int     `json:"insured_status"`
	GrantUsable        bool    `json:"grant_usable"`
	PairOpen           bool    `json:"pair_open"`
	Balance            string  `json:"balance"`
	OpenHolds          string  `json:"open_holds"`
	YearOpening        string  `json:"year_opening"`
	OpeningProvisional bool    `json:"opening_provisional"`
	Credited           string  `json:"credited"`
	UsedYear           string  `json:"used_year"`
	UsedVisit          string  `json:"used_visit"`
	UsedGrant          string  `json:"used_grant"`
	PaymentLimit       string  `json:"payment_limit"`      // 0.00: none
	GrantAnnualLimit   string  `json:"grant_annual_limit"` // 0.00: none
	AnnualShare        string  `json:"annual_share"`
	RetainedFloor      string  `json:"retained_floor"`
	VisitLimit         string  `json:"visit_limit"` // 0.00: none
	CarriedOverOnly    bool    `json:"carried_over_only"`
	FromVirtualLimit   bool    `json:"from_virtual_limit"` // balance is what was left of it
	Given              string  `json:"given"`
	LimitedBy          string  `json:"limited_by,omitempty"`
	Limits             []Limit `json:"limits"` // in the order in which they are named among equals
}

// Limit is what one limit allowed.
type Limit struct {
	Code    string `json:"code"`
	InForce bool   `json:"in_force"`
	Allows  string `json:"allows"` // 0.00 where it was not in force
}

// Explanation is what an employee reads to a citizen, a sentence a line.
type Explanation struct {
	EN []string
	ZH []string
}

func (e *Explanation) say(en, zh string) {
	e.EN = append(e.EN, en)
	e.ZH = append(e.ZH, zh)
}

// Explain says in words why a hold got what it got. It reads the decision and nothing else: rules that have changed
// since change nothing. ErrDecision for one whose figures cannot be read.
func (d Decision) Explain() (Explanation, error) {
	var e Explanation
	for _, amount := range []string{d.Asked, d.Held, d.Captured} {
		if _, err := money.Parse(amount); err != nil {
			return e, fmt.Errorf("%w: %s: amount %s", ErrDecision, shown(d.HoldID), shownQuoted(amount))
		}
	}
	d.head(&e)
	if d.Facts == nil {
		e.say("No facts of a decision are recorded: the rules were not asked.", "没有记录裁定依据：未进入规则审核。")
		return e, nil
	}
	n, err := d.Facts.numbers()
	if err != nil {
		return e, fmt.Errorf("%w: %s: %w", ErrDecision, shown(d.HoldID), err)
	}
	from := shown(d.Facts.RulesFrom)
	e.say(fmt.Sprintf("Decided at %s (Beijing) by the rules in force since %s.", beijing(d.CheckedAt), from),
		fmt.Sprintf("裁定时间：%s（北京时间），依据%s起施行的规则。", beijing(d.CheckedAt), from))
	if d.Code != "" && len(d.Facts.Limits) == 0 {
		d.refused(&e)
		return e, nil
	}
	d.limits(&e, n)
	return e, nil
}

// head says what came of it.
func (d Decision) head(e *Explanation) {
	whose := fmt.Sprintf("%s (%s)", shown(d.PayerName), shown(d.Payer))
	account, accountZH := fmt.Sprintf("the account of %s at %s", whose, shown(d.Region)),
		fmt.Sprintf("%s%s的账户", shown(d.Region), whose)
	if d.Payer == "" {
		account, accountZH = "an account at "+shown(d.Region), shown(d.Region)+"的账户"
	}
	p, pzh := shown(d.Purpose), purposeZH(shown(d.Purpose))
	if d.Held == "0.00" {
		code := policy.Code(d.Code)
		e.say(fmt.Sprintf("Nothing of the %s asked for %s was given from %s: %s", d.Asked, p, account, sentence(code)),
			fmt.Sprintf("本次申请（%s）%s元，未从%s支付：%s", pzh, d.Asked, accountZH, sentenceZH(code)))
		return
	}
	e.say(fmt.Sprintf("%s of the %s asked for %s was given from %s.", d.Held, d.Asked, p, account),
		fmt.Sprintf("本次从%s支付%s元（%s，申请%s元）。", accountZH, d.Held, pzh, d.Asked))
	if d.LimitedBy != "" {
		e.say("What decided: "+sentence(policy.Code(d.LimitedBy)), "起决定作用的限制："+sentenceZH(policy.Code(d.LimitedBy)))
	}
	if d.Status == "captured" {
		e.say("Taken in the end: "+d.Captured+".", "最终扣款"+d.Captured+"元。")
	}
}

func sentence(c policy.Code) string {
	if !c.Valid() {
		return shown(string(c))
	}
	return fmt.Sprintf("%s (%s)", strings.TrimSuffix(c.Message(), "."), c) + "."
}

func sentenceZH(c policy.Code) string {
	if !c.Valid() {
		return shown(string(c))
	}
	return fmt.Sprintf("%s（%s）。", strings.TrimSuffix(c.MessageZH(), "。"), c)
}

// refused says by which fact somebody may not pay at all.
func (d Decision) refused(e *Explanation) {
	switch d.Code {
	case string(policy.CodePayerScheme), string(policy.CodePayerNotInsured):
		e.say(fmt.Sprintf("The payer's scheme was %d (310: employees), the insured status %d (1: normal).",
			d.Facts.Scheme, d.Facts.InsuredStatus),
			fmt.Sprintf("共济人险种为%d（310为职工医保），参保状态为%d（1为正常参保）。", d.Facts.Scheme, d.Facts.InsuredStatus))
	case string(policy.CodeRegionPairClosed):
		e.say(fmt.Sprintf("The pair %s and %s was not open.", shown(d.Region), shown(d.VisitRegion)),
			fmt.Sprintf("当时%s与%s之间未开放。", shown(d.Region), shown(d.VisitRegion)))
	case string(policy.CodePurposeNotOpen):
		e.say(fmt.Sprintf("%s had not opened %s for its money used in %s.", shown(d.Region), shown(d.Purpose),
			shown(d.VisitRegion)),
			fmt.Sprintf("当时%s未对在%s的“%s”开放。", shown(d.Region), shown(d.VisitRegion), purposeZH(shown(d.Purpose))))
	case string(policy.CodeGrantNotActive):
		e.say("The grant could not be used on that day: suspended, revoked, ended, or outside its validity.",
			"授权当日不可使用：已暂停、已撤销、已终止，或不在有效期内。")
	}
}

func beijing(t time.Time) string { return t.In(policy.Beijing()).Format("2006-01-02 15:04:05") }
