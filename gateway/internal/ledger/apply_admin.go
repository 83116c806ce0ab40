package ledger

import (
	"time"

	"gongji/adapters"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Names under keyMeta.
const (
	metaDirectory = "directory"
	metaRules     = "rules/"    // and the day from which they hold
	metaReplaced  = "oldrules/" // that day and the time at which the version was replaced: versions that were in force
	metaSweep     = "sweep"     // where the sweep of old request ids goes on
	metaImport    = "import/"
)

// sweepMax is how many request ids one Tick looks at: at a tick a second every id is looked at
// often enough, however many there are, and no entry is long.
const sweepMax = 64

// openAccounts opens accounts in the region's Book. A person who has one keeps it: then scheme and status are set, and
// an opening of the year that was not published yet.
func (x *tx) openAccounts(now time.Time, c *OpenAccounts) Outcome {
	if x.l.cfg.Book == nil {
		return refuse(policy.CodeNotSupported)
	}
	for i := range c.Accounts {
		a := &c.Accounts[i]
		no := x.person(&a.Person)
		p := get(x, x.l.persons, no)
		if p == nil {
			continue
		}
		if err := x.l.cfg.Book.Open(x, now, no, a.Facts.account()); x.reason(err) != "" {
			return Outcome{Code: policy.CodeInvalidRequest, Detail: err.Error()}
		}
		if !p.InBook {
			p.InBook = true
			put(x, x.l.persons, no, p)
		}
	}
	if c.Done != "" {
		x.Set(stateKey(keyMeta, metaImport+c.Done), nil)
	}
	return Outcome{}
}

// number is the number that a person has, or would get.
func (x *tx) number(p *Person) string {
	if no, _ := x.find(p); no != "" {
		return no
	}
	return p.New
}

// person finds a person by token, or takes them in under the random number that the command brings.
func (x *tx) person(p *Person) string {
	if no, _ := x.find(p); no != "" {
		return no
	}
	t := p.Tokens().under(x.l.rest.Token)
	if t == nil {
		return "" // never: the command would be stale
	}
	table, key := x.indexOf(x.l.rest.Generation, t.Token)
	put(x, table, key, &tokenRecord{Person: p.New})
	put(x, x.l.persons, p.New, &PersonRecord{
		Name: t.Name, Sealed: p.Sealed, Masked: p.Masked, Called: p.Called, Region: p.Region,
	})
	return p.New
}

// known finds a person by token: their number (empty when the region does not know them) and record, and
// whether the name is theirs.
func (x *tx) known(p *Person) (string, *PersonRecord, bool) {
	no, by := x.find(p)
	if no == "" {
		return "", nil, false
	}
	rec := get(x, x.l.persons, no)
	if rec == nil {
		return "", nil, false
	}
	return no, rec, rec.Name == by.Name
}

// standing is what this region's Book, or the facts of a core outside, say of a person.
func (x *tx) standing(p *Person, facts *Facts) policy.Standing {
	f := Facts{}
	switch {
	case x.l.cfg.Book == nil && facts != nil:
		f = *facts
	case x.l.cfg.Book != nil:
		no, rec, named := x.known(p)
		if !named || !rec.InBook {
			return policy.Standing{}
		}
		account, ok, err := x.l.cfg.Book.Account(x, no)
		if err != nil {
			x.fail(err)
			return policy.Standing{}
		}
		f = factsOf(account, ok)
	}
	return policy.Standing{Known: f.Known, Scheme: policy.Scheme(f.Scheme), Status: policy.InsuredStatus(f.Status)}
}

// sweep forgets request ids that are older than RequestDays, a few at each tick.
func (x *tx) sweep(now time.Time) {
	lo := []byte{keyRequest}
	hi := prefixEnd(lo)
	cursorKey := stateKey(keyMeta, metaSweep)
	if at, ok := x.Get(cursorKey); ok && len(at) > 0 {
		lo = append(append([]byte(nil), at...), 0)
	}
	var last []byte
	var old []string
	n := 0
	x.Scan(lo, hi, func(key, value []byte) bool {
		n++
		last = append(last[:0], key...)
		r := new(RequestRecord)
		if err := record.Decode(value, r); err != nil {
			x.fail(err)
			return false
		}
		if now.Sub(r.At) > RequestDays*24*time.Hour {
			old = append(old, string(key[1:]))
		}
		return n < sweepMax
	})
	for _, key := range old {
		put(x, x.l.requests, key, nil)
	}
	if n < sweepMax {
		last = nil
	}
	if had, ok := x.Get(cursorKey); !ok || string(had) != string(last) {
		x.Set(cursorKey, last)
	}
}

var _ adapters.Txn = (*tx)(nil)
