package embedded

import (
	"encoding/binary"

	"gongji/adapters"
)

// accountsPage is how many accounts are read at once, so that visit never runs inside a scan.
const accountsPage = 256

// Account reads an account; see adapters.BookReader.
func (b *Book) Account(r adapters.Reader, name string) (adapters.Account, bool, error) {
	if !named(name) {
		return adapters.Account{}, false, nil
	}
	s := b.take()
	defer b.spare.Put(s)
	a, ok, err := getAccount(b, s, r, name)
	return a.Account, ok, err
}

// Find reads a hold; see adapters.BookReader.
func (b *Book) Find(r adapters.Reader, ref string) (adapters.Hold, error) {
	if !named(ref) {
		return adapters.Hold{}, nil
	}
	s := b.take()
	defer b.spare.Put(s)
	h, err := b.getHold(s, r, ref)
	if err != nil {
		return adapters.Hold{}, err
	}
	return adapters.Hold{
		State: h.state, Held: h.held, Captured: h.captured, Refunded: h.refunded, Reason: reasons[h.reason],
	}, nil
}

// Accounts visits all accounts in the order of their opening; see adapters.BookReader.
func (b *Book) Accounts(r adapters.Reader, visit func(account string, a adapters.Account) bool) error {
	s := b.take()
	defer b.spare.Put(s)
	count, err := b.count(s, r)
	if err != nil {
		return err
	}
	names := make([]string, 0, min(count, accountsPage))
	for from := uint64(1); from <= count; from += uint64(len(names)) {
		names = names[:0]
		lo := append([]byte(nil), b.orderKey(s, from)...)
		r.Scan(lo, []byte{b.prefix, keyOrder + 1}, func(_, v []byte) bool {
			names = append(names, string(v))
			return len(names) < accountsPage
		})
		if len(names) == 0 {
			return corrupt("order", "fewer accounts than counted")
		}
		for _, name := range names {
			a, ok, err := b.Account(r, name)
			if err != nil {
				return err
			}
			if !ok {
				return corrupt("order", "no such account")
			}
			if !visit(name, a) {
				return nil
			}
		}
	}
	return nil
}

// Movements visits the movements of an account; see adapters.BookReader.
func (b *Book) Movements(
	r adapters.Reader, name string, from uint64, visit func(m adapters.Movement) bool,
) error {
	if !named(name) {
		return nil
	}
	s := b.take()
	defer b.spare.Put(s)
	bound := key(b, s, keyMovement, name)
	lo := binary.BigEndian.AppendUint64(append([]byte(nil), bound...), from)
	hi := append(append([]byte(nil), bound...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	var failed error
	r.Scan(lo, hi, func(k, v []byte) bool {
		if len(k) != len(lo) {
			failed = corrupt("movement", "key")
			return false
		}
		m, err := decodeMovement(binary.BigEndian.Uint64(k[len(k)-8:]), v)
		if err != nil {
			failed = err
			return false
		}
		return visit(m)
	})
	return failed
}
