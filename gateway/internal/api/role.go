package api

import "slices"

// Role is a set of operations that a platform's key may ask for. A key has one or several.
type Role string

// The roles. What each may do stands in permitted.
const (
	RoleAll        Role = "all"        // everything
	RoleRead       Role = "read"       // everything that changes nothing, quotes and searches included
	RolePayments   Role = "payments"   // of a hospital, pharmacy or tax office: payments, their refunds, quotes
	RoleGrants     Role = "grants"     // of a citizens' app or a counter: grants, their order and mandates, statements
	RoleRefunds    Role = "refunds"    // of a back office: refunds, and the payments that they belong to
	RoleStatements Role = "statements" // of an enquiry desk: statements and quotas only
)

// Roles are all of them.
func Roles() []Role {
	return []Role{RoleAll, RoleRead, RolePayments, RoleGrants, RoleRefunds, RoleStatements}
}

// ValidRoles reports whether there is a role, and all are known.
func ValidRoles(roles []Role) bool {
	return len(roles) > 0 && len(roles) <= len(Roles()) &&
		!slices.ContainsFunc(roles, func(r Role) bool { return !slices.Contains(Roles(), r) })
}

// permitted lists the operations of a role that is a list. What everybody may know is in each of them.
func permitted(r Role) []string {
	public := []string{"getCommitment", "getRules"}
	switch r {
	case RolePayments:
		return append(public, "quote", "createPayment", "getPayment", "searchPayments", "confirmPayment", "cancelPayment",
			"completePayment", "createRefund", "listRefunds", "getRefund", "getTrace", "getEvidence")
	case RoleGrants:
		return append(public, "createGrant", "getGrant", "searchGrants", "patchGrant", "revokeGrant", "acceptGrant",
			"renounceGrant", "setOrder", "createMandate", "listMandates", "deleteMandates", "quotas", "statements")
	case RoleRefunds:
		return append(public, "getPayment", "searchPayments", "createRefund", "listRefunds", "getRefund", "getTrace",
			"getEvidence")
	case RoleStatements:
		return append(public, "quotas", "statements")
	case RoleAll, RoleRead:
	}
	return nil
}

// May reports whether a role may ask for an operation.
func (r Role) May(op Operation) bool {
	switch r {
	case RoleAll:
		return true
	case RoleRead:
		return !op.Write
	case RolePayments, RoleGrants, RoleRefunds, RoleStatements:
	}
	return slices.Contains(permitted(r), op.ID)
}

func mayAny(roles []Role, op Operation) bool {
	return slices.ContainsFunc(roles, func(r Role) bool { return r.May(op) })
}
