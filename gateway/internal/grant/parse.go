package grant

import (
	"slices"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// Bounds of a request.
const (
	ProofsMax = 16

	wordMax      = 64   // bytes of a version, a digest, a kind, a clerk's id
	signatureMax = 8192 // characters of base64: a signature with its certificate chain
	digestLen    = 64   // hex digits
)

// Input is a request to make a grant as it came in, with the shape checked (types, known
// and required keys) and nothing else. nil is an absent optional field.
type Input struct {
	Payer, Beneficiary person.Input

	Relation   string
	Channel    string
	ClerkID    *string
	ScanDigest *string
	Consent    Consent
	Proofs     []Proof
	ValidFrom  string

	ValidUntil      *string
	PerPaymentLimit *string
	AnnualLimit     *string
	Funding         *string
	Limit           *string // of a virtual limit
}

// Request is a grant asked for, checked as far as no region is needed.
type Request struct {
	Payer, Beneficiary person.Person
	Terms              Terms
}

// Parse checks a request: every 400 that api.md names for this call, and not_supported for
// what is not built. today is the Beijing day of the request. Every error is a
// policy.Refusal.
func Parse(in Input, today policy.Date) (Request, error) {
	var r Request
	var err error
	if r.Payer, err = policy.ParsePerson(in.Payer, "/payer"); err != nil {
		return Request{}, err
	}
	if r.Beneficiary, err = policy.ParsePerson(in.Beneficiary, "/beneficiary"); err != nil {
		return Request{}, err
	}
	if r.Terms, err = parseTerms(in); err != nil {
		return Request{}, err
	}
	if r.Payer.Number.Equal(r.Beneficiary.Number) {
		return Request{}, policy.Refuse(policy.CodeInvalidRelation, "/beneficiary/id_number")
	}
	if err = r.Terms.Check(today); err != nil {
		return Request{}, err
	}
	return r, nil
}

func parseTerms(in Input) (Terms, error) {
	t := Terms{
		Relation: policy.Relation(in.Relation), Channel: policy.Channel(in.Channel),
		Funding: FundingBalance,
	}
	if !t.Relation.Valid() { // before all else that is this request's own: the commonest slip
		return Terms{}, policy.Refuse(policy.CodeInvalidRelation, "/relation")
	}
	if err := takeEvidence(&t, in); err != nil {
		return Terms{}, err
	}
	if err := takeDates(&t, in); err != nil {
		return Terms{}, err
	}
	var err error
	if t.PerPaymentLimit, err = optionalLimit(in.PerPaymentLimit, "/per_payment_limit"); err != nil {
		return Terms{}, err
	}
	if t.AnnualLimit, err = optionalLimit(in.AnnualLimit, "/annual_limit"); err != nil {
		return Terms{}, err
	}
	return t, takeFunding(&t, in)
}

// takeEvidence reads consent, proofs and what a counter adds.
func takeEvidence(t *Terms, in Input) error {
	switch c := in.Consent; {
	case c.Version == "" || len(c.Version) > wordMax:
		return policy.Refuse(policy.CodeInvalidRequest, "/consent/version")
	case c.Digest == "" || len(c.Digest) > wordMax:
		return policy.Refuse(policy.CodeInvalidRequest, "/consent/digest")
	case len(c.Signature) > signatureMax || !isBase64(c.Signature):
		return policy.Refuse(policy.CodeInvalidRequest, "/consent/signature")
	}
	t.Consent = in.Consent
	if len(in.Proofs) > ProofsMax {
		return policy.Refuse(policy.CodeInvalidRequest, "/proofs")
	}
	for i, p := range in.Proofs {
		if !isWord(p.Kind) {
			return policy.Refuse(policy.CodeInvalidRequest, element("/proofs", i)+"/kind")
		}
		if !isDigest(p.Digest) {
			return policy.Refuse(policy.CodeInvalidRequest, element("/proofs", i)+"/digest")
		}
	}
	t.Proofs = slices.Clone(in.Proofs)
	if in.ClerkID != nil {
		if !isClerk(*in.ClerkID) {
			return policy.Refuse(policy.CodeInvalidRequest, "/clerk_id")
		}
		t.ClerkID = *in.ClerkID
	}
	if in.ScanDigest != nil {
		if !isDigest(*in.ScanDigest) {
			return policy.Refuse(policy.CodeInvalidRequest, "/scan_digest")
		}
		t.ScanDigest = *in.ScanDigest
	}
	return nil
}

func takeDates(t *Terms, in Input) error {
	var err error
	if t.ValidFrom, err = policy.ParseDay(in.ValidFrom, "/valid_from"); err != nil {
		return err
	}
	if in.ValidUntil != nil {
		t.ValidUntil, err = policy.ParseDay(*in.ValidUntil, "/valid_until")
	}
	return err
}

func takeFunding(t *Terms, in Input) error {
	if in.Funding != nil {
		t.Funding = Funding(*in.Funding)
	}
	switch {
	case t.Funding != FundingBalance && t.Funding != FundingVirtualLimit:
		return policy.Refuse(policy.CodeInvalidRequest, "/funding")
	case (t.Funding == FundingVirtualLimit) != (in.Limit != nil):
		return policy.Refuse(policy.CodeInvalidRequest, "/limit")
	case in.Limit != nil:
		var err error
		t.Limit, err = policy.ParsePositive(*in.Limit, "/limit")
		return err
	default:
		return nil
	}
}

func optionalLimit(s *string, field string) (money.Amount, error) {
	if s == nil {
		return 0, nil
	}
	return policy.ParsePositive(*s, field)
}

// Change is one field of a PATCH as it came in. Null and absent are the same but for the
// fields that can be removed.
type Change struct {
	Set  bool // the key is there
	Null bool // its value is null
	Text string
}

// PatchInput is a PATCH as it came in, with the shape checked and nothing else.
type PatchInput struct {
	ValidFrom, ValidUntil, PerPaymentLimit, AnnualLimit, Status Change
}

// ParsePatch checks a PATCH as far as no grant is needed. Null removes valid_until and the
// limits; for valid_from and status it counts as absent.
func ParsePatch(in PatchInput, today policy.Date) (Patch, error) {
	var p Patch
	if in.ValidFrom.Set && !in.ValidFrom.Null {
		d, err := policy.ParseDay(in.ValidFrom.Text, "/valid_from")
		if err != nil {
			return Patch{}, err
		}
		p.ValidFrom = &d
	}
	var err error
	if p.ValidUntil, err = patched(in.ValidUntil, "/valid_until", policy.ParseDay); err != nil {
		return Patch{}, err
	}
	if p.PerPaymentLimit, err = patched(in.PerPaymentLimit, "/per_payment_limit", policy.ParsePositive); err != nil {
		return Patch{}, err
	}
	if p.AnnualLimit, err = patched(in.AnnualLimit, "/annual_limit", policy.ParsePositive); err != nil {
		return Patch{}, err
	}
	if in.Status.Set && !in.Status.Null {
		s := Status(in.Status.Text)
		p.Status = &s
	}
	if err := p.Check(today); err != nil {
		return Patch{}, err
	}
	return p, nil
}

// patched reads a field that can be removed: nil if absent, a zero value if null.
func patched[T any](c Change, field string, parse func(s, field string) (T, error)) (*T, error) {
	if !c.Set {
		return nil, nil //nolint:nilnil // nil is the answer: the field stays
	}
	var v T
	if c.Null {
		return &v, nil
	}
	v, err := parse(c.Text, field)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// isBase64 checks the form of RFC 4648 section 4 with padding, not empty.
func isBase64(s string) bool {
	if s == "" || len(s)%4 != 0 {
		return false
	}
	body := len(s)
	for padding := 0; padding < 2 && s[body-1] == '='; padding++ {
		body--
	}
	return all(s[:body], func(c byte) bool { return isLetter(c) || isDigit(c) || c == '+' || c == '/' })
}

// isDigest: 64 hex digits.
func isDigest(s string) bool {
	return len(s) == digestLen && all(s, func(c byte) bool {
		return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
	})
}

// isWord: the kind of a proof, 1 to 64 of a-z 0-9 _.
func isWord(s string) bool {
	return s != "" && len(s) <= wordMax && all(s, func(c byte) bool {
		return isDigit(c) || c >= 'a' && c <= 'z' || c == '_'
	})
}

// isClerk: the id of a clerk, 1 to 64 of A-Z a-z 0-9 . _ -, as request ids are.
func isClerk(s string) bool {
	return s != "" && len(s) <= wordMax && all(s, func(c byte) bool {
		return isLetter(c) || isDigit(c) || c == '.' || c == '_' || c == '-'
	})
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
