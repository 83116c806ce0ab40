package hostile

import (
	"gongji/federation"
	"gongji/testnet/topology"
)

// Kind groups attacks as the report tells them.
type Kind string

// The kinds.
const (
	Lie     Kind = "lies"               // speaks of what is not its own
	Invent  Kind = "invents a visit"    // for a real beneficiary, with a correct grant id
	Capture Kind = "captures another's" // hold, or releases it, or wants it refunded
	Ask     Kind = "asks for another's" // grants and statements
	Replay  Kind = "replays"            // or sends back, or bends what was sent
	Forge   Kind = "forges a sender"    // or writes on a lane that is another's
	Break   Kind = "breaks its link"    // forks it, or begins it anew
)

// Counters that a refusal is to move, beside the audit log.
const (
	parcelsRefused  = "gongji_parcels_refused_total"
	messagesRefused = "gongji_messages_refused_total"
	ticketsRefused  = "gongji_tickets_refused_total"
	linkStopped     = "gongji_link_stopped"
)

// Events of the audit log that a refusal is to write.
const (
	parcelEvent  = "parcel_refused"
	messageEvent = "message_refused"
	ticketEvent  = "ticket_refused"
	linkEvent    = "link_stopped"
)

// Stage is when an attack comes.
type Stage int

// The stages.
const (
	AtWork   Stage = iota // while everybody is at work
	AtTheEnd              // when everything else is over: nothing more can be said on that link
	Expelled              // after the member's keys are revoked
)

// Attack is one attack, and where it must be found: in the audit log of the region At, as Event about Peer for Reason,
// and in that region's Counter.
type Attack struct {
	Kind   Kind              `json:"kind"`
	Name   string            `json:"name"`
	At     federation.Region `json:"at"`
	Peer   federation.Region `json:"peer"` // who is held to have sent it
	Event  string            `json:"event"`
	Reason string            `json:"reason"` // of a ticket: a part of the reason
	// Attr and Value are one more word of the audit line, which tells this attack from others of the same reason. The
	// offset of a parcel is known when it has been sent.
	Attr    string `json:"attr,omitempty"`
	Value   string `json:"value,omitempty"`
	Counter string `json:"counter"`
	Stage   Stage  `json:"-"`

	lane    federation.Lane
	records func() ([][]byte, error) // made when they are sent; the last one is the attack
}

// alike reports whether two attacks would be told apart by nothing but Value: the audit log keeps one line a second for
// what is alike, so they are not sent together.
func (a *Attack) alike(b *Attack) bool {
	return a.At == b.At && a.Event == b.Event && a.Peer == b.Peer && a.Reason == b.Reason
}

// Facts are what an attacker knows of the others' business: more than it ever should.
type Facts struct {
	Pair       topology.Pair `json:"pair"`        // a beneficiary with a grant, and who pays
	Grant      string        `json:"grant"`       // of that pair
	OtherGrant string        `json:"other_grant"` // of another beneficiary
	Open       Leg           `json:"open"`        // a hold that waits for its decision
	Taken      Leg           `json:"taken"`       // a hold that was captured
}

// Leg is one hold of a payment of the pair.
type Leg struct {
	Payment string `json:"payment"`
	Hold    string `json:"hold"`
}

func (f *Facts) payerHome() federation.Region { return federation.Region(f.Pair.Payer.Region) }

func (f *Facts) home() federation.Region { return federation.Region(f.Pair.Beneficiary.Region) }

func (f *Facts) visit() federation.Region { return federation.Region(f.Pair.Visit) }
