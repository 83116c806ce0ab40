package embedded

import (
	"bytes"
	"testing"

	"gongji/adapters"
)

// FuzzRecords holds every decoder to: no panic, and what is accepted has exactly one form.
func FuzzRecords(f *testing.F) {
	a := account{Account: adapters.Account{
		Scheme: 310, Status: 1, Balance: 900, Held: 100, Year: 2026, Opening: 1000, Provisional: true, Credited: 50,
	}, movements: 7}
	open := hold{state: adapters.HoldOpen, asked: 200, floor: 10, held: 100, account: []byte("p")}
	captured := open
	captured.state, captured.captured, captured.refunded = adapters.HoldCaptured, 60, 20
	refused := hold{state: adapters.HoldRefused, reason: reasonBalance, asked: 5, account: []byte("p")}
	dead := hold{state: adapters.HoldReleased}
	dead2 := hold{state: adapters.HoldRefused, reason: reasonNotHeld}
	f.Add(appendAccount(nil, &a))
	for _, h := range []hold{open, captured, refused, dead, dead2} {
		f.Add(appendHold(nil, &h))
	}
	f.Add(appendRefund(nil, &refund{amount: 3, reason: reasonAbove}, "h"))
	f.Add(appendMovement(nil, &movement{kind: kindHold, at: -1, amount: 3, balance: 9, held: 4}, "h"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := decodeAccount(data); err == nil && !bytes.Equal(appendAccount(nil, &a), data) {
			t.Errorf("account %+v has two forms", a)
		}
		if h, err := decodeHold(data); err == nil && !bytes.Equal(appendHold(nil, &h), data) {
			t.Errorf("hold %+v has two forms", h)
		}
		if r, err := decodeRefund(data); err == nil && !bytes.Equal(appendRefund(nil, &r, r.hold), data) {
			t.Errorf("refund %+v has two forms", r)
		}
		if m, err := decodeMovement(1, data); err == nil {
			back := movement{
				kind: data[1], at: m.At.UnixMicro(), amount: m.Amount, balance: m.Balance, held: m.Held,
			}
			if !bytes.Equal(appendMovement(nil, &back, m.Ref), data) {
				t.Errorf("movement %+v has two forms", m)
			}
		}
	})
}

// TestTables holds that the stored numbers fit the tables: a number that moved would change the
// meaning of every record written before.
func TestTables(t *testing.T) {
	t.Parallel()
	for number, reason := range map[int]adapters.Reason{
		reasonUnknownPerson: "unknown_person", reasonBalance: "balance", reasonStatus: "insured_status",
		reasonScheme: "scheme", reasonClosed: "account_closed", reasonReleased: "released",
		reasonNotHeld: "not_held", reasonAbove: "above", reasonNone: "",
	} {
		if reasons[number] != reason {
			t.Errorf("reason %d is %q, want %q", number, reasons[number], reason)
		}
	}
	for number, kind := range map[int]adapters.Kind{
		kindHold: "hold", kindCapture: "capture", kindRelease: "release", kindRefund: "refund", kindCredit: "credit",
	} {
		if kinds[number] != kind {
			t.Errorf("kind %d is %q, want %q", number, kinds[number], kind)
		}
	}
}
