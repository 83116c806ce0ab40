package settle_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// floods sends numbered messages, as many in a parcel as go.
func (p *played) floods(n int, body func(i int) *wirepb.Body) {
	var messages []federation.Message
	for i := range n {
		messages = append(messages, p.numberedOf(wire.Encode(body(i))))
		if len(messages) == federation.ParcelMessagesMax || i == n-1 {
			p.tells(federation.Content{Messages: messages})
			messages = nil
		}
	}
}

// TestWastedWords: a member with good keys that speaks of holds of its own which nobody asked for, or asks for
// the same hold again and again under new numbers, costs an entry's part and an answer each time: its lane waits.
func TestWastedWords(t *testing.T) {
	t.Parallel()
	once := &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
		HoldId: "h-110000-w-1", PaymentId: "p-110000-w", GrantId: "g-310000-1", Amount: 5,
	}}}
	for name, body := range map[string]func(i int) *wirepb.Body{
		"releases of what nobody asked for": func(i int) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Release{Release: &wirepb.Release{
				HoldId: fmt.Sprintf("h-110000-%d-1", i), PaymentId: fmt.Sprintf("p-110000-%d", i), ActId: "a",
			}}}
		},
		"the same request under new numbers": func(int) *wirepb.Body { return once },
		"captures of what is not its own": func(int) *wirepb.Body {
			return &wirepb.Body{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{
				HoldId: "h-350100-x-1", PaymentId: "p-350100-x", ActId: "a", Amount: 5,
			}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, regiontest.Config{}, func(t *testing.T, p *played) {
				const flood = 5_000 // 1 s at the price of an entry; half a second is free
				p.floods(flood, body)
				passes(time.Second)
				if got := p.linkRecord().In.Applied; got < flood/4 {
					t.Fatalf("applied %d", got)
				}
				p.tells(federation.Content{}) // the next record is what waits
				passes(time.Second)
				if p.count("gongji_lane_delays_total") == 0 {
					t.Error("the lane never waited")
				}
			})
		})
	}
}

// TestBehind: to a peer that never acks not more than a window is sent again each second, whatever has gathered;
// acks widen the window, and at the end everything has arrived.
func TestBehind(t *testing.T) {
	play(t, regiontest.Config{}, func(t *testing.T, p *played) {
		const answered, window = 3_500, 256
		p.floods(answered, func(i int) *wirepb.Body { // each is declined
			return &wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
				HoldId: fmt.Sprintf("h-110000-%d-1", i), PaymentId: fmt.Sprintf("p-110000-%d", i), GrantId: "g-310000-1",
				Amount: 5, DecideBy: time.Now().Add(time.Minute).UnixMicro(),
			}}}
		})
		passes(30 * time.Second) // they are more than an honest peer's waste
		if got := p.linkRecord().Out.Last; got != answered {
			t.Fatalf("%d answers", got)
		}
		p.sent()
		passes(3 * time.Second)
		if got := numbers(p.sent()); len(got) == 0 || len(got) > 4*window {
			t.Errorf("%d messages were sent again within 3 s", len(got))
		}
		seen := map[uint64]bool{}
		for acked := uint64(0); acked < answered; {
			passes(time.Second)
			for _, n := range numbers(p.sent()) {
				seen[n] = true
				if n > acked+window+1 && acked == 0 {
					t.Fatalf("%d is sent beyond the window", n)
				}
			}
			for seen[acked+1] {
				acked++
			}
			p.tells(federation.Content{Ack: p.ack(acked)})
		}
	})
}
