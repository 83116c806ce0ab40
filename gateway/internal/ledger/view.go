package ledger

import (
	"encoding/binary"
	"strings"
	"time"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// View reads the state. What it returns belongs to the caller. A nil record with a nil error means that there is none.
type View struct {
	r    consensus.Reader
	book adapters.Book
}

// View makes a View of a state.
func (l *Ledger) View(r consensus.Reader) View { return View{r, l.cfg.Book} }

// Request finds what a platform's request id was used for.
func (v View) Request(platform, id string) (*RequestRecord, error) {
	return read[RequestRecord](v.r, keyRequest, joined(platform, id))
}

// Payment finds a payment of this region.
func (v View) Payment(id string) (*PaymentRecord, error) {
	return read[PaymentRecord](v.r, keyPayment, id)
}

// PaymentsOf finds payments by visit or by bill, oldest first, behind the payment after, at most limit.
func (v View) PaymentsOf(visit, bill, after string, limit int) ([]*PaymentRecord, error) {
	prefix := stateKey(keyByVisit, joined(visit))
	if visit == "" {
		prefix = stateKey(keyByBill, joined(bill))
	}
	lo := prefix
	if after != "" {
		last, err := v.Payment(after)
		if err != nil || last == nil {
			return nil, err
		}
		lo = append(append([]byte(nil), prefix...), joined(aged(last.Created, after))...)
		lo = append(lo, 0)
	}
	var ids []string
	v.r.Scan(lo, prefixEnd(prefix), func(key, _ []byte) bool {
		if parts := split(key[len(prefix):]); len(parts) == 1 && len(parts[0]) > agedBytes {
			ids = append(ids, parts[0][agedBytes:])
		}
		return len(ids) < limit
	})
	out := make([]*PaymentRecord, 0, len(ids))
	for _, id := range ids {
		p, err := v.Payment(id)
		if err != nil {
			return nil, err
		}
		if p != nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// BillUsed is what payments hold or have captured of a bill.
func (v View) BillUsed(institution, bill string) (money.Amount, error) {
	b, err := read[billRecord](v.r, keyBill, billKey(institution, bill))
	if err != nil || b == nil {
		return 0, err
	}
	return b.Used, nil
}

// Hold finds a hold of this region's payers.
func (v View) Hold(id string) (*HoldRecord, error) { return read[HoldRecord](v.r, keyHold, id) }

// HoldsOf finds the holds that this region's payers have for a payment, in the order of their ids.
func (v View) HoldsOf(paymentID string) ([]*HoldRecord, error) {
	letter, rest, ok := strings.Cut(paymentID, "-")
	if !ok || letter != "p" {
		return nil, nil
	}
	var out []*HoldRecord
	var failed error
	lo := stateKey(keyHold, "h-"+rest+"-")
	v.r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		h := new(HoldRecord)
		if failed = record.Decode(value, h); failed != nil {
			return false
		}
		if h.PaymentID == paymentID {
			out = append(out, h)
		}
		return len(out) < HoldsOfMax
	})
	return out, failed
}

// HoldsOfMax is how many holds of one payment are looked at: more than a payment ever asks for.
const HoldsOfMax = 64

// Person finds a person by number.
func (v View) Person(no string) (*PersonRecord, error) { return read[PersonRecord](v.r, keyPerson, no) }

// Account reads an account of the region's Book, and whether there is one.
func (v View) Account(no string) (Facts, bool, error) {
	if v.book == nil {
		return Facts{}, false, nil
	}
	a, ok, err := v.book.Account(v.r, no)
	return factsOf(a, ok), ok, err
}

// Grant finds a grant that this region keeps.
func (v View) Grant(id string) (*GrantRecord, error) { return read[GrantRecord](v.r, keyGrant, id) }

// GrantsOfPayer lists a payer's grants in the order of their ids, at most limit.
func (v View) GrantsOfPayer(no string, limit int) ([]*GrantRecord, error) {
	return v.grantsBy(keyByPayer, no, limit)
}

// GrantsTo lists the grants that this region keeps for a beneficiary.
func (v View) GrantsTo(no string, limit int) ([]*GrantRecord, error) {
	return v.grantsBy(keyTo, no, limit)
}

func (v View) grantsBy(key byte, no string, limit int) ([]*GrantRecord, error) {
	prefix := stateKey(key, joined(no))
	var out []*GrantRecord
	var failed error
	v.r.Scan(prefix, prefixEnd(prefix), func(key, _ []byte) bool {
		parts := split(key[len(prefix):])
		if len(parts) != 1 {
			return true
		}
		g, err := v.Grant(parts[0])
		if err != nil {
			failed = err
			return false
		}
		if g != nil {
			out = append(out, g)
		}
		return len(out) < limit
	})
	return out, failed
}

// Indexed finds one grant of the index.
func (v View) Indexed(grantID string) (*IndexRecord, error) {
	no, ok := v.r.Get(stateKey(keyIndexID, grantID))
	if !ok {
		return nil, nil //nolint:nilnil // see View
	}
	key := joined(string(no), grantID)
	if rec, err := read[IndexRecord](v.r, keyIndex, key); rec != nil || err != nil {
		return rec, err
	}
	return read[IndexRecord](v.r, keyOver, key)
}

// Order is the order of use that a beneficiary has set; empty is the default.
func (v View) Order(no string) ([]string, error) {
	o, err := read[orderRecord](v.r, keyOrder, no)
	if err != nil || o == nil {
		return nil, err
	}
	return o.Grants, nil
}

// Imported reports whether an import of accounts has ended.
func (v View) Imported(name string) bool {
	_, ok := v.r.Get(stateKey(keyMeta, metaImport+name))
	return ok
}

// Link reads both halves of the link with a peer.
func (v View) Link(peer federation.Region) (LinkRecord, error) {
	link, err := read[LinkRecord](v.r, keyLink, string(peer))
	if err != nil || link == nil {
		first := LinkRecord{}
		first.Out.Epoch, first.In.Epoch = 1, 1
		return first, err
	}
	return *link, nil
}

// Outbox visits the messages that wait for a peer's ack, from a number on, until visit returns false.
func (v View) Outbox(peer federation.Region, from uint64, visit func(number uint64, m OutMessage) bool) error {
	link, failed := v.Link(peer)
	if failed != nil {
		return failed
	}
	lo := stateKey(keyOut, numbered(peer, link.Out.Epoch, max(from, link.Out.Acked+1)))
	v.r.Scan(lo, prefixEnd(stateKey(keyOut, numbered(peer, link.Out.Epoch))), func(key, value []byte) bool {
		var m OutMessage
		if failed = record.Decode(value, &m); failed != nil {
			return false
		}
		return visit(binary.BigEndian.Uint64(key[len(key)-8:]), m)
	})
	return failed
}

// Calls lists the holds, and the keys of returns, whose call to a core outside is under way.
func (v View) Calls() []string { return v.ids(keyCall) }

func (v View) ids(prefix byte) []string {
	var ids []string
	lo := []byte{prefix}
	v.r.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		ids = append(ids, string(key[1:]))
		return true
	})
	return ids
}

// Payments visits all payments in the order of their ids until visit returns false, as Holds and Grants do theirs.
func (v View) Payments(visit func(*PaymentRecord) bool) error { return each(v.r, keyPayment, visit) }

// Holds visits all holds.
func (v View) Holds(visit func(*HoldRecord) bool) error { return each(v.r, keyHold, visit) }

// Grants visits all grants that this region keeps.
func (v View) Grants(visit func(*GrantRecord) bool) error { return each(v.r, keyGrant, visit) }

// Bills visits what each bill has been used for; key names institution and bill.
func (v View) Bills(visit func(institution, bill string, used money.Amount) bool) error {
	var failed error
	lo := []byte{keyBill}
	v.r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		var b billRecord
		if failed = record.Decode(value, &b); failed != nil {
			return false
		}
		parts := split(key[1:])
		return len(parts) != 2 || visit(parts[0], parts[1], b.Used)
	})
	return failed
}

// Receipt finds the receipt that covers a message of this region's: the first at its number or behind it.
func (v View) Receipt(peer federation.Region, epoch, number uint64) (uint64, *Receipt, error) {
	var at uint64
	var found *Receipt
	var failed error
	lo := stateKey(keyReceipt, numbered(peer, epoch, number))
	v.r.Scan(lo, prefixEnd(stateKey(keyReceipt, numbered(peer, epoch))), func(key, value []byte) bool {
		r := new(Receipt)
		if failed = record.Decode(value, r); failed != nil {
			return false
		}
		if r.Forked {
			return true // it covers nothing
		}
		at, found = binary.BigEndian.Uint64(key[len(key)-8:]), r
		return false
	})
	return at, found, failed
}

// Sent finds a message that this region has sent, waiting or acked.
func (v View) Sent(peer federation.Region, epoch, number uint64) (*OutMessage, error) {
	return read[OutMessage](v.r, keyOut, numbered(peer, epoch, number))
}

// Evidence visits what a peer has signed, oldest first.
func (v View) Evidence(peer federation.Region, visit func(Evidence) bool) error {
	var failed error
	lo := stateKey(keyEvidence, string(peer))
	v.r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		var e Evidence
		if failed = record.Decode(value, &e); failed != nil {
			return false
		}
		return visit(e)
	})
	return failed
}

func each[T any, P interface {
	*T
	record.Record
}](r consensus.Reader, prefix byte, visit func(*T) bool) error {
	return within[T, P](r, []byte{prefix}, visit)
}

// within visits the records whose keys begin with lo.
func within[T any, P interface {
	*T
	record.Record
}](r consensus.Reader, lo []byte, visit func(*T) bool) error {
	return eachFrom[T, P](r, lo, prefixEnd(lo), visit)
}

// eachFrom visits the records whose keys stand between lo and hi.
func eachFrom[T any, P interface {
	*T
	record.Record
}](r consensus.Reader, lo, hi []byte, visit func(*T) bool) error {
	var failed error
	r.Scan(lo, hi, func(_, value []byte) bool {
		v := new(T)
		if failed = record.Decode(value, P(v)); failed != nil {
			return false
		}
		return visit(v)
	})
	return failed
}

// Wanted is a hold that a quote asks about.
type Wanted struct {
	Origin      federation.Region
	GrantID     string
	Amount      money.Amount
	Purpose     policy.Purpose
	Institution string
	VisitID     string
	Beneficiary Tokens
}

// Quoted is what would be held.
type Quoted struct {
	Amount    money.Amount
	LimitedBy policy.Code
	Code      policy.Code
	Payer     string // masked
	PayerName string // masked
}

// Quote says what a hold would give now, without any effect. facts are a core's outside; nil with a Book.
func (v View) Quote(now time.Time, w Wanted, facts *Facts, in InForce) (Quoted, error) {
	g, err := v.Grant(w.GrantID)
	if err != nil {
		return Quoted{}, err
	}
	if g == nil {
		return Quoted{Code: policy.CodeNotFound}, nil
	}
	who, err := v.Find(w.Beneficiary)
	if err != nil {
		return Quoted{}, err
	}
	if who.No == "" || who.No != string(g.Beneficiary) {
		return Quoted{Code: policy.CodeNotFound}, nil
	}
	payer, err := v.Person(string(g.Payer))
	if err != nil || payer == nil {
		return Quoted{Code: policy.CodeNotFound}, err
	}
	h := &HoldRecord{
		Hold:    hold.Hold{Origin: string(w.Origin), GrantID: w.GrantID, Asked: w.Amount, State: hold.Requested},
		Account: string(g.Payer), Purpose: w.Purpose, Institution: w.Institution, VisitID: w.VisitID,
		Year: policy.Year(now), InCore: v.book == nil,
	}
	if facts == nil {
		f, _, err := v.Account(h.Account)
		if err != nil {
			return Quoted{}, err
		}
		facts = &f
	}
	if !facts.Known {
		return Quoted{Code: policy.CodeNotFound}, nil
	}
	mandates, failed := v.Mandates(g.ID)
	g = cappedBy(mandates, g, w.Purpose)
	verdict, code := judge(now, h, g, facts, in, func(key string) money.Amount {
		u, err := read[useRecord](v.r, keyUse, key)
		if err != nil {
			failed = err
		}
		if u == nil {
			return 0
		}
		return u.Used
	})
	if code != "" {
		return Quoted{Code: code}, failed
	}
	return Quoted{
		Amount: verdict.Given, LimitedBy: verdict.LimitedBy, Payer: payer.Masked, PayerName: payer.Called,
	}, failed
}

// Book is the region's own account book; nil when a core system outside keeps the money.
func (l *Ledger) Book() adapters.Book { return l.cfg.Book }

// Accounts visits the accounts of the Book in the order they were opened, with the balance each was opened with.
func (v View) Accounts(visit func(no string, a adapters.Account, opening money.Amount) error) error {
	var failed error
	err := v.book.Accounts(v.r, func(no string, a adapters.Account) bool {
		var opening money.Amount
		failed = v.book.Movements(v.r, no, 1, func(m adapters.Movement) bool {
			if m.Kind == adapters.KindCredit && m.Ref == adapters.RefOpening {
				opening = money.Amount(m.Amount)
			}
			return false
		})
		if failed == nil {
			failed = visit(no, a, opening)
		}
		return failed == nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// Movements visits the movements of one account of the Book, oldest first.
func (v View) Movements(no string, visit func(adapters.Movement) bool) error {
	return v.book.Movements(v.r, no, 1, visit)
}

// BookHold is what the Book knows of a hold.
func (v View) BookHold(id string) (adapters.Hold, error) { return v.book.Find(v.r, id) }
