package policy

import "gongji/gateway/internal/money"

// Terms are what the rules of the payer's home say about the money of one account for one
// purpose; Rules.Terms makes them.
type Terms struct {
	Share      money.Share  // of the year-opening balance
	Floor      money.Amount // must stay in the account
	VisitLimit money.Amount // for one visit, 0 for none
	// CarriedOver: what was credited in the business year cannot be shared.
	CarriedOver bool
}

// Ask is one question to one payer's account, with all that the limits depend on. All
// amounts count from "requested" until the core confirmed an end (design 5).
type Ask struct {
	Amount money.Amount // still asked of this payer

	Balance   money.Amount // of the account, not lowered by holds
	OpenHolds money.Amount // all open ones of the account: requested, placed, in doubt, on the way
	Opening   money.Amount // the account's balance at the opening of the business year
	Credited  money.Amount // credited since the opening, and part of Balance; refunds are not counted
	UsedYear  money.Amount // held or captured of that year's quota, less releases and refunds, over all beneficiaries
	UsedVisit money.Amount // the same, of this account for this visit (visit region and visit_id), any purpose

	PaymentLimit     money.Amount // set by the payer for one leg, 0 for none
	GrantAnnualLimit money.Amount // set by the payer for the calendar year, 0 for none
	UsedGrant        money.Amount // held or captured of this grant in the year, less releases and refunds

	// Reserved: the money comes from a virtual limit, which was held from the account under all of the account's limits
	// . Balance is what is left of it, and the retained floor is not asked twice.
	Reserved bool
	// QuotaCounted: the reserve counts in the quota of this business year already, so that is not asked twice either.
	QuotaCounted bool

	Terms Terms
}

// LimitCount is how many limits there are.
const LimitCount = 6

// Limit is one limit with what it allows at the moment.
type Limit struct {
	Code    Code
	InForce bool         // false where neither rules nor payer set one
	Allows  money.Amount // never below 0; meaningless if not in force
}

// Decision is the answer to an Ask.
type Decision struct {
	// Given is what the account gives: the least of what was asked and all limits.
	Given money.Amount
	// LimitedBy names the limit that decided, "" if all that was asked is given.
	LimitedBy Code
	// Limits are all six in the order in which they are named among equals.
	Limits [LimitCount]Limit
}

// LimitCodes are the limits in the order of Decision.Limits.
func LimitCodes() [LimitCount]Code {
	return [LimitCount]Code{
		CodeBalanceInsufficient, CodeAnnualQuota, CodeRetainedFloor, CodeVisitLimit, CodePaymentLimit, CodeGrantAnnualLimit,
	}
}

// Decide says what one account gives. All limits are in effect at once and the
// lowest decides; of several that allow the same least amount the first is named, in the
// order balance_insufficient, annual_quota, retained_floor, visit_limit, payment_limit,
// grant_annual_limit. Nothing below 0 is ever given or allowed, whatever the state.
//
// Where only the carried-over balance can be shared, the year's quota is the lesser of two: the share of the opening,
// less what is held or captured of it; and what is left of the opening itself, which is the opening less all that has
// left the account since (for its owner too) and is held, that is Balance − OpenHolds − Credited. Whoever spends,
// spends the carried-over money first: so none of the year's own money is ever given. It is named annual_quota too.
func Decide(in Ask) Decision {
	free := in.Balance.Less(in.OpenHolds)
	quota := in.Terms.Share.Of(in.Opening).Less(in.UsedYear)
	if in.Terms.CarriedOver && !in.Reserved {
		quota = min(quota, free.Less(in.Credited))
	}
	d := Decision{Limits: [LimitCount]Limit{
		{CodeBalanceInsufficient, true, free},
		{CodeAnnualQuota, !in.QuotaCounted, quota},
		{CodeRetainedFloor, !in.Reserved, free.Less(in.Terms.Floor)},
		{CodeVisitLimit, in.Terms.VisitLimit > 0, in.Terms.VisitLimit.Less(in.UsedVisit)},
		{CodePaymentLimit, in.PaymentLimit > 0, in.PaymentLimit},
		{CodeGrantAnnualLimit, in.GrantAnnualLimit > 0, in.GrantAnnualLimit.Less(in.UsedGrant)},
	}}
	d.Given = max(in.Amount, 0)
	for _, l := range d.Limits {
		if l.InForce && l.Allows < d.Given { // strictly less: the first among equals keeps its name
			d.Given, d.LimitedBy = l.Allows, l.Code
		}
	}
	return d
}

// Standing is what a home region's core system says of a person.
type Standing struct {
	Known  bool // the number is known under this name
	Scheme Scheme
	Status InsuredStatus
}

// CheckPayer holds a payer against: payer_scheme before payer_not_insured.
func CheckPayer(scheme Scheme, status InsuredStatus) error {
	if scheme != SchemeEmployee {
		return Refuse(CodePayerScheme, "")
	}
	return checkStatus(status, CodePayerNotInsured)
}

// CheckBeneficiary holds a beneficiary against R-03: insured in either scheme, in normal
// status; else beneficiary_not_insured.
func CheckBeneficiary(scheme Scheme, status InsuredStatus) error {
	if scheme != SchemeEmployee && scheme != SchemeResident {
		return Refuse(CodeBeneficiaryNotInsured, "")
	}
	return checkStatus(status, CodeBeneficiaryNotInsured)
}

// checkStatus tells the reason, as R-03 asks.
func checkStatus(status InsuredStatus, code Code) error {
	switch status {
	case StatusNormal:
		return nil
	case StatusSuspended:
		return RefuseWith(code, "", "The insurance is suspended.", "参保状态为暂停参保。")
	case StatusTerminated:
		return RefuseWith(code, "", "The insurance is terminated.", "参保状态为终止参保。")
	default:
		return RefuseWith(code, "", "There is no insurance in force.", "未参保或参保状态无效。")
	}
}

// Use is one use of a grant, with all that decides, beside the limits, whether it may.
type Use struct {
	GrantUsable bool // the grant is active and the business day lies within its validity
	Scheme      Scheme
	Status      InsuredStatus
	Relation    Relation
	PairOpen    bool  // payer's home – visit region, by the directory and the rules
	Scope       Scope // of the visit region, seen from the payer's home; "" goes by the general list
	Purpose     Purpose
	Rules       *Rules // of the payer's home, in force today; nil allows nothing
}

// CheckEligible holds a use against; the first that
// fails answers, in the order of api.md's list of declines: grant_not_active, payer_scheme,
// payer_not_insured, relation_not_allowed, region_pair_closed, purpose_not_open.
func CheckEligible(u Use) error {
	if !u.GrantUsable {
		return Refuse(CodeGrantNotActive, "")
	}
	if err := CheckPayer(u.Scheme, u.Status); err != nil {
		return err
	}
	switch {
	case !u.Rules.AllowsRelation(u.Relation):
		return Refuse(CodeRelationNotAllowed, "")
	case !u.PairOpen:
		return Refuse(CodeRegionPairClosed, "")
	case !u.Rules.OpensPurpose(u.Scope, u.Purpose):
		return Refuse(CodePurposeNotOpen, "")
	default:
		return nil
	}
}
