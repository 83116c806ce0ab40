package secondopinion

// Pair names two regions as Closed does.
func Pair(a, b string) string {
	if a > b {
		a, b = b, a
	}
	return a + " " + b
}

func (w *World) open2(a, b string) bool { return a == b || !w.Closed[Pair(a, b)] }

// ended tells whether a grant is over: revoked, ended, or its last day has passed.
func (w *World) ended(g *Grant) bool {
	return g.Status == "revoked" || g.Status == "ended" || g.Until != "" && w.day() > g.Until
}

// Usable tells whether a grant can be used today.
func (w *World) Usable(g *Grant) bool {
	return g.Status == "active" && !w.ended(g) && w.day() >= g.From
}

// MayUse says why the payer's home refuses a use of a grant, "" if it does not: the first of the page's list.
func (w *World) MayUse(g *Grant, visitRegion, purpose string) string {
	payer := w.Persons[g.Payer]
	rules := w.Regions[payer.Region]
	switch {
	case !w.Usable(g):
		return "grant_not_active"
	case payer.Scheme != 310:
		return "payer_scheme"
	case payer.Status != 1:
		return "payer_not_insured"
	case !in(g.Relation, rules.Relations):
		return "relation_not_allowed"
	case !w.open2(payer.Region, visitRegion):
		return "region_pair_closed"
	case !in(purpose, rules.Purposes):
		return "purpose_not_open"
	}
	return ""
}

// line is the grants that a payment looks at, in order, and those that it declines without a look.
func (w *World) line(r Request) ([]*Grant, []Decline) {
	var ids []string
	var declines []Decline
	if r.Named != nil {
		ids = r.Named
	} else {
		ids = append(ids, w.Order[r.Beneficiary]...)
		for _, g := range w.Grants {
			if g.Beneficiary == r.Beneficiary && !in(g.ID, ids) {
				ids = append(ids, g.ID)
			}
		}
	}
	var asked []*Grant
	for _, id := range ids {
		g := w.grant(id)
		switch {
		case g == nil || g.Beneficiary != r.Beneficiary:
			if r.Named != nil {
				declines = append(declines, Decline{id, "not_found"})
			}
		case w.ended(g) || g.Status == "pending_beneficiary": // silently
		case g.Status == "suspended" || w.day() < g.From:
			declines = append(declines, Decline{id, "grant_not_active"})
		default:
			asked = append(asked, g)
		}
	}
	return asked, declines
}

// Refuses says why there is no payment at all, "" if there is one: the first failing check of the page's list.
func (w *World) Refuses(r Request) string {
	b := w.Persons[r.Beneficiary]
	own := 0
	if b.Scheme == 310 {
		own = notBelowZero(w.Balance(r.Beneficiary) - w.Held(r.Beneficiary))
	}
	least := own // what the own account has to pay
	if r.SelfBorne < least {
		least = r.SelfBorne
	}
	switch {
	case r.Amount == 0 || r.FundPaid+r.SelfBorne != r.Total || r.OwnPaid > r.SelfBorne:
		return "invalid_amount"
	case r.Credential == "kin_account":
		return "kin_account"
	case in(r.Purpose, []string{"public_health", "fitness", "wellness"}):
		return "purpose_forbidden"
	case w.UsedBill(r.Institution, r.Bill)+r.Amount > r.SelfBorne-r.OwnPaid:
		return "amount_exceeds_self_borne"
	case r.HolderIsOther:
		return "credential_mismatch"
	case b.Region != r.VisitRegion && r.Credential != "e_credential" && !r.RemoteUse:
		return "remote_use_required"
	case r.Undesignated:
		return "institution_not_designated"
	case b.Status != 1 || b.Scheme != 310 && b.Scheme != 390:
		return "beneficiary_not_insured"
	case r.OwnPaid < least:
		return "own_account_first"
	}
	return ""
}
