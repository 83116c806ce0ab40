package policy

import "slices"

// Purpose is what a payment is for.
type Purpose string

// The purposes that a region can open.
const (
	PurposeOutpatient             Purpose = "outpatient"
	PurposeInpatient              Purpose = "inpatient"
	PurposeEmergency              Purpose = "emergency"
	PurposeChronic                Purpose = "chronic"
	PurposeDrug                   Purpose = "drug"
	PurposeDevice                 Purpose = "device"
	PurposeConsumable             Purpose = "consumable"
	PurposeResidentPremium        Purpose = "resident_premium"
	PurposeLTCPremium             Purpose = "ltc_premium"
	PurposeCheckup                Purpose = "checkup"
	PurposeVaccine                Purpose = "vaccine"
	PurposeSupplementaryInsurance Purpose = "supplementary_insurance"
)

// The purposes that are always refused: no region can open them.
const (
	PurposePublicHealth Purpose = "public_health"
	PurposeFitness      Purpose = "fitness"
	PurposeWellness     Purpose = "wellness"
)

// purposes are the open ones in the order of api.md section 3, which is the canonical order.
var purposes = []Purpose{
	PurposeOutpatient, PurposeInpatient, PurposeEmergency, PurposeChronic,
	PurposeDrug, PurposeDevice, PurposeConsumable,
	PurposeResidentPremium, PurposeLTCPremium,
	PurposeCheckup, PurposeVaccine, PurposeSupplementaryInsurance,
}

// forbidden are the ones no region can open.
var forbidden = []Purpose{PurposePublicHealth, PurposeFitness, PurposeWellness}

// Purposes are all that a region can open, in canonical order; the slice is the caller's.
func Purposes() []Purpose { return slices.Clone(purposes) }

// ForbiddenPurposes are those that are always refused; the slice is the caller's.
func ForbiddenPurposes() []Purpose { return slices.Clone(forbidden) }

// Openable tells whether a region can open the purpose.
func (p Purpose) Openable() bool { return slices.Contains(purposes, p) }

// Forbidden tells whether the purpose is one of those that are always refused.
func (p Purpose) Forbidden() bool { return slices.Contains(forbidden, p) }

// premiums are the purposes that are collected once a year, in canonical order.
var premiums = []Purpose{PurposeResidentPremium, PurposeLTCPremium}

// PremiumPurposes are those that are collected once a year; the slice is the caller's.
func PremiumPurposes() []Purpose { return slices.Clone(premiums) }

// Premium tells whether the purpose is one that is collected once a year.
func (p Purpose) Premium() bool { return slices.Contains(premiums, p) }

// ParsePurpose checks the word of a request: CodePurposeForbidden for one that is always
// refused (a 422, to be told after all 400s), CodeInvalidRequest for an unknown word.
func ParsePurpose(s, field string) (Purpose, error) {
	p := Purpose(s)
	switch {
	case p.Openable():
		return p, nil
	case p.Forbidden():
		return p, Refuse(CodePurposeForbidden, field)
	default:
		return "", Refuse(CodeInvalidRequest, field)
	}
}

// Relation is what the beneficiary is to the payer.
type Relation string

// The eight relations.
const (
	RelationSpouse              Relation = "spouse"
	RelationParent              Relation = "parent"
	RelationChild               Relation = "child"
	RelationSibling             Relation = "sibling"
	RelationPaternalGrandparent Relation = "paternal_grandparent"
	RelationMaternalGrandparent Relation = "maternal_grandparent"
	RelationPaternalGrandchild  Relation = "paternal_grandchild"
	RelationMaternalGrandchild  Relation = "maternal_grandchild"
)

// relations in the order of api.md section 2, which is the canonical order.
var relations = []Relation{
	RelationSpouse, RelationParent, RelationChild, RelationSibling,
	RelationPaternalGrandparent, RelationMaternalGrandparent,
	RelationPaternalGrandchild, RelationMaternalGrandchild,
}

// Relations are all eight, in canonical order; the slice is the caller's.
func Relations() []Relation { return slices.Clone(relations) }

// Valid tells whether the word is one of the eight.
func (r Relation) Valid() bool { return slices.Contains(relations, r) }

// InstitutionKind is what kind of institution takes the money.
type InstitutionKind string

// The kinds of api.md section 3.
const (
	KindHospital InstitutionKind = "hospital"
	KindPharmacy InstitutionKind = "pharmacy"
	KindTax      InstitutionKind = "tax"
	KindInsurer  InstitutionKind = "insurer"
)

// kinds of institutions.
var kinds = []InstitutionKind{KindHospital, KindPharmacy, KindTax, KindInsurer}

// InstitutionKinds are all, in canonical order; the slice is the caller's.
func InstitutionKinds() []InstitutionKind { return slices.Clone(kinds) }

// Valid tells whether the word is one of the kinds.
func (k InstitutionKind) Valid() bool { return slices.Contains(kinds, k) }

// Channel is the way a grant comes in.
type Channel string

// The channels of api.md section 2.
const (
	ChannelNationalApp Channel = "national_app"
	ChannelPortal      Channel = "portal"
	ChannelWechat      Channel = "wechat"
	ChannelAlipay      Channel = "alipay"
	ChannelCounter     Channel = "counter"
)

// channels of grants.
var channels = []Channel{ChannelNationalApp, ChannelPortal, ChannelWechat, ChannelAlipay, ChannelCounter}

// Valid tells whether the word is one of the channels.
func (c Channel) Valid() bool { return slices.Contains(channels, c) }

// Scheme is the insurance scheme (insutype).
type Scheme int

// The schemes that take part.
const (
	SchemeEmployee Scheme = 310 // has a personal account; the only one that can pay
	SchemeResident Scheme = 390
)

// InsuredStatus is the insured status (psn_insu_stas).
type InsuredStatus int

// The statuses.
const (
	StatusNormal     InsuredStatus = 1
	StatusSuspended  InsuredStatus = 2
	StatusTerminated InsuredStatus = 4
)

// Consent says whose consent a grant needs before it is active.
type Consent string

// The consent modes.
const (
	ConsentPayer Consent = "payer"
	ConsentBoth  Consent = "both" // the beneficiary accepts at the own home region
	// ConsentCross asks for both only where the beneficiary's home lies in another province.
	ConsentCross Consent = "both_cross_province"
)

// Valid tells whether the word is one of the modes.
func (c Consent) Valid() bool { return c == ConsentPayer || c == ConsentBoth || c == ConsentCross }

// Both tells whether a grant to a beneficiary in that scope of the payer's home needs both consents.
func (c Consent) Both(s Scope) bool {
	return c == ConsentBoth || c == ConsentCross && s == ScopeCrossProvince
}
