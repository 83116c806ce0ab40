package hold

import (
	"time"

	"gongji/gateway/internal/money"
)

// MoveKind is a kind of movement as a statement shows it. The numbers stand in the state and are never reused.
type MoveKind uint8

// The kinds, in the order in which they stand among movements of one time.
const (
	MoveHold    MoveKind = 1
	MoveCapture MoveKind = 2
	MoveRelease MoveKind = 3
	MoveRefund  MoveKind = 4
)

// String is the kind's word in a statement.
func (k MoveKind) String() string {
	words := [...]string{"", "hold", "capture", "release", "refund"}
	if int(k) < len(words) {
		return words[k]
	}
	return ""
}

// Movement is one movement of a payer's money.
type Movement struct {
	Kind   MoveKind
	At     time.Time
	Amount money.Amount
}

// Movements are what the hold has moved so far: what was placed, what was taken, and what was given back, which after a
// partial capture is the rest. A hold that was never placed moved nothing, unless the core took money all the same.
// Refunds have records of their own.
func (h *Hold) Movements() []Movement {
	var out []Movement
	placed := !h.Placed.IsZero() && h.Amount > 0
	if placed {
		out = append(out, Movement{MoveHold, h.Placed, h.Amount})
	}
	if !h.State.Final() {
		return out
	}
	if h.Captured > 0 {
		out = append(out, Movement{MoveCapture, h.Ended, h.Captured})
	}
	if rest := h.Amount.Less(h.Captured); placed && rest > 0 {
		out = append(out, Movement{MoveRelease, h.Ended, rest})
	}
	return out
}
