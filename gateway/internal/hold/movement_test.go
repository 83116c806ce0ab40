package hold_test

import (
	"fmt"
	"strings"
	"testing"

	"gongji/gateway/internal/hold"
)

// TestMovements: a partial capture is a capture and a release, an end without one a release, and what was never
// placed moved nothing.
func TestMovements(t *testing.T) {
	t.Parallel()
	want := map[hold.State]string{
		hold.Requested: "", hold.Declined: "", hold.Abandoning: "",
		hold.Placed: "hold 80.00", hold.InDoubt: "hold 80.00", hold.Capturing: "hold 80.00", hold.Undoing: "hold 80.00",
		hold.Releasing: "hold 80.00", hold.Released: "hold 80.00, release 80.00",
		hold.CaptureFailed: "hold 80.00, release 80.00",
	}
	for _, s := range hold.States() {
		h := inState(t, s)
		if s == hold.Captured {
			h.Captured = 5000
			want[s] = "hold 80.00, capture 50.00, release 30.00"
		}
		if got := moves(h); got != want[s] {
			t.Errorf("%s: %q, want %q", s, got, want[s])
		}
	}
	whole := inState(t, hold.Captured)
	whole.Captured = whole.Amount
	if got := moves(whole); got != "hold 80.00, capture 80.00" {
		t.Error(got)
	}
	taken := inState(t, hold.Abandoning)
	taken.CoreCaptured(start, 3000)
	if got := moves(taken); got != "capture 30.00" {
		t.Error(got)
	}
	if hold.MoveRefund.String() != "refund" || hold.MoveKind(9).String() != "" {
		t.Error("words")
	}
}

func moves(h *hold.Hold) string {
	var out []string
	for _, m := range h.Movements() {
		out = append(out, fmt.Sprintf("%s %s", m.Kind, m.Amount))
	}
	return strings.Join(out, ", ")
}
