package secondopinion

import "slices"

// None is an optional limit that is not set. Money is whole fen everywhere.
const None = -1

// Region is the rules of one region, as its own page of figures.
type Region struct {
	Share        int            // of the year's opening, in ten-thousandths
	PurposeShare map[string]int // raises the share for a purpose
	Floor        int            // must stay in an account
	VisitLimit   map[string]int // by purpose; a purpose that is no key has none
	Purposes     []string       // open for this region's money
	// ScopePurposes stand in place of Purposes for one scope: same_region, same_province, cross_province.
	ScopePurposes map[string][]string
	CarriedOver   bool     // only what the year began with can be shared, not what came in since
	ZeroOnly      bool     // a beneficiary insured here has to have an empty account of their own
	Pairs         []Open   // regions of other provinces that are open, with dates; none: all that the federation opens
	Relations     []string // allowed here
}

// Open is a region that another one has opened, from a day to a day ("": without end).
type Open struct{ Region, From, Until string }

// Person is one insured person with their personal account.
type Person struct {
	Region string
	Scheme int // 310 employee, 390 resident
	Status int // 1 normal, 2 suspended, 4 terminated
	Paid   int // all that was ever paid into the account; nothing is ever subtracted here
	// Opening is the balance with which each year began, by year. A year without one has not been opened: its first act
	// opens it with the balance of that moment.
	Opening map[string]int
	// Credited is what of Paid came in since a year's opening, by year.
	Credited map[string]int
}

// Grant is one payer's consent.
type Grant struct {
	ID          string
	Payer       string
	Beneficiary string
	Relation    string
	Status      string // pending_beneficiary, active, suspended, revoked, ended
	From        string // the first day
	Until       string // the last day, "" for none
	PerPayment  int    // of one leg, or None
	Annual      int    // of a calendar year, or None
	// Virtual is the limit that was held at once when the grant was made, 0 for none; Left is what of it is still
	// held and can be drawn, and counts in the year LeftYear in which the grant was made.
	Virtual, Left int
	LeftYear      string
}

// Hold is money of one payer for one payment: everything that any limit counts.
type Hold struct {
	Payment     string
	Grant       string
	Payer       string
	VisitRegion string
	Visit       string
	Year        string // in which it was checked
	Amount      int    // placed
	State       string // placed, captured, released
	Captured    int
	Refunded    int
	LimitedBy   string
}

// Request asks for a payment.
type Request struct {
	ID          string
	VisitRegion string
	Beneficiary string

	Credential    string // e_credential, social_card, id_card, kin_account
	HolderIsOther bool   // the credential is somebody else's
	RemoteUse     bool
	Undesignated  bool // the institution is not listed with that kind and purpose

	Purpose     string
	Visit       string
	Institution string
	Bill        string
	Total       int
	FundPaid    int
	SelfBorne   int
	OwnPaid     int

	Amount       int
	AllowPartial bool
	Auto         bool
	Named        []string // grants, those and no others; nil for the order in force
}

// Payment is what became of a request.
type Payment struct {
	Request

	Status    string // held, declined, captured, released, expired
	Held      int
	Confirmed int
	Declines  []Decline
}

// Decline is a grant that gave nothing.
type Decline struct{ Grant, Code string }

// World is all tables. Grants stand as they were made, holds as they were placed.
type World struct {
	Now      string // of Beijing: 2026-11-20 10:00:00
	Regions  map[string]*Region
	Closed   map[string]bool // pairs of regions that are closed, the smaller code first: 110000 310000
	Persons  map[string]*Person
	Grants   []*Grant
	Order    map[string][]string // by beneficiary: the grants to be used first
	Holds    []*Hold
	Payments []*Payment
}

// New is a world in which nothing has happened.
func New(now string) *World {
	return &World{
		Now: now, Regions: map[string]*Region{}, Closed: map[string]bool{}, Persons: map[string]*Person{},
		Order: map[string][]string{},
	}
}

func (w *World) day() string  { return w.Now[:len("2026-11-20")] }
func (w *World) year() string { return w.Now[:len("2026")] }

func (w *World) grant(id string) *Grant {
	for _, g := range w.Grants {
		if g.ID == id {
			return g
		}
	}
	return nil
}

// End makes a grant revoked or ended. What was held for it and not drawn returns to its payer.
func (w *World) End(g *Grant, status string) { g.Status, g.Left = status, 0 }

// refill brings back to a virtual limit what a hold has freed. It stays in the account where the grant is over, or
// nothing can be held from its payer.
func (w *World) refill(h *Hold, freed int) {
	g, payer := w.grant(h.Grant), w.Persons[h.Payer]
	if g.Virtual > 0 && !w.Over(g) && payer.Scheme == 310 && payer.Status == 1 {
		g.Left += freed
	}
}

// Payment finds one; nil if there is none.
func (w *World) Payment(id string) *Payment {
	for _, p := range w.Payments {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// HoldsOf are a payment's, in the order of the legs.
func (w *World) HoldsOf(payment string) []*Hold {
	var out []*Hold
	for _, h := range w.Holds {
		if h.Payment == payment {
			out = append(out, h)
		}
	}
	return out
}

func in(word string, words []string) bool { return slices.Contains(words, word) }

func notBelowZero(n int) int {
	if n < 0 {
		return 0
	}
	return n
}
