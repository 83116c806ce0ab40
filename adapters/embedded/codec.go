package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gongji/adapters"
)

// ErrCorrupt: a record cannot be decoded or contradicts another. The node that meets it must stop.
var ErrCorrupt = errors.New("embedded: corrupt record")

// version is the first byte of every record; a record of another version is corrupt to this code.
const version = 1

// Kinds of keys. A key is prefix, kind, then a name behind its length, then what the kind needs;
// names are length-prefixed so that no name is the beginning of another's key.
const (
	keyAccount  = 'a' // name → account
	keyHold     = 'h' // reference → hold
	keyRefund   = 'f' // reference → refund
	keyMovement = 'm' // name, sequence number (8 bytes) → movement
	keyOrder    = 's' // number of opening (8 bytes) → name
	keyCount    = 'n' // → number of accounts (8 bytes)
)

// Sizes of records without their name at the end.
const (
	accountSize  = 1 + 1 + 2 + 1 + 2 + 5*8
	holdSize     = 1 + 1 + 1 + 5*8 + 1
	refundSize   = 1 + 1 + 8 + 1
	movementSize = 1 + 1 + 4*8 + 1
	recordMax    = holdSize + adapters.RefMax
	keyMax       = 3 + adapters.RefMax + 8
)

// reasons is the table of stored reason numbers. Append only: the numbers are in every record.
var reasons = [...]adapters.Reason{
	"",
	adapters.ReasonUnknownPerson,
	adapters.ReasonBalance,
	adapters.ReasonStatus,
	adapters.ReasonScheme,
	adapters.ReasonClosed,
	adapters.ReasonReleased,
	adapters.ReasonNotHeld,
	adapters.ReasonAbove,
}

// kinds is the table of stored movement kinds. Append only.
var kinds = [...]adapters.Kind{
	"",
	adapters.KindHold,
	adapters.KindCapture,
	adapters.KindRelease,
	adapters.KindRefund,
	adapters.KindCredit,
}

// Stored numbers, indexes into the tables.
const (
	reasonNone          = 0
	reasonUnknownPerson = 1
	reasonBalance       = 2
	reasonStatus        = 3
	reasonScheme        = 4
	reasonClosed        = 5
	reasonReleased      = 6
	reasonNotHeld       = 7
	reasonAbove         = 8

	kindHold    = 1
	kindCapture = 2
	kindRelease = 3
	kindRefund  = 4
	kindCredit  = 5
)

// account is the stored form of an account.
type account struct {
	adapters.Account
	movements uint64 // written so far; the last one's sequence number
}

// hold is the stored form of a hold. Of a dead reference that never held anything all amounts are
// zero and the account is empty.
type hold struct {
	state    adapters.HoldState
	reason   uint8
	asked    int64
	floor    int64
	held     int64
	captured int64
	refunded int64
	account  []byte // points into the value or into a scratch buffer
}

// refund is the stored form of a refund; reason is reasonNone when it was done.
type refund struct {
	reason uint8
	amount int64
	hold   []byte
}

// movement is the stored form of a movement; its account and number are in the key, its reference is
// handed beside it.
type movement struct {
	kind    uint8
	at      int64 // microseconds since 1970
	amount  int64
	balance int64
	held    int64
}

func corrupt(record, what string) error {
	return fmt.Errorf("%w: %s: %s", ErrCorrupt, record, what)
}

func money(v int64) bool { return v >= 0 && v <= adapters.AmountMax }

func appendInt(dst []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(v)) //nolint:gosec // two's complement both ways
}

func readInt(src []byte) int64 {
	return int64(binary.BigEndian.Uint64(src)) //nolint:gosec // two's complement both ways
}

func appendAccount(dst []byte, a *account) []byte {
	provisional := uint8(0)
	if a.Provisional {
		provisional = 1
	}
	dst = append(dst, version, provisional)
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Scheme)) //nolint:gosec // checked by Open
	dst = append(dst, uint8(a.Status))                         //nolint:gosec // checked by Open
	dst = binary.BigEndian.AppendUint16(dst, uint16(a.Year))   //nolint:gosec // a stamp's year
	dst = appendInt(dst, a.Balance)
	dst = appendInt(dst, a.Held)
	dst = appendInt(dst, a.Opening)
	dst = binary.BigEndian.AppendUint64(dst, a.movements)
	return appendInt(dst, a.Credited)
}

func decodeAccount(v []byte) (account, error) {
	if len(v) != accountSize || v[0] != version || v[1] > 1 {
		return account{}, corrupt("account", "form")
	}
	var a account
	a.Provisional = v[1] == 1
	a.Scheme = int(binary.BigEndian.Uint16(v[2:]))
	a.Status = int(v[4])
	a.Year = int(binary.BigEndian.Uint16(v[5:]))
	a.Balance = readInt(v[7:])
	a.Held = readInt(v[15:])
	a.Opening = readInt(v[23:])
	a.movements = binary.BigEndian.Uint64(v[31:])
	a.Credited = readInt(v[39:])
	if !money(a.Credited) || !money(a.Balance) || !money(a.Opening) || a.Held < 0 || a.Held > a.Balance {
		return account{}, corrupt("account", "amounts")
	}
	return a, nil
}

func appendHold(dst []byte, h *hold) []byte {
	dst = append(dst, version, uint8(h.state), h.reason) //nolint:gosec // four small states
	dst = appendInt(dst, h.asked)
	dst = appendInt(dst, h.floor)
	dst = appendInt(dst, h.held)
	dst = appendInt(dst, h.captured)
	dst = appendInt(dst, h.refunded)
	return appendName(dst, h.account)
}

func decodeHold(v []byte) (hold, error) {
	if len(v) < holdSize || v[0] != version || int(v[2]) >= len(reasons) {
		return hold{}, corrupt("hold", "form")
	}
	name, ok := readName(v[holdSize-1:], 0)
	if !ok {
		return hold{}, corrupt("hold", "account name")
	}
	h := hold{
		state:    adapters.HoldState(v[1]),
		reason:   v[2],
		asked:    readInt(v[3:]),
		floor:    readInt(v[11:]),
		held:     readInt(v[19:]),
		captured: readInt(v[27:]),
		refunded: readInt(v[35:]),
		account:  name,
	}
	if !money(h.asked) || !money(h.floor) || h.held < 0 || h.held > h.asked ||
		h.captured < 0 || h.captured > h.held || h.refunded < 0 || h.refunded > h.captured {
		return hold{}, corrupt("hold", "amounts")
	}
	if !h.consistent() {
		return hold{}, corrupt("hold", "state")
	}
	return h, nil
}

// consistent reports whether state, reason and amounts belong together: a dead reference names no
// account, what was held has no reason, what was refused has one, and only a captured hold gave money.
func (h *hold) consistent() bool {
	if h.dead() != (len(h.account) == 0) || h.dead() && h.floor != 0 {
		return false
	}
	placed := h.held > 0 && h.reason == reasonNone
	switch h.state {
	case adapters.HoldOpen:
		return placed && h.captured == 0
	case adapters.HoldCaptured:
		return placed && h.captured > 0
	case adapters.HoldReleased:
		return h.captured == 0 && (placed || h.dead() && h.reason == reasonNone)
	case adapters.HoldRefused:
		return h.held == 0 && h.reason != reasonNone && h.dead() == (h.reason == reasonNotHeld)
	case adapters.HoldNone:
	}
	return false
}

// dead reports whether the reference was made dead before any Hold came with it.
func (h *hold) dead() bool { return h.asked == 0 }

func appendRefund[T ~string | ~[]byte](dst []byte, f *refund, hold T) []byte {
	dst = append(dst, version, f.reason)
	dst = appendInt(dst, f.amount)
	return appendName(dst, hold)
}

func decodeRefund(v []byte) (refund, error) {
	if len(v) < refundSize || v[0] != version || int(v[1]) >= len(reasons) {
		return refund{}, corrupt("refund", "form")
	}
	name, ok := readName(v[refundSize-1:], 1)
	f := refund{reason: v[1], amount: readInt(v[2:]), hold: name}
	if !ok || f.amount < 1 || f.amount > adapters.AmountMax {
		return refund{}, corrupt("refund", "amount or hold")
	}
	return f, nil
}

func appendMovement[T ~string | ~[]byte](dst []byte, m *movement, ref T) []byte {
	dst = append(dst, version, m.kind)
	dst = appendInt(dst, m.at)
	dst = appendInt(dst, m.amount)
	dst = appendInt(dst, m.balance)
	dst = appendInt(dst, m.held)
	return appendName(dst, ref)
}

func decodeMovement(seq uint64, v []byte) (adapters.Movement, error) {
	if len(v) < movementSize || v[0] != version || v[1] == 0 || int(v[1]) >= len(kinds) {
		return adapters.Movement{}, corrupt("movement", "form")
	}
	ref, ok := readName(v[movementSize-1:], 1)
	if !ok {
		return adapters.Movement{}, corrupt("movement", "reference")
	}
	m := adapters.Movement{
		Seq:     seq,
		At:      time.UnixMicro(readInt(v[2:])).UTC(),
		Kind:    kinds[v[1]],
		Ref:     string(ref),
		Amount:  readInt(v[10:]),
		Balance: readInt(v[18:]),
		Held:    readInt(v[26:]),
	}
	if m.Amount < 1 || !money(m.Amount) || !money(m.Balance) || m.Held < 0 || m.Held > m.Balance {
		return adapters.Movement{}, corrupt("movement", "amounts")
	}
	return m, nil
}

// appendName puts a name behind its length; names have at most RefMax bytes, checked at the border.
func appendName[T ~string | ~[]byte](dst []byte, name T) []byte {
	dst = append(dst, uint8(len(name))) //nolint:gosec // at most RefMax
	return append(dst, name...)
}

// readName reads a name of lowest bytes or more that must fill the rest of the record.
func readName(src []byte, lowest int) ([]byte, bool) {
	size := int(src[0])
	if size < lowest || size > adapters.RefMax || len(src) != 1+size {
		return nil, false
	}
	return src[1:], true
}
