package secondopinion

// Pair names two regions as Closed does.
func Pair(a, b string) string {
	if a > b {
		a, b = b, a
	}
	return a + " " + b
}

// scope is how far it is from a payer's home to a visit region: the first two digits are the province.
func scope(home, visit string) string {
	switch {
	case home == visit:
		return "same_region"
	case home[:2] == visit[:2]:
		return "same_province"
	default:
		return "cross_province"
	}
}

// PairOpen tells whether money may go from a home to a visit region: within one region always; else the federation has
// to have opened the pair, and each of both sides that lists the other provinces that it has opened must list the other
// for today.
func (w *World) PairOpen(home, visit string) bool {
	if home == visit {
		return true
	}
	return !w.Closed[Pair(home, visit)] && w.lists(home, visit) && w.lists(visit, home)
}

func (w *World) lists(region, other string) bool {
	pairs := w.Regions[region].Pairs
	if len(pairs) == 0 || scope(region, other) != "cross_province" {
		return true
	}
	for _, p := range pairs {
		if p.Region == other && w.day() >= p.From && (p.Until == "" || w.day() <= p.Until) {
			return true
		}
	}
	return false
}

// opens tells whether a region's money may serve a purpose in a visit region.
func (w *World) opens(home, visit, purpose string) bool {
	rules := w.Regions[home]
	if own, ok := rules.ScopePurposes[scope(home, visit)]; ok {
		return in(purpose, own)
	}
	return in(purpose, rules.Purposes)
}

// Over tells whether a grant is over: revoked, ended, or its last day has passed.
func (w *World) Over(g *Grant) bool {
	return g.Status == "revoked" || g.Status == "ended" || g.Until != "" && w.day() > g.Until
}

// Usable tells whether a grant can be used today.
func (w *World) Usable(g *Grant) bool {
	return g.Status == "active" && !w.Over(g) && w.day() >= g.From
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
	case !w.PairOpen(payer.Region, visitRegion):
		return "region_pair_closed"
	case !w.opens(payer.Region, visitRegion, purpose):
		return "purpose_not_open"
	}
	return ""
}

// over tells whether a person's insurance is over, and not only suspended: then the grants end by themselves.
func (p *Person) over() bool { return p.Scheme != 310 && p.Scheme != 390 || p.Status == 4 }

// MayGrant says why a grant is refused, "" if it is made: the first of the page's list.
func (w *World) MayGrant(payer, beneficiary, relation string) string {
	p, b := w.Persons[payer], w.Persons[beneficiary]
	switch {
	case p.Scheme != 310:
		return "payer_scheme"
	case p.Status != 1:
		return "payer_not_insured"
	case b.Status != 1 || b.Scheme != 310 && b.Scheme != 390:
		return "beneficiary_not_insured"
	case !in(relation, w.Regions[p.Region].Relations):
		return "relation_not_allowed"
	case !w.PairOpen(p.Region, b.Region):
		return "region_pair_closed"
	}
	for _, g := range w.Grants {
		if g.Payer == payer && g.Beneficiary == beneficiary && !w.Over(g) {
			return "duplicate_grant"
		}
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
		case w.Over(g) || g.Status == "pending_beneficiary": // silently
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
	case w.Regions[b.Region].ZeroOnly && own > 0: // nothing before the own account is empty
		return "own_account_first"
	case !w.Regions[b.Region].ZeroOnly && r.OwnPaid < min(own, r.SelfBorne):
		return "own_account_first"
	}
	return ""
}
