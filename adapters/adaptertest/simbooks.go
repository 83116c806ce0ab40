package adaptertest

import (
	"fmt"
	"maps"
	"slices"

	"gongji/adapters"
)

// SimAccount is an account as the simulated core's own books show it.
type SimAccount struct {
	Person  adapters.Person
	Account adapters.Account
}

// SimHold is a hold as the simulated core's own books show it.
type SimHold struct {
	Ref    string
	Number string // of the person; empty for a dead reference
	Hold   adapters.Hold
}

// Accounts returns all accounts in the order they were added, past all faults of the line. What is
// on its way and not yet due has not happened.
func (s *SimCore) Accounts() []SimAccount {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	all := make([]SimAccount, 0, len(s.ledger.order))
	for _, number := range s.ledger.order {
		p := s.ledger.persons[number]
		all = append(all, SimAccount{Person: p.person, Account: p.account})
	}
	return all
}

// Holds returns all holds and dead references, in the order of their references.
func (s *SimCore) Holds() []SimHold {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	all := make([]SimHold, 0, len(s.ledger.holds))
	for _, ref := range slices.Sorted(maps.Keys(s.ledger.holds)) {
		h := s.ledger.holds[ref]
		all = append(all, SimHold{Ref: ref, Number: h.number, Hold: h.Hold})
	}
	return all
}

// Movements returns all movements of a person, oldest first.
func (s *SimCore) Movements(number string) []adapters.Movement {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	p, ok := s.ledger.persons[number]
	if !ok {
		return nil
	}
	return slices.Clone(p.movements)
}

// Check holds the core's books against each other and returns the first contradiction: each account
// against its movements (see CheckBook), what is held against the open holds, and for every hold
// refunded <= captured <= held (I-1, I-2, I-4).
func (s *SimCore) Check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now()
	open := map[string]int64{}
	for _, ref := range slices.Sorted(maps.Keys(s.ledger.holds)) {
		h := s.ledger.holds[ref]
		if h.State == adapters.HoldOpen {
			open[h.number] += h.Held
		}
		if h.Captured > h.Held || h.Refunded > h.Captured || h.Captured < 0 || h.Refunded < 0 {
			return fmt.Errorf("hold %q: %+v (I-4)", ref, h.Hold)
		}
	}
	for i, number := range s.ledger.order {
		p := s.ledger.persons[number]
		name := fmt.Sprintf("person %d", i+1)
		if err := checkMovements(name, p.account, p.movements); err != nil {
			return err
		}
		if p.account.Held != open[number] {
			return fmt.Errorf("%s: %d held, its open holds are %d (I-2)", name, p.account.Held, open[number])
		}
	}
	return nil
}
