// Package ledger is the region's replicated state machine: commands change the state and fill the outboxes.
//
// Apply is deterministic. Everything that is random, secret or read from a clock comes inside the command, made by
// the leader that proposed it; the regional rules and the directory are state too. What is to be done outside
// (messages to other regions, calls to a core system) is only written down here; package settle carries it out on
// the leader and brings the answers back as commands.
//
// One file holds each kind of command: apply_payment.go the origin's side, apply_hold.go the home's side,
// apply_refund.go and apply_return.go the two sides of a refund, apply_link.go what peers send, apply_grant.go the
// grants, apply_mandate.go and apply_premium.go the collection of premiums, apply_directory.go the directory and what
// a revoked key takes with it, apply_admin.go rules and accounts, apply_platform.go the platforms' keys and nonces,
// apply_audit.go the audit log. view.go reads.
package ledger

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Bounds of the memory that holds decoded records; each is a number of records.
const (
	paymentsHot = 3072
	holdsHot    = 4096
	usesHot     = 16384
	personsHot  = 16384
	grantsHot   = 16384
	requestsHot = 2048
	mandatesHot = 4096
	premiumsHot = 4096
	refundsHot  = 4096
	outboxMax   = 100_000  // messages waiting for one peer; beyond it no new hold is asked of it
	localMax    = 10_000   // messages of a region to itself in one command
	idMax       = 64       // bytes of an id that a peer names, as adapters.RefMax
	textMax     = 512      // bytes of any other text of a peer: 128 characters, as the API takes them
	ticketMax   = 48 << 10 // bytes of a ticket: with the rest of its hold request less than federation.BodyMax
)

// owedMax is how many messages may wait for one peer before nothing more that it says is applied until it acks: a peer
// that asks and never acks fills no disk. It is far above outboxMax, so that two honest regions that could not hear
// each other for long both go on: beyond that they owe each other decisions only.
const owedMax = 10 * outboxMax

// RequestDays is how long a request id is kept (api.md section 1).
const RequestDays = 400

// Config is what a Ledger is made of. All nodes of a region have the same.
type Config struct {
	Self federation.Region
	Hash federation.Hash // SM3
	// Book is the region's own account book; nil when a core system outside keeps the money.
	Book adapters.Book
	// Notify is told, on every node, what the entries applied since the last call have changed. It must not block.
	// nil: nobody.
	Notify func(Effects)
}

// Effects are what a leader carries out or tells after entries were applied.
type Effects struct {
	Index    uint64
	Peers    []federation.Region // have new messages in their outbox
	AckDue   []federation.Region // are to be told how far this region is
	Acked    []federation.Region // have acked
	Calls    []string            // holds, and keys of returns, whose call to the core is under way
	Payments []string            // changed
	Grants   []string            // of the index, told of by their homes
	Premiums []string            // keys of PremiumRecords that wait for the leader
	Alarms   []Alarm
	Lost     []Lost // parcels whose key counts no more
	// Strangers are messages of peers that were refused.
	Strangers []Stranger
	// Wasted are the messages of peers that were written for nothing.
	Wasted []Waste
}

// Ledger is a consensus.StateMachine.
type Ledger struct {
	cfg      Config
	due      due
	stale    int // items of due, at most, whose record has moved on
	payments *table[PaymentRecord, *PaymentRecord]
	bills    *table[billRecord, *billRecord]
	requests *table[RequestRecord, *RequestRecord]
	holds    *table[HoldRecord, *HoldRecord]
	refunds  *table[RefundRecord, *RefundRecord]
	returns  *table[ReturnRecord, *ReturnRecord]
	uses     *table[useRecord, *useRecord]
	persons  *table[PersonRecord, *PersonRecord]
	tokens   *table[tokenRecord, *tokenRecord] // of generation 0
	grants   *table[GrantRecord, *GrantRecord]
	pairs    *table[pairRecord, *pairRecord]
	index    *table[IndexRecord, *IndexRecord] // of grants that are not over
	over     *table[IndexRecord, *IndexRecord] // of grants that are
	links    *table[LinkRecord, *LinkRecord]
	mandates *table[MandatesRecord, *MandatesRecord]
	duties   *table[DutyRecord, *DutyRecord]
	premiums *table[PremiumRecord, *PremiumRecord]
	seasons  *table[SeasonRecord, *SeasonRecord]
	// renewed is the index of tokens of every generation but the first.
	renewed *table[tokenRecord, *tokenRecord]
	nonces  nonces
	keys    map[string]*PlatformKey  // never changed, only replaced
	rest    KeysRecord               // the region's own keys at rest
	gone    map[string]*DestroyedKey // never changed, only replaced
	audit   *table[AuditHead, *AuditHead]

	operators *table[OperatorRecord, *OperatorRecord]
	sessions  *table[SessionRecord, *SessionRecord]
	acts      *table[ActRecord, *ActRecord]

	book    bookCache
	rules   policy.RuleBook
	dir     *federation.Directory
	effects Effects
	nextDue atomic.Int64 // microseconds; 0: nothing is due
	changed bool         // rules or directory, in the entry being applied
	inForce atomic.Pointer[InForce]
}

// InForce is what a region goes by: its rules and the federation's directory, as the newest applied entry left them.
type InForce struct {
	Rules     policy.RuleBook
	Directory *federation.Directory // nil before the first
	Self      federation.Region
	Platforms map[string]*PlatformKey // by key id
	Keys      KeysRecord
	Destroyed map[string]*DestroyedKey // by key id: what no node may have any more
}

// DirectoryExpired reports whether the directory has run out. Then no new hold begins, also within the region: who may
// speak is not known any more. Nothing else stops.
func (f InForce) DirectoryExpired(now time.Time) bool {
	return f.Directory != nil && f.Directory.Expired(now)
}

// PairOpen reports whether new holds may begin between this region and a peer: by the directory, which must not have
// expired, and by the pairs that this region's rules list, if they do. Within the region no pair is asked for.
func (f InForce) PairOpen(now time.Time, peer federation.Region) bool {
	return f.PairListed(now, peer) && !f.DirectoryExpired(now)
}

// PairListed is PairOpen by a directory that may have expired: it stops new holds and nothing else, so grants that hold
// no money, statements, and what two regions ask each other about the insurance of persons go on.
func (f InForce) PairListed(now time.Time, peer federation.Region) bool {
	if peer == f.Self {
		return true
	}
	day := policy.Day(now)
	if rules, err := f.Rules.At(day); err == nil && !rules.PairOpen(string(peer), day) {
		return false
	}
	if f.Directory == nil || !f.Directory.PairOpen(f.Self, peer, now) {
		return false
	}
	return takesPart(f.Directory, f.Self) && takesPart(f.Directory, peer)
}

// PairForGrant reports whether a grant may be made for a person of a peer. One that holds a limit at once is a new
// hold.
func (f InForce) PairForGrant(now time.Time, peer federation.Region, terms grant.Terms) bool {
	if terms.Limit > 0 {
		return f.PairOpen(now, peer)
	}
	return f.PairListed(now, peer)
}

// takesPart reports whether new holds may begin with a member: one that is paused or closed only ends what has begun.
func takesPart(d *federation.Directory, r federation.Region) bool {
	m, ok := d.Member(r)
	return ok && m.State != federation.MemberClosed && m.State != federation.MemberPaused
}

// InForce may be called from anywhere. What it points to must not be changed.
func (l *Ledger) InForce() InForce {
	if f := l.inForce.Load(); f != nil {
		return *f
	}
	return InForce{Self: l.cfg.Self}
}

func (l *Ledger) publish() {
	l.inForce.Store(&InForce{
		Rules: l.rules, Directory: l.dir, Self: l.cfg.Self, Platforms: l.keys, Keys: l.rest.clone(), Destroyed: l.gone,
	})
	l.changed = false
}

var _ consensus.StateMachine = (*Ledger)(nil)

// New makes a Ledger. The state is read by Reset.
func New(cfg Config) (*Ledger, error) {
	if !cfg.Self.Valid() || cfg.Hash == nil {
		return nil, errors.New("ledger: a region and a hash are needed")
	}
	if cfg.Notify == nil {
		cfg.Notify = func(Effects) {}
	}
	return &Ledger{
		cfg:  cfg,
		book: bookCache{young: map[string][]byte{}}, nonces: newNonces(),
		audit:    newTable[AuditHead](keyAudit, 2),
		sessions: newTable[SessionRecord](keySession, OperatorsMax),
		acts:     newTable[ActRecord](keyAct, ActsMax),

		operators: newTable[OperatorRecord](keyOperator, OperatorsMax),
		payments:  newTable[PaymentRecord](keyPayment, paymentsHot),
		bills:     newTable[billRecord](keyBill, paymentsHot),
		requests:  newTable[RequestRecord](keyRequest, requestsHot),
		holds:     newTable[HoldRecord](keyHold, holdsHot),
		refunds:   newTable[RefundRecord](keyRefund, refundsHot),
		returns:   newTable[ReturnRecord](keyReturn, refundsHot),
		uses:      newTable[useRecord](keyUse, usesHot),
		persons:   newTable[PersonRecord](keyPerson, personsHot),
		tokens:    newTable[tokenRecord](keyToken, personsHot),
		renewed:   newTable[tokenRecord](keyTokens, personsHot),
		grants:    newTable[GrantRecord](keyGrant, grantsHot),
		pairs:     newTable[pairRecord](keyPair, grantsHot),
		index:     newTable[IndexRecord](keyIndex, grantsHot),
		over:      newTable[IndexRecord](keyOver, grantsHot/4),
		links:     newTable[LinkRecord](keyLink, federation.MembersMax*2),
		mandates:  newTable[MandatesRecord](keyMandate, mandatesHot),
		duties:    newTable[DutyRecord](keyDuty, mandatesHot),
		premiums:  newTable[PremiumRecord](keyPremium, premiumsHot),
		seasons:   newTable[SeasonRecord](keyPremium, 2*len(policy.PremiumPurposes())),
	}, nil
}

// Apply gives one command its meaning. An error means that the node must stop: the command cannot be decoded, or
// the state is damaged.
func (l *Ledger) Apply(txn consensus.Txn, c consensus.Command) ([]byte, error) {
	cmd, err := DecodeCommand(c.Data)
	if err != nil {
		return nil, err
	}
	for _, t := range l.tables() {
		t.age() // never inside a command: what it has touched must stay where it is
	}
	x := &tx{Txn: txn, l: l, now: c.Stamp}
	x.forgetNonces(c.Stamp)
	x.fire(c.Stamp)
	out := x.dispatch(c.Stamp, cmd)
	x.deliverLocal(c.Stamp)
	x.trim()
	if err := x.flush(); err != nil {
		return nil, err
	}
	l.effects.Index = c.Index
	return record.Encode(&out), nil
}

// tables are all that a Ledger remembers of records in the state.
func (l *Ledger) tables() [24]memory {
	return [...]memory{
		l.payments, l.bills, l.requests, l.holds, l.uses, l.persons, l.tokens, l.grants, l.pairs, l.index, l.links, &l.book,
		l.mandates, l.duties, l.premiums, l.seasons, l.refunds, l.returns, l.over,
		l.renewed,
		l.audit, l.operators, l.sessions, l.acts,
	}
}

func (x *tx) dispatch(now time.Time, cmd Command) Outcome {
	if x.stale(cmd) {
		return refuse(CodeStaleKeys)
	}
	switch c := cmd.(type) {
	case *Tick:
		x.sweep(now)
		return Outcome{}
	case *CreatePayment:
		return x.createPayment(now, c)
	case *Confirm:
		return x.confirm(now, c)
	case *Cancel:
		return x.cancel(now, c)
	case *Deliver:
		return x.deliver(now, c)
	case *CoreResult:
		return x.coreResult(now, c)
	case *SetRules:
		return x.setRules(now, c)
	case *WithdrawRules:
		return x.withdrawRules(now, c)
	case *SetDirectory:
		return x.setDirectory(now, c)
	case *OpenAccounts:
		return x.openAccounts(now, c)
	case *ForceRelease:
		return x.forceRelease(now, c)
	case *ResumeLink:
		return x.resumeLink(now, c)
	case *MakeMandate:
		return x.makeMandate(now, c)
	case *EndMandates:
		return x.endMandates(now, c)
	case *CollectPremiums:
		return x.collectPremiums(now, c)
	case *PremiumReport:
		return x.premiumReport(now, c)
	case *CreateRefund:
		return x.createRefund(now, c)
	case *ReturnResult:
		return x.returnResult(now, c)
	case *Complete:
		return x.complete(now, c)
	}
	for _, by := range [...]func(time.Time, Command) (Outcome, bool){
		x.applyArchive, x.dispatchLife, x.dispatchPlatform, x.dispatchOperator, x.dispatchKeys, x.dispatchReunion,
	} {
		if out, done := by(now, cmd); done {
			return out
		}
	}
	x.fail(fmt.Errorf("%w: %T", ErrCommand, cmd))
	return Outcome{}
}

// Applied tells settle and the waiting requests what has happened.
func (l *Ledger) Applied(index uint64) {
	var next int64
	if len(l.due) > 0 {
		next = l.due[0].at.UnixMicro()
	}
	l.nextDue.Store(next)
	if l.changed {
		l.publish()
	}
	e := l.effects
	e.Index = index
	l.effects = Effects{}
	l.cfg.Notify(e)
}

// NextDue is when a Tick has something to do; the zero time is never. Safe to call from anywhere.
func (l *Ledger) NextDue() time.Time {
	if us := l.nextDue.Load(); us != 0 {
		return time.UnixMicro(us).UTC()
	}
	return time.Time{}
}

// Reset reads anew what is kept outside of the state.
func (l *Ledger) Reset(r consensus.Reader) error {
	for _, t := range l.tables() {
		t.forget()
	}
	var err error
	if l.due, err = loadDue(r); err != nil {
		return err
	}
	l.stale = 0
	if l.rules, err = readRules(r); err != nil {
		return err
	}
	if l.dir, err = readDirectory(r, l.cfg.Hash); err != nil {
		return err
	}
	if l.rest, err = readKeys(r); err != nil {
		return err
	}
	if l.gone, err = readDestroyed(r); err != nil {
		return err
	}
	if l.keys, err = readPlatforms(r); err != nil {
		return err
	}
	if l.nonces, err = readNonces(r); err != nil {
		return err
	}
	l.effects = Effects{}
	l.publish()
	var next int64
	if len(l.due) > 0 {
		next = l.due[0].at.UnixMicro()
	}
	l.nextDue.Store(next)
	return nil
}

// Outcome is what Propose hands back for a command: a refusal with its code, or the thing that was made or found.
type Outcome struct {
	Code     policy.Code // empty: done
	Replay   bool        // the request had been done before; ID names what it made
	ID       string
	Field    string // JSON pointer, where one field is to blame
	Detail   string
	DetailZH string
}

// Walk is the record.Record of an Outcome.
func (o *Outcome) Walk(c *record.Coder) {
	record.Str(c, &o.Code)
	c.Bool(&o.Replay)
	record.Str(c, &o.ID)
	record.Str(c, &o.Field)
	record.Str(c, &o.Detail)
	record.Str(c, &o.DetailZH)
}

func refused(err error) Outcome {
	r, ok := policy.AsRefusal(err)
	if !ok {
		return Outcome{Code: policy.CodeInvalidRequest, Detail: err.Error()}
	}
	return Outcome{Code: r.Code, Field: r.Field, Detail: r.Detail, DetailZH: r.DetailZH}
}

func refuse(code policy.Code) Outcome { return Outcome{Code: code} }

// appendOnce keeps the small lists of Effects free of repeats.
func appendOnce[T comparable](list []T, v T) []T {
	for i := len(list) - 1; i >= 0 && i >= len(list)-8; i-- {
		if list[i] == v {
			return list
		}
	}
	return append(list, v)
}
