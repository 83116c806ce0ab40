package settle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// queryWindow: a query older or newer than that is refused, since nobody waits for its answer.
const queryWindow = 30 * time.Second

// Why a message of an authentic parcel is refused; stable, they name counters and audit lines. Numbered messages are
// refused in the log, where each has its own answer: see ledger.Stranger.
const (
	refusedClass      = "class"           // a body that does not travel in that class
	refusedPair       = "pair_closed"     // a query of a region that this one is not open with
	refusedStale      = "query_stale"     // a query of another time
	refusedAgain      = "query_replayed"  // a query in a parcel so old that it may have been here before
	refusedRate       = "query_rate"      // more queries than one peer may ask
	refusedUnasked    = "answer_unasked"  // an answer that nobody waits for, any more or at all
	refusedStranger   = "answer_stranger" // an answer of another region than the one asked
	refusedUnreadable = "persons_unreadable"
	refusedLookUp     = "look_up"           // a look-up that names a wrong person, or shows no credential
	refusedStatement  = "statement_not_own" // asks for the statement of another region's person
	refusedTrace      = "trace_not_own"     // asks for the trace of a payment of this region that it has no part in
	refusedDisagree   = "ticket_unsure"     // the engines disagree on a ticket's signature: the message waits
)

// refuse counts and audits one message of a peer.
func (t *term) refuse(p *peer, reason, id string) {
	t.s.Metrics.messageRefused(p.region, reason)
	attrs := []slog.Attr{slog.String("peer", string(p.region)), slog.String("reason", reason)}
	if id != "" {
		attrs = append(attrs, slog.String("id", id))
	}
	t.s.Audit("message_refused", attrs...)
	p.waste.spend(t.s.Now(), costMessage)
}

// record opens one record. What is not authentic is dropped here, counted and audited: it counts as lost.
func (t *term) record(ctx context.Context, p *peer, seen *federation.Seen, rec federation.Record) {
	dir := t.s.Ledger.InForce().Directory
	if dir == nil {
		return
	}
	now := t.s.Now()
	r := federation.Receiver{
		Directory: dir, Sealer: t.s.Sealer, Lane: federation.Lane{From: p.region, To: t.s.Self}, Now: now,
		Epoch: p.epoch(), Seen: seen,
	}
	done := t.s.Metrics.stage("crypto")
	opened, err := r.Unpack(rec.Value)
	done()
	if err != nil {
		why := federation.Refusal("fault")
		if refusal, ok := errors.AsType[*federation.RefusedError](err); ok {
			why = refusal.Why
		}
		p.waste.spend(now, costOf(why, len(rec.Value)))
		t.s.Metrics.refused(p.region, why)
		t.s.Audit("parcel_refused", slog.String("peer", string(p.region)), slog.String("reason", string(why)),
			slog.Int64("offset", rec.Offset))
		t.hand(ctx, p, ledger.Parcel{}, rec) // the next leader need not read it again
		return
	}
	age := seen.Note(&opened.Header, now)
	if age == federation.Newer { // anything else may be somebody's replay, and shows nobody alive
		p.mu.Lock()
		p.heard = now
		p.mu.Unlock()
	}
	if len(opened.Messages) == 0 {
		p.waste.spend(now, costRecord+costSignature)
	}
	t.s.Metrics.received(p.region, len(opened.Messages))
	t.sort(ctx, p, opened, age, rec)
}

// sort hands queries and answers to those who wait, and numbered messages to the log.
func (t *term) sort(ctx context.Context, p *peer, o *federation.Opened, age federation.Age, rec federation.Record) {
	parcel := ledger.Parcel{
		Epoch: o.Header.Epoch, AckEpoch: o.Header.Ack.Epoch, AckNumber: o.Header.Ack.Number,
		AckChain: o.Header.Ack.Chain[:], Protocol: o.Header.Protocol, Header: o.Raw, Signature: o.Signature,
		SignKey: o.Header.SignKey,
	}
	unsure := false // from such a message on the parcel is lost: the peer sends it again
	for i := range o.Messages {
		m := &o.Messages[i]
		switch m.Class {
		case federation.Query:
			t.query(ctx, p, o, m, age)
		case federation.Answer:
			t.answered(p, m, o.Proof(t.s.Sealer.Hash, i))
		case federation.Numbered:
			if unsure {
				continue
			}
			in, sure := t.inbound(ctx, p, m)
			if unsure = !sure; sure {
				parcel.Messages = append(parcel.Messages, in)
			}
		}
	}
	if len(parcel.Messages) > 0 {
		for _, leaf := range o.Leaves {
			parcel.Leaves = append(parcel.Leaves, leaf[:]...)
		}
	}
	t.hand(ctx, p, parcel, rec)
}

// hand gives a parcel to the one who writes to the log.
func (t *term) hand(ctx context.Context, p *peer, parcel ledger.Parcel, rec federation.Record) {
	select {
	case p.inbound <- inboundBatch{parcel, rec.Offset + 1, len(rec.Value)}:
	case <-ctx.Done():
	}
}

// query holds a query against what its peer may ask, and has it answered.
func (t *term) query(ctx context.Context, p *peer, o *federation.Opened, m *federation.Message, age federation.Age) {
	now := t.s.Now()
	off := now.Sub(o.Header.Time)
	body, err := wire.Decode(m.Body)
	switch {
	case err != nil || !isQuery(body):
		t.refuse(p, refusedClass, "")
	case off >= queryWindow || off <= -queryWindow:
		t.refuse(p, refusedStale, "")
	case age == federation.Old:
		t.refuse(p, refusedAgain, "")
	case !t.mayAsk(now, p.region, body):
		t.refuse(p, refusedPair, "")
	case !p.questions.take(now):
		t.s.Metrics.queryDropped(p.region)
		t.refuse(p, refusedRate, "")
	default:
		t.serve(ctx, p, m)
	}
}

// isQuery reports whether a body may travel as a query.
func isQuery(b *wirepb.Body) bool {
	switch b.GetKind().(type) {
	case *wirepb.Body_LookUp, *wirepb.Body_Quote, *wirepb.Body_CheckPerson, *wirepb.Body_StatementAsk,
		*wirepb.Body_LinkAsk, *wirepb.Body_TraceAsk:
		return true
	}
	return false
}

// mayAsk reports whether a peer may ask that. What leads to a new hold needs a pair on which one may begin; what is
// about persons of the pair needs one that is listed, though the directory has expired. A link is always asked about,
// and what was done: what has begun must be able to end, and to be shown.
func (t *term) mayAsk(now time.Time, peer federation.Region, b *wirepb.Body) bool {
	switch b.GetKind().(type) {
	case *wirepb.Body_LinkAsk, *wirepb.Body_TraceAsk:
		return true
	case *wirepb.Body_CheckPerson, *wirepb.Body_StatementAsk:
		return t.s.Ledger.InForce().PairListed(now, peer)
	}
	return t.s.Ledger.InForce().PairOpen(now, peer)
}

// inbound prepares a numbered message for the log: clear persons become tokens and sealed identities, a ticket
// becomes a verdict. It reports false for a message that must come again: nobody knows whether its ticket is good, or
// the keys at rest cannot be reached.
func (t *term) inbound(ctx context.Context, p *peer, m *federation.Message) (ledger.Inbound, bool) {
	in := ledger.Inbound{
		Number: m.Number, Chain: m.Chain, Salt: m.Salt, Body: m.Body,
		PersonsSalt: m.PersonsSalt, PersonsDigest: m.PersonsDigest,
	}
	var who vault.Identity
	if len(m.Persons) > 0 {
		var err error
		if who, err = vault.Read(m.Persons); err != nil {
			t.refuse(p, refusedUnreadable, "")
		} else if person, err := t.s.Vault.Person(who, t.s.Vault.NewNo()); err != nil {
			t.s.Logger.LogAttrs(ctx, slog.LevelError, "a person could not be sealed; the message has to come again",
				slog.String("peer", string(p.region)), slog.String("error", err.Error()))
			return in, false
		} else {
			in.Person = &person
		}
	}
	body, err := wire.Decode(m.Body)
	if err != nil {
		return in, true
	}
	sure := true
	if h := body.GetHoldRequest(); h != nil {
		in.Ticket, sure = t.ticket(p, h, evidence.Shown{Who: who, Salt: m.PersonsSalt})
	}
	return in, sure
}

// ticket returns why a hold's ticket is refused, empty for a good one, and whether that can be said.
func (t *term) ticket(p *peer, h *wirepb.HoldRequest, who evidence.Shown) (policy.Code, bool) {
	err := t.s.Tickets.Check(t.s.Ledger.InForce().Directory, p.region, h, who, t.s.Now())
	if err == nil {
		return "", true
	}
	if r, ok := errors.AsType[*federation.RefusedError](err); ok && r.Why == federation.RefusedDisagreement {
		t.refuse(p, refusedDisagree, h.GetHoldId())
		return "", false
	}
	t.s.Metrics.ticketRefused(p.region)
	t.s.Audit("ticket_refused", slog.String("peer", string(p.region)), slog.String("hold", h.GetHoldId()),
		slog.String("reason", err.Error()))
	p.waste.spend(t.s.Now(), costSignature)
	return policy.CodeNotFound, true
}

// follow remembers the epoch of the peer's link, which older parcels do not have.
func (p *peer) follow(link *ledger.LinkRecord) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inEpoch = link.In.Epoch
}

func (p *peer) epoch() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inEpoch
}
