package policy

import "slices"

// Code is a stable refusal code of the API (api.md section 4). Programs outside are written
// against these words: none is ever renamed or given another meaning.
type Code string

// Form (400, 413).
const (
	CodeInvalidRequest  Code = "invalid_request"
	CodeInvalidIDNumber Code = "invalid_id_number"
	CodeInvalidAmount   Code = "invalid_amount"
	CodeInvalidRelation Code = "invalid_relation"
	CodeInvalidRegion   Code = "invalid_region"
)

// Who is speaking (401, 403).
const (
	CodeUnauthenticated Code = "unauthenticated"
	CodeStaleRequest    Code = "stale_request"
	CodeForbidden       Code = "forbidden"
	CodeRegionMismatch  Code = "region_mismatch"
)

// Where it is, and in which state (404, 409, 421).
const (
	CodeNotFound       Code = "not_found"
	CodeConflict       Code = "conflict"
	CodeWrongState     Code = "wrong_state"
	CodeExpired        Code = "expired"
	CodeDuplicateGrant Code = "duplicate_grant"
	CodeNotHomeRegion  Code = "not_home_region"
)

// The rules (422), with the requirement that each serves.
const (
	CodePayerScheme              Code = "payer_scheme"
	CodeRelationNotAllowed       Code = "relation_not_allowed"
	CodePayerNotInsured          Code = "payer_not_insured"
	CodeBeneficiaryNotInsured    Code = "beneficiary_not_insured"
	CodeRegionPairClosed         Code = "region_pair_closed"
	CodeConsentOutdated          Code = "consent_outdated"
	CodeGrantNotActive           Code = "grant_not_active"
	CodeIdentityMismatch         Code = "identity_mismatch"
	CodeKinAccount               Code = "kin_account"
	CodeAmountExceedsSelfBorne   Code = "amount_exceeds_self_borne"
	CodeOwnAccountFirst          Code = "own_account_first"
	CodeCredentialMismatch       Code = "credential_mismatch"
	CodeRemoteUseRequired        Code = "remote_use_required"
	CodePurposeForbidden         Code = "purpose_forbidden"
	CodePurposeNotOpen           Code = "purpose_not_open"
	CodeInstitutionNotDesignated Code = "institution_not_designated"
	CodeBalanceInsufficient      Code = "balance_insufficient"
	CodeAnnualQuota              Code = "annual_quota"
	CodeRetainedFloor            Code = "retained_floor"
	CodeVisitLimit               Code = "visit_limit"
	CodePaymentLimit             Code = "payment_limit"
	CodeGrantAnnualLimit         Code = "grant_annual_limit"
	CodeRefundExceedsCaptured    Code = "refund_exceeds_captured"
	CodeAccountClosed            Code = "account_closed"
)

// The machine itself (429, 501, 502, 503, 504).
const (
	CodeRateLimited       Code = "rate_limited"
	CodeNotSupported      Code = "not_supported"
	CodeCoreUnavailable   Code = "core_unavailable"
	CodeRegionUnreachable Code = "region_unreachable"
	CodeNoLeader          Code = "no_leader"
	CodeTimeout           Code = "timeout"
)

// declineCodes are those that may stand in a payment's declines (api.md section 3), in the
// order of that page. All others are problems, and no payment exists.
var declineCodes = []Code{
	CodeNotFound, CodeGrantNotActive, CodePayerScheme, CodePayerNotInsured, CodeRelationNotAllowed,
	CodeRegionPairClosed, CodePurposeNotOpen, CodeBalanceInsufficient, CodeAnnualQuota, CodeRetainedFloor,
	CodeVisitLimit, CodePaymentLimit, CodeGrantAnnualLimit, CodeCoreUnavailable, CodeRegionUnreachable,
}

// MayDecline tells whether the code may stand in a payment's declines.
func (c Code) MayDecline() bool { return slices.Contains(declineCodes, c) }

// DeclineCodes are all that may stand in a payment's declines; the slice is the caller's.
func DeclineCodes() []Code { return slices.Clone(declineCodes) }

// Codes are all codes in the order of api.md section 4; the slice is the caller's.
func Codes() []Code {
	all := make([]Code, 0, len(codeFacts))
	for i := range codeFacts {
		all = append(all, codeFacts[i].code)
	}
	return all
}

// fact finds the row of a code.
func (c Code) fact() (codeFact, bool) {
	for i := range codeFacts {
		if codeFacts[i].code == c {
			return codeFacts[i], true
		}
	}
	return codeFact{}, false
}

// Valid tells whether the code is one of api.md section 4.
func (c Code) Valid() bool { _, ok := c.fact(); return ok }

// Status is the HTTP status of the code; 500 for an unknown code. A body over the limit
// answers invalid_request with 413, which the API's face sets itself.
func (c Code) Status() int {
	if f, ok := c.fact(); ok {
		return f.status
	}
	return 500
}

// Retryable tells whether the same request may succeed later without a change by the caller.
func (c Code) Retryable() bool { f, _ := c.fact(); return f.retryable }

// Message is the code in one sentence of English, for titles and declines. No person and no
// amount stands in it.
func (c Code) Message() string { f, _ := c.fact(); return f.message }

// MessageZH is Message in Chinese.
func (c Code) MessageZH() string { f, _ := c.fact(); return f.messageZH }
