package secondopinion

// taken is what a hold takes of every limit: what is placed while it is open, what was captured and not given back
// afterwards, nothing once it was released.
func (h *Hold) taken() int {
	switch h.State {
	case "placed":
		return h.Amount
	case "captured":
		return h.Captured - h.Refunded
	default:
		return 0
	}
}

// Balance is what was paid in, less what was captured, and what was given back.
func (w *World) Balance(person string) int {
	sum := w.Persons[person].Paid
	for _, h := range w.Holds {
		if h.Payer == person && h.State == "captured" {
			sum = sum - h.Captured + h.Refunded
		}
	}
	return sum
}

// Held is what stands held of an account.
func (w *World) Held(person string) int {
	sum := 0
	for _, h := range w.Holds {
		if h.Payer == person && h.State == "placed" {
			sum += h.Amount
		}
	}
	for _, g := range w.Grants { // and what virtual limits have left
		if g.Payer == person {
			sum += g.Left
		}
	}
	return sum
}

// Touch opens a year of an account, if nothing has happened in it yet.
func (w *World) Touch(person string) { w.open(person) }

// open writes down what a year of an account begins with, if nothing has happened in it yet.
func (w *World) open(person string) {
	p := w.Persons[person]
	if _, ok := p.Opening[w.year()]; !ok {
		p.Opening[w.year()] = w.Balance(person)
	}
}

func (w *World) opening(person string) int {
	if sum, ok := w.Persons[person].Opening[w.year()]; ok {
		return sum
	}
	return w.Balance(person)
}

// UsedYear is what a year took of an account, over all beneficiaries and grants.
func (w *World) UsedYear(person, year string) int {
	sum := 0
	for _, h := range w.Holds {
		if h.Payer == person && h.Year == year {
			sum += h.taken()
		}
	}
	for _, g := range w.Grants {
		if g.Payer == person && g.LeftYear == year {
			sum += g.Left
		}
	}
	return sum
}

// UsedVisit is what one visit took of an account, for whatever purpose, in whatever year.
func (w *World) UsedVisit(person, visitRegion, visit string) int {
	sum := 0
	for _, h := range w.Holds {
		if h.Payer == person && h.VisitRegion == visitRegion && h.Visit == visit {
			sum += h.taken()
		}
	}
	return sum
}

// UsedGrant is what a calendar year took under one grant.
func (w *World) UsedGrant(grant, year string) int {
	sum := 0
	for _, h := range w.Holds {
		if h.Grant == grant && h.Year == year {
			sum += h.taken()
		}
	}
	return sum
}

// UsedBill is what payments of one bill hold, or have captured and not given back.
func (w *World) UsedBill(institution, bill string) int {
	sum := 0
	for _, p := range w.Payments {
		if p.Institution == institution && p.Bill == bill {
			for _, h := range w.HoldsOf(p.ID) {
				sum += h.taken()
			}
		}
	}
	return sum
}

// Quota is the part of a year's opening that may be shared for a purpose: in whole fen, and what does not divide is
// never shared.
func (w *World) Quota(person, purpose string) int {
	rules := w.Regions[w.Persons[person].Region]
	share := rules.Share
	if raised, ok := rules.PurposeShare[purpose]; ok {
		share = raised
	}
	return w.opening(person) * share / 10000
}

// Limit is one limit and what it allows now.
type Limit struct {
	Code   string
	Allows int
}

// Limits are those in force for a use of a grant, in the order in which they are named among equals.
func (w *World) Limits(g *Grant, visitRegion, visit, purpose string) []Limit {
	rules := w.Regions[w.Persons[g.Payer].Region]
	free := notBelowZero(w.Balance(g.Payer) - w.Held(g.Payer))
	quota := notBelowZero(w.Quota(g.Payer, purpose) - w.UsedYear(g.Payer, w.year()))
	if rules.CarriedOver { // what came in this year stays with its owner
		quota = min(quota, notBelowZero(free-w.Persons[g.Payer].Credited[w.year()]))
	}
	limits := []Limit{
		{"balance_insufficient", free},
		{"annual_quota", quota},
		{"retained_floor", notBelowZero(free - rules.Floor)},
	}
	if g.Virtual > 0 { // it draws what is held already: the account was asked when the grant was made
		limits = []Limit{{"balance_insufficient", g.Left}}
		if g.LeftYear != w.year() { // a new year's quota was not
			limits = append(limits, Limit{"annual_quota", quota})
		}
	}
	if most, ok := rules.VisitLimit[purpose]; ok {
		limits = append(limits, Limit{"visit_limit", notBelowZero(most - w.UsedVisit(g.Payer, visitRegion, visit))})
	}
	if g.PerPayment != None {
		limits = append(limits, Limit{"payment_limit", g.PerPayment})
	}
	if g.Annual != None {
		limits = append(limits, Limit{"grant_annual_limit", notBelowZero(g.Annual - w.UsedGrant(g.ID, w.year()))})
	}
	return limits
}

// Gives is what a grant gives of what is asked, and which limit decides, "" if none does.
func (w *World) Gives(g *Grant, visitRegion, visit, purpose string, asked int) (int, string) {
	gives, by := asked, ""
	for _, l := range w.Limits(g, visitRegion, visit, purpose) {
		if l.Allows < gives {
			gives, by = l.Allows, l.Code
		}
	}
	return gives, by
}

// MayReserve says which limit keeps a virtual limit from being held wholly, "" if none does: balance, quota and floor of
// the account, for no purpose of its own.
func (w *World) MayReserve(payer string, limit int) string {
	anyone := &Grant{Payer: payer, PerPayment: None, Annual: None}
	if _, by := w.Gives(anyone, "", "", "", limit); by != "" {
		return by
	}
	return ""
}
