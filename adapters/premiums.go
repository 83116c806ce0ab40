package adapters

import "context"

// Premiums is what a Core can do beside, if it says so in Capabilities.Premiums: it knows which premiums of the
// region's insured are paid, and takes the word of the gateway that one is. The money itself is held and taken at the
// payers' homes; here it is only registered.
//
// The premium of a person, purpose and year is paid at most once, by whomever. The rules of the contract hold for its
// references, which are a space of their own, refusals included: a refusal is remembered whatever RemembersRefusals
// says, since the money is given back on it. Errors are those of Core; a conformance run checks all of this of a core
// that claims it.
type Premiums interface {
	// PremiumPaid reports whether a premium is paid, by whomever. It changes nothing. purpose is resident_premium or
	// ltc_premium, year the one that is insured. Refusals: ReasonUnknownPerson, ReasonIdentity, ReasonInvalid (another
	// purpose, a year outside 1900 to 9999).
	PremiumPaid(ctx context.Context, p Person, purpose string, year int) (bool, error)
	// PayPremium registers a premium of amount fen as paid, under the reference of the call.
	//
	// Refusals, the first that fits: ReasonInvalid (those of PremiumPaid, and an amount outside 1 to AmountMax);
	// ReasonConflict; ReasonLate; ReasonUnknownPerson; ReasonIdentity; ReasonPaid under another reference; ReasonStatus
	// (not insured, so that there is nothing to pay for); ReasonScheme (a resident_premium of somebody in another scheme).
	PayPremium(ctx context.Context, c Call, p Person, purpose string, year int, amount int64) error
}

// The purposes of premiums.
const (
	PremiumResident = "resident_premium"
	PremiumLTC      = "ltc_premium" // long-term care
)

// Bounds of the year of a premium.
const (
	PremiumYearMin = 1900
	PremiumYearMax = 9999
)

// ValidPremium reports whether a premium can be asked about at all.
func ValidPremium(purpose string, year int) bool {
	return (purpose == PremiumResident || purpose == PremiumLTC) && year >= PremiumYearMin && year <= PremiumYearMax
}
