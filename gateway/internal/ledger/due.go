package ledger

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"time"

	"gongji/consensus"
)

// What wakes by itself.
const (
	duePayment byte = 'p'
	dueHold    byte = 'h'
	duePremium byte = 'm'
	dueRefund  byte = 'r'
	dueReturn  byte = 'f'
	dueGrant   byte = 'g'
	dueDoubt   byte = 'L'

	dueOperator byte = 'O'
)

// firesMax is how many deadlines fire before one command. What is left fires before the next, which the leader proposes
// at once; until then each record still refuses what comes too late, since it looks at the stamp itself. Items that are
// passed over do not count: a node that has started again does not have them, and must fire the same ones.
const firesMax = 256

// due is the list of what wakes when. It stands in the state (keyDue) and, as a heap, in memory. An item whose
// record has moved on is passed over.
type due []dueItem

type dueItem struct {
	at   time.Time
	kind byte
	id   string
}

// Len, Less, Swap, Push and Pop make a due a heap.
func (d *due) Len() int { return len(*d) }

// Less orders by time, then kind and id, so that every replica fires in one order.
func (d *due) Less(i, j int) bool {
	a, b := &(*d)[i], &(*d)[j]
	return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id)) < 0
}

// Swap exchanges two items.
func (d *due) Swap(i, j int) { (*d)[i], (*d)[j] = (*d)[j], (*d)[i] }

// Push appends an item.
func (d *due) Push(x any) {
	*d = append(*d, x.(dueItem)) //nolint:forcetypeassert // container/heap hands on what it was given
}

// Pop removes the last item.
func (d *due) Pop() any {
	old := *d
	x := old[len(old)-1]
	*d = old[:len(old)-1]
	return x
}

func loadDue(r consensus.Reader) (due, error) {
	var d due
	var err error
	lo := []byte{keyDue}
	r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		if len(key) < 11 {
			err = fmt.Errorf("ledger: a deadline key of %d bytes", len(key))
			return false
		}
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(key[1:9]))).UTC() //nolint:gosec // written by dueKey
		d = append(d, dueItem{at, key[9], string(key[10:])})
		return true
	})
	heap.Init(&d)
	return d, err
}

// wake moves the deadline of a record from old to at; the zero time is none.
func (x *tx) wake(kind byte, id string, old, at time.Time) {
	if old.Equal(at) {
		return
	}
	if !old.IsZero() {
		x.Delete(dueKey(old, kind, id))
		x.l.stale++ // its item stays in the heap; at most, since an item that has just fired is gone
	}
	if !at.IsZero() {
		x.Set(dueKey(at, kind, id), nil)
		heap.Push(&x.l.due, dueItem{at, kind, id})
	}
}

// fire does what is due at now.
func (x *tx) fire(now time.Time) {
	for n := 0; n < firesMax && x.err == nil; {
		if len(x.l.due) == 0 || x.l.due[0].at.After(now) {
			return
		}
		item := heap.Pop(&x.l.due).(dueItem) //nolint:forcetypeassert // the heap has nothing else
		fired := false
		switch item.kind {
		case duePayment:
			fired = x.expirePayment(now, item)
		case dueHold:
			fired = x.expireHold(now, item)
		case duePremium:
			fired = x.expirePremium(now, item)
		case dueRefund:
			fired = x.expireRefund(now, item)
		case dueGrant:
			fired = x.expireGrant(now, item)
		case dueReturn:
			fired = x.expireReturn(now, item)
		case dueDoubt:
			fired = x.expireDoubt(now, item)
		case dueOperator:
			fired = x.expireOperator(now, item)
		default:
			x.fail(fmt.Errorf("ledger: a deadline of kind %q", item.kind))
		}
		if fired {
			n++
		}
	}
}

// staleMax is how many items that were moved on may stay in memory. Most deadlines never fire: without a bound a busy
// region would keep the items of a quarter of an hour.
const staleMax = 8192

// trim reads the deadlines anew when most of those in memory stand there for nothing. It changes no state, so that it
// does not matter on which node it happens when.
func (x *tx) trim() {
	if x.err != nil || x.l.stale < staleMax || x.l.stale < len(x.l.due)/2 {
		return
	}
	fresh, err := loadDue(x)
	if err != nil {
		x.fail(err)
		return
	}
	x.l.due, x.l.stale = fresh, 0
}
