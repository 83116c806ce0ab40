package adaptertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gongji/adapters"
)

func bookRefund(b *bookCase) {
	b.open("p", 1000)
	b.hold("h", "p", 600, 0, 600, "")
	b.refund("early", "h", 1, adapters.ReasonAbove)
	b.capture("h", 500, "")
	b.refund("f1", "h", 200, "")
	b.funds("p", 700, 0)
	b.record("h", adapters.Hold{State: adapters.HoldCaptured, Held: 600, Captured: 500, Refunded: 200})
	b.refund("f2", "h", 301, adapters.ReasonAbove)
	b.refund("f3", "h", 300, "")
	b.funds("p", 1000, 0)
	b.unchanged("repeats of refunds", func() {
		b.refund("early", "h", 1, adapters.ReasonAbove)
		b.refund("f1", "h", 200, "")
		b.refund("f1", "h", 201, adapters.ReasonConflict)
		b.refund("f1", "x", 200, adapters.ReasonConflict)
		b.refund("f2", "h", 301, adapters.ReasonAbove)
		b.capture("h", 500, "")
	})
	b.refund("h", "h", 1, adapters.ReasonAbove) // a refund may bear the name of a hold
}

func bookRefundRefusals(b *bookCase) {
	b.open("p", 1000)
	b.refund("none", "h", 1, adapters.ReasonNotHeld)
	b.hold("h", "p", 600, 0, 600, "") // a refund of what was never seen does not kill the hold
	b.capture("h", 600, "")
	b.unchanged("a repeat", func() { b.refund("none", "h", 1, adapters.ReasonNotHeld) })
	b.hold("refused", "p", 1, 1000, 0, adapters.ReasonBalance)
	b.refund("of refused", "refused", 1, adapters.ReasonNotHeld)
	b.status(adapters.SchemeEmployee, adapters.StatusSuspended)
	b.refund("suspended", "h", 100, "")
	b.status(adapters.SchemeEmployee, adapters.StatusTerminated)
	b.refund("closed", "h", 100, adapters.ReasonClosed)
	b.status(adapters.SchemeEmployee, adapters.StatusNormal)
	b.unchanged("a repeat", func() { b.refund("closed", "h", 100, adapters.ReasonClosed) })
	b.refund("another", "h", 100, "")
	b.funds("p", 600, 0)
}

func bookInvalid(b *bookCase) {
	b.open("p", 1000)
	b.hold("h", "p", 100, 0, 100, "")
	long, invalid := strings.Repeat("x", adapters.RefMax+1), adapters.ReasonInvalid
	b.unchanged("bad arguments", func() {
		for _, amount := range []int64{0, -1, -1 << 63, adapters.AmountMax + 1, 1<<63 - 1} {
			b.hold("h2", "p", amount, 0, 0, invalid)
			b.capture("h", amount, invalid)
			b.refund("f", "h", amount, invalid)
		}
		for _, floor := range []int64{-1, -1 << 63, adapters.AmountMax + 1, 1<<63 - 1} {
			b.hold("h2", "p", 1, floor, 0, invalid)
		}
		for _, name := range []string{"", long} {
			b.hold(name, "p", 1, 0, 0, invalid)
			b.hold("h2", name, 1, 0, 0, invalid)
			b.capture(name, 1, invalid)
			b.release(name, invalid)
			b.refund(name, "h", 1, invalid)
			b.refund("f", name, 1, invalid)
			b.want("open", b.book.Open(b.txn, b.tick(), name, adapters.Account{Scheme: 310, Status: 1}), invalid)
			b.record(name, adapters.Hold{})
		}
		for _, a := range []adapters.Account{
			{Balance: -1},
			{Balance: adapters.AmountMax + 1},
			{Opening: -1},
			{Opening: adapters.AmountMax + 1},
			{Year: 2027},
			{Year: -1},
			{Scheme: -1},
			{Scheme: 65536},
			{Status: -1},
			{Status: 256},
		} {
			b.want(fmt.Sprintf("open %+v", a), b.book.Open(b.txn, b.tick(), "q", a), invalid)
		}
	})
	b.open("rich", adapters.AmountMax)
	b.hold("all", "rich", adapters.AmountMax, 0, adapters.AmountMax, "")
	b.hold("more", "rich", adapters.AmountMax, adapters.AmountMax, 0, adapters.ReasonBalance)
	b.capture("all", adapters.AmountMax, "")
	b.refund("back", "all", adapters.AmountMax, "")
	b.funds("rich", adapters.AmountMax, 0)
}

func bookNewYear(b *bookCase) {
	a := adapters.Account{Scheme: 310, Status: 1, Balance: 1000, Year: 2026, Opening: 1500}
	b.at = time.Date(2026, 12, 31, 15, 59, 58, 0, time.UTC)
	b.want("open", b.book.Open(b.txn, b.tick(), "p", a), "") // 23:59:59 in Beijing
	b.hold("h", "p", 300, 0, 300, "")                        // midnight
	if got := b.account("p"); got.Year != 2027 || got.Opening != 1000 || !got.Provisional {
		b.Errorf("first touch of a new year: %+v", got)
	}
	b.capture("h", 300, "")
	if got := b.account("p"); got.Year != 2027 || got.Opening != 1000 {
		b.Errorf("second touch of a new year: %+v", got)
	}
	publish := adapters.Account{Scheme: 310, Status: 1, Year: 2027, Opening: 990}
	b.want("publish", b.book.Open(b.txn, b.tick(), "p", publish), "")
	if got := b.account("p"); got.Opening != 990 || got.Provisional || got.Balance != 700 {
		b.Errorf("published opening of the new year: %+v", got)
	}
	b.at = time.Date(2027, 12, 31, 15, 59, 59, 0, time.UTC)
	b.refund("f", "h", 100, "")
	if got := b.account("p"); got.Year != 2028 || got.Opening != 700 || got.Balance != 800 {
		b.Errorf("a refund as first touch: %+v", got)
	}
}

// bookNames uses names of which one is the beginning of another, and names with any bytes.
func bookNames(b *bookCase) {
	names := []string{
		"a", "aa", "a\x00", "a\x01", "\x00", "\x01", "\xff", "\xff\xff", "\x01a",
		strings.Repeat("\xff", adapters.RefMax),
		strings.Repeat("a", adapters.RefMax), "a\x00\x00\x00\x00\x00\x00\x00\x01", "人",
	}
	for i, name := range names {
		b.open(name, int64(100+i))
		b.hold(name, name, int64(1+i), 0, int64(1+i), "")
	}
	for i, name := range names {
		b.funds(name, int64(100+i), int64(1+i))
		if all := b.movements(name, 0); len(all) != 2 || all[1].Ref != name || all[1].Amount != int64(1+i) {
			b.Errorf("%q has the movements %+v", name, all)
		}
		b.record(name, adapters.Hold{State: adapters.HoldOpen, Held: int64(1 + i)})
	}
}

func bookOrder(b *bookCase) {
	var want []string
	for i := range 600 {
		want = append(want, fmt.Sprintf("p%d", (i*7919)%600))
	}
	for _, name := range want {
		b.open(name, 1)
	}
	var got []string
	visit := func(stop int) func(string, adapters.Account) bool {
		got = nil
		return func(name string, a adapters.Account) bool {
			got = append(got, name)
			return a.Balance == 1 && len(got) < stop
		}
	}
	for _, stop := range []int{1, 255, 256, 257, 599, 600, 601} {
		if err := b.book.Accounts(b.txn, visit(stop)); err != nil {
			b.Fatal(err)
		}
		if !slices.Equal(got, want[:min(stop, len(want))]) {
			b.Errorf("the first %d accounts came in another order", stop)
		}
	}
}

func bookMovements(b *bookCase) {
	b.at = b.at.Add(123456789 * time.Nanosecond)
	b.open("p", 1000)
	b.hold("h1", "p", 300, 0, 300, "")
	b.hold("h2", "p", 100, 0, 100, "")
	b.hold("h0", "p", 1, 1000, 0, adapters.ReasonBalance)
	b.capture("h1", 200, "")
	b.release("h2", "")
	b.refund("f", "h1", 50, "")
	want := []adapters.Movement{
		{Kind: adapters.KindCredit, Ref: adapters.RefOpening, Amount: 1000, Balance: 1000, Held: 0},
		{Kind: adapters.KindHold, Ref: "h1", Amount: 300, Balance: 1000, Held: 300},
		{Kind: adapters.KindHold, Ref: "h2", Amount: 100, Balance: 1000, Held: 400},
		{Kind: adapters.KindCapture, Ref: "h1", Amount: 200, Balance: 800, Held: 200},
		{Kind: adapters.KindRelease, Ref: "h1", Amount: 100, Balance: 800, Held: 100},
		{Kind: adapters.KindRelease, Ref: "h2", Amount: 100, Balance: 800, Held: 0},
		{Kind: adapters.KindRefund, Ref: "f", Amount: 50, Balance: 850, Held: 0},
	}
	seconds := []int{1, 2, 3, 5, 5, 6, 7}
	start := b.at.Add(-7 * time.Second).Truncate(time.Microsecond)
	for i := range want {
		want[i].Seq, want[i].At = uint64(i+1), start.Add(time.Duration(seconds[i])*time.Second)
	}
	for _, from := range []uint64{0, 1, 2, 7, 8, 1<<64 - 1} {
		expect := want[min(uint64(len(want)), max(from, 1)-1):]
		if got := b.movements("p", from); !slices.Equal(got, expect) {
			b.Errorf("movements from %d: %+v, want %+v", from, got, expect)
		}
	}
	n := 0
	err := b.book.Movements(b.txn, "p", 2, func(adapters.Movement) bool { n++; return n < 3 })
	if err != nil || n != 3 {
		b.Errorf("visit stopped after %d movements, want 3 (%v)", n, err)
	}
	if got := b.movements("q", 0); len(got) != 0 {
		b.Errorf("no account, but movements %+v", got)
	}
}

// bookDeterministic plays the same acts on two states, with other books' keys around one of them.
func bookDeterministic(b *bookCase) {
	play := func() {
		b.at = time.Date(2026, 12, 31, 15, 59, 50, 0, time.UTC)
		for i := range 30 {
			name := fmt.Sprintf("p%d", i%3)
			b.open(name, 1000)
			ref := fmt.Sprintf("h%d", i)
			b.hold(ref, name, 10, 0, 10, "")
			b.capture(ref, 5, "")
			b.refund(ref, ref, 5, "")
		}
	}
	play()
	first := b.txn
	b.txn = NewTxn()
	play()
	if !first.Equal(b.txn) {
		b.Error("the same acts gave two states")
	}
}
