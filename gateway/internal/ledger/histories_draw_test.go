package ledger_test

import (
	"time"

	"pgregory.net/rapid"

	"gongji/gateway/internal/simtest/secondopinion"
)

// event is one thing that happens; what it does not need stays unread. Numbers choose among what there is then.
type event struct {
	Kind             string
	Region, Who      int
	Amount, Part     int // fen; of what is held or captured, in hundredths
	Visit, Bill      int
	Partial, Auto    bool
	Wait             time.Duration
	Status           int
	PerPayment, Year int
}

// nothing comes first: a list of events gets no shorter than rapid's least, but emptier.
var eventKinds = []string{
	"nothing", "pay", "pay", "pay", "pay", "confirm", "confirm", "cancel", "repeat", "pass", "limits", "grant",
	"insurance", "insurance", "order", "refund", "refund", "refund", "make",
}

func events() *rapid.Generator[event] {
	return rapid.Custom(func(t *rapid.T) event {
		n := func(most int, what string) int { return rapid.IntRange(0, most).Draw(t, what) }
		amount := func(what string) int {
			return rapid.SampledFrom([]int{
				100_00, 1, 2, 60_00, 99_99, 199_99, 500_00, 1_000_00, 3_000_00, 3_999_99,
			}).Draw(t, what)
		}
		return event{
			Kind: eventKinds[n(len(eventKinds)-1, "kind")], Region: n(2, "region"), Who: n(19, "who"),
			Amount: amount("amount"), Part: 100 - n(101, "part"), Visit: n(2, "visit"), Bill: n(7, "bill"),
			Partial: n(4, "partial") < 4, Auto: n(4, "auto") == 4,
			Wait: rapid.SampledFrom([]time.Duration{
				time.Second, time.Minute, 16 * time.Minute, 30 * time.Hour, 8 * 24 * time.Hour,
			}).Draw(t, "wait"),
			Status: n(3, "status"), PerPayment: amount("at once"), Year: amount("a year"),
		}
	})
}

// background is what a history begins with.
type background struct {
	start    time.Time
	rules    [3]secondopinion.Region
	balances [4]int
	openings [4]int
	limits   [6][2]int
	virtual  [6]int
}

func backgrounds() *rapid.Generator[background] {
	return rapid.Custom(func(t *rapid.T) background {
		n := func(most int, what string) int { return rapid.IntRange(0, most).Draw(t, what) }
		var b background
		b.start = begins
		if n(2, "when") == 2 { // so that the waits lead over the turn of the year
			b.start = time.Date(2026, 12, 31, 15, 50, 0, 0, time.UTC)
		}
		for i := range b.rules {
			r := &b.rules[i]
			r.Share = []int{10_000, 6_000, 7_000, 3_333}[n(3, "share")]
			r.Floor = []int{0, 0, 200_00, 2_000_01}[n(3, "floor")]
			if n(1, "visit limit") == 1 {
				r.VisitLimit = map[string]int{"outpatient": []int{500_00, 150_01}[n(1, "which")]}
			}
		}
		for i := range b.balances {
			b.balances[i] = []int{5_000_00, 20_000_00, 1_000_00, 333_33, 0}[n(4, "balance")]
			b.openings[i] = []int{5_000_00, 20_000_00, 1_000_00, 333_33}[n(3, "opening")]
		}
		for i := range b.virtual {
			b.virtual[i] = []int{0, 0, 200_00, 500_00}[n(3, "virtual")]
		}
		for i := range b.limits {
			for j := range b.limits[i] {
				b.limits[i][j] = []int{secondopinion.None, 300_00, 1_000_00, 1}[n(3, "limit")]
			}
		}
		return b
	})
}
