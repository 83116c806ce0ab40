package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/refund"
)

// A statement is read from an index: account, then the key of each movement, to the grant that it came under.
// The key orders movements by time, and among those of one time by hold and kind, in every region alike; it is the
// cursor too. The amounts stand in the records of holds and returns.

// stampDigits is how many hexadecimal digits of microseconds a movement's key begins with.
const stampDigits = 16

// movementKey is the key of a movement; n is the number of a refund, 0 for what a hold did itself.
func movementKey(at time.Time, holdID string, kind hold.MoveKind, n int) string {
	return fmt.Sprintf("%0*x.%s.%d.%d", stampDigits, at.UnixMicro(), holdID, kind, n)
}

// ValidMovementKey reports whether a text has the form of a movement's key.
func ValidMovementKey(key string) bool {
	_, ok := parseMovementKey(key)
	return ok
}

type movementRef struct {
	at     time.Time
	holdID string
	kind   hold.MoveKind
	n      int
}

func parseMovementKey(key string) (movementRef, bool) {
	if len(key) < stampDigits+1 || key[stampDigits] != '.' {
		return movementRef{}, false
	}
	us, err := strconv.ParseInt(key[:stampDigits], 16, 64)
	rest, number, ok := cutLast(key[stampDigits+1:])
	holdID, kind, ok2 := cutLast(rest)
	if err != nil || !ok || !ok2 || holdID == "" {
		return movementRef{}, false
	}
	k, err := strconv.ParseUint(kind, 10, 8)
	if err != nil || hold.MoveKind(k).String() == "" {
		return movementRef{}, false
	}
	n, err := strconv.Atoi(number)
	return movementRef{time.UnixMicro(us).UTC(), holdID, hold.MoveKind(k), n}, err == nil && n >= 0
}

func cutLast(s string) (string, string, bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// post keeps the index true to what a hold has moved. A hold of a payment that came to nothing stands in no statement,
// unless its money was taken all the same.
func (x *tx) post(h *HoldRecord) {
	if h.Account == "" {
		return
	}
	hidden := h.Void && h.Captured == 0
	for _, m := range h.Movements() {
		bit := uint64(1) << m.Kind
		if posted := h.Posted&bit != 0; posted == !hidden {
			continue
		}
		key := stateKey(keyStatement, joined(h.Account)+movementKey(m.At, h.ID, m.Kind, 0))
		if hidden {
			x.Delete(key)
		} else {
			x.Set(key, []byte(h.GrantID))
		}
		h.Posted ^= bit
	}
}

// postReturn adds money that came back to the index.
func (x *tx) postReturn(h *HoldRecord, r *ReturnRecord) {
	_, n, ok := refund.OfID(r.RefundID)
	if !ok || h.Account == "" || r.State != refund.ReturnDone {
		return
	}
	x.Set(stateKey(keyStatement, joined(h.Account)+movementKey(r.Ended, h.ID, hold.MoveRefund, n)), []byte(h.GrantID))
}

// scanMax is how many movements one page looks at: those of an account under other grants are passed over.
const scanMax = 20_000

// StatementAsk says which movements of an account are wanted.
type StatementAsk struct {
	Account  string
	Grants   map[string]bool // only those under these; nil: all
	From, To policy.Date     // Beijing days, both inclusive
	After    string          // behind this key; empty: from the beginning
	Limit    int
}

// StatementLine is one movement.
type StatementLine struct {
	Key    string
	At     time.Time
	Hold   *HoldRecord
	Kind   hold.MoveKind
	Amount money.Amount
}

// Statement lists movements, oldest first, and the key behind which to go on, empty at the end. A page may be short, or
// empty, before the end.
func (v View) Statement(q StatementAsk) ([]StatementLine, string, error) {
	prefix := stateKey(keyStatement, joined(q.Account))
	lo := append(bytes.Clone(prefix), fmt.Sprintf("%0*x", stampDigits, q.From.Start().UnixMicro())...)
	if q.After != "" {
		behind := append(append(bytes.Clone(prefix), q.After...), 0)
		if bytes.Compare(behind, lo) > 0 {
			lo = behind
		}
	}
	hi := append(bytes.Clone(prefix), fmt.Sprintf("%0*x", stampDigits, q.To.AddDays(1).Start().UnixMicro())...)
	var keys []string
	next, last, scanned := "", "", 0
	v.r.Scan(lo, hi, func(key, grant []byte) bool {
		if len(keys) == q.Limit || scanned == scanMax {
			next = last
			return false
		}
		scanned++
		last = string(key[len(prefix):])
		if q.Grants == nil || q.Grants[string(grant)] {
			keys = append(keys, last)
		}
		return true
	})
	lines := make([]StatementLine, 0, len(keys))
	for _, key := range keys {
		line, err := v.movement(key)
		if err != nil {
			return nil, "", err
		}
		lines = append(lines, line)
	}
	return lines, next, nil
}

func (v View) movement(key string) (StatementLine, error) {
	ref, ok := parseMovementKey(key)
	if !ok {
		return StatementLine{}, fmt.Errorf("ledger: a movement's key of %d bytes", len(key))
	}
	line := StatementLine{Key: key, At: ref.at, Kind: ref.kind}
	h, err := v.Hold(ref.holdID)
	if err != nil || h == nil {
		return line, missing(err, "its hold")
	}
	line.Hold = h
	if ref.kind == hold.MoveRefund {
		r, err := read[ReturnRecord](v.r, keyReturn, returnKey(h.ID, refund.ID(h.PaymentID, ref.n)))
		if err != nil || r == nil {
			return line, missing(err, "its return")
		}
		line.Amount = r.Amount
		return line, nil
	}
	for _, m := range h.Movements() {
		if m.Kind == ref.kind {
			line.Amount = m.Amount
		}
	}
	return line, nil
}

func missing(err error, what string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("ledger: a movement without %s", what)
}

// StatementOf lists the movements under grants to one beneficiary, for the region that is their home. Grants that are
// not from this region's payers, or to somebody else, are passed over silently: nobody learns of them by asking.
func (v View) StatementOf(who Tokens, home string, grants []string, q StatementAsk) (
	[]StatementLine, string, error,
) {
	f, err := v.Find(who)
	if err != nil || f.No == "" {
		return nil, "", err
	}
	accounts := map[string]map[string]bool{}
	for _, id := range grants {
		g, err := v.Grant(id)
		if err != nil {
			return nil, "", err
		}
		if g == nil || string(g.Beneficiary) != f.No || g.BeneficiaryRegion != home {
			continue
		}
		if accounts[string(g.Payer)] == nil {
			accounts[string(g.Payer)] = map[string]bool{}
		}
		accounts[string(g.Payer)][id] = true
	}
	var all []StatementLine
	next := ""
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		one := q
		one.Account, one.Grants = account, accounts[account]
		lines, more, err := v.Statement(one)
		if err != nil {
			return nil, "", err
		}
		all = append(all, lines...)
		if more != "" && (next == "" || more < next) {
			next = more
		}
	}
	slices.SortFunc(all, func(a, b StatementLine) int { return strings.Compare(a.Key, b.Key) })
	all, next = cutPage(all, next, q.Limit)
	return all, next, nil
}

// cutPage keeps what is certain to be complete: nothing behind next, which is where one of the accounts stopped, and at
// most limit.
func cutPage(all []StatementLine, next string, limit int) ([]StatementLine, string) {
	if next != "" {
		all = slices.DeleteFunc(all, func(l StatementLine) bool { return l.Key > next })
	}
	if len(all) > limit {
		all = all[:limit]
		next = all[limit-1].Key
	}
	return all, next
}
