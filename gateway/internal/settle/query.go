package settle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// answer is what came back to a query: the body, and the proof that the peer said it.
type answer struct {
	body  *wirepb.Body
	proof federation.Proof
}

// Answered is the answer of a region to a query. Proof is set for one that will be shown to others.
type Answered struct {
	Body  *wirepb.Body
	Proof []byte
}

// joinAgain is how soon a query looks again for a peer that a new leader has not joined yet.
const joinAgain = 10 * time.Millisecond

// Ask puts a query to a region and waits for its answer, at most Timing.Query. A query changes nothing, so it is
// asked again when no answer comes. A query to this region itself is answered here. Errors: ErrUnreachable,
// ErrNotLeading, the context's.
func (s *Settler) Ask(
	ctx context.Context, to federation.Region, body *wirepb.Body, who vault.Identity,
) (Answered, error) {
	t, err := s.leading()
	if err != nil {
		return Answered{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timing.Query)
	defer cancel()
	if to == s.Self {
		return t.askSelf(ctx, body, who)
	}
	p := t.peer(to)
	for p == nil && s.Reachable(to) && ctx.Err() == nil {
		pause(ctx, joinAgain) // this leader has only begun and has not joined its peers yet
		p = t.peer(to)
	}
	if p == nil || !s.Reachable(to) {
		return Answered{}, ErrUnreachable
	}
	m := federation.Message{Class: federation.Query, Body: wire.Encode(body)}
	s.Random(m.ID[:])
	s.Random(m.Salt[:])
	if who != (vault.Identity{}) {
		m.Persons = vault.Clear(who)
		s.Random(m.PersonsSalt[:])
		m.PersonsDigest = federation.PersonsDigest(s.Sealer.Hash, m.PersonsSalt, m.Persons)
	}
	c := make(chan answer, 1)
	if !t.await(m.ID, asked{c, to}) {
		return Answered{}, ErrUnreachable
	}
	defer t.await(m.ID, asked{})
	for {
		select {
		case p.queries <- outgoing{m}:
		default: // the queue is full; it is tried again below
		}
		again := time.NewTimer(s.Timing.QueryAgain)
		select {
		case a := <-c:
			again.Stop()
			return Answered{Body: a.body, Proof: federation.EncodeProof(a.proof)}, nil
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return Answered{}, fmt.Errorf("%w: %s: %w", ErrUnreachable, to, ctx.Err())
		}
	}
}

// asked is who waits for an answer, and whose.
type asked struct {
	c  chan answer
	of federation.Region
}

// await registers who waits for an answer; nobody removes.
func (t *term) await(id [federation.IDSize]byte, a asked) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if a.c == nil {
		delete(t.asked, id)
		return true
	}
	if len(t.asked) >= askedMax {
		return false
	}
	t.asked[id] = a
	return true
}

// answered hands an answer to who waits for it. Late ones are dropped, and so is what another region says than the one
// that was asked.
func (t *term) answered(p *peer, m *federation.Message, proof federation.Proof) {
	body, err := wire.Decode(m.Body)
	if err != nil || !isAnswer(body) {
		t.refuse(p, refusedClass, "")
		return
	}
	t.mu.Lock()
	a := t.asked[m.ID]
	t.mu.Unlock()
	switch {
	case a.c == nil:
		// What was asked twice is answered twice: this is counted, and no matter for the audit.
		t.s.Metrics.messageRefused(p.region, refusedUnasked)
		p.waste.spend(t.s.Now(), costMessage)
		return
	case a.of != p.region:
		t.refuse(p, refusedStranger, "")
		return
	}
	select {
	case a.c <- answer{body, proof}:
	default:
	}
}

// isAnswer reports whether a body may travel as an answer.
func isAnswer(b *wirepb.Body) bool {
	switch b.GetKind().(type) {
	case *wirepb.Body_Ticket, *wirepb.Body_QuoteAnswer, *wirepb.Body_CheckPersonAnswer, *wirepb.Body_StatementAnswer,
		*wirepb.Body_LinkTell, *wirepb.Body_TraceAnswer:
		return true
	}
	return false
}

// serve answers a peer's query in a goroutine of its own: at most servingMax, of one peer servingEach, and the term
// waits for them.
func (t *term) serve(ctx context.Context, p *peer, m *federation.Message) {
	select {
	case p.serving <- struct{}{}:
	default:
		t.s.Metrics.queryDropped(p.region)
		return
	}
	select {
	case t.serving <- struct{}{}:
	default:
		<-p.serving
		t.s.Metrics.queryDropped(p.region)
		return
	}
	t.work.Go(func() error {
		defer func() { <-t.serving; <-p.serving }()
		t.answer(ctx, p, m)
		return nil
	})
}

// answer makes the answer to a query and puts it where a parcel finds it. One that cannot be made is left out: the
// peer asks again, or gives up.
func (t *term) answer(ctx context.Context, p *peer, m *federation.Message) {
	within, cancel := context.WithTimeout(ctx, t.s.Timing.Query)
	defer cancel()
	ask, err := wire.Decode(m.Body)
	if err != nil {
		return // it was decoded before
	}
	body, who, err := t.reply(within, p.region, ask, m)
	if err != nil {
		if within.Err() == nil {
			t.s.Logger.LogAttrs(within, slog.LevelWarn, "a query was not answered",
				slog.String("peer", string(p.region)), slog.String("error", err.Error()))
		}
		return
	}
	if reason, id := t.nosy(p.region, ask, body, m); reason != "" {
		t.refuse(p, reason, id)
		p.waste.spend(t.s.Now(), costQuery)
	}
	a := federation.Message{Class: federation.Answer, ID: m.ID, Body: wire.Encode(body)}
	t.s.Random(a.Salt[:])
	if who != nil {
		a.Persons = vault.Clear(*who)
		t.s.Random(a.PersonsSalt[:])
		a.PersonsDigest = federation.PersonsDigest(t.s.Sealer.Hash, a.PersonsSalt, a.Persons)
	}
	select {
	case p.queries <- outgoing{a}:
	default:
		t.s.Metrics.queryDropped(p.region)
	}
}

var errQuery = errors.New("settle: not a query")

// nosy is why a query is told to the audit that was answered with nothing, since it asks for what is not the peer's
// business; empty for any other: much may be asked in vain. The second result says more: a code, or a grant's id.
func (t *term) nosy(from federation.Region, ask, answer *wirepb.Body, m *federation.Message) (string, string) {
	switch k := ask.GetKind().(type) {
	case *wirepb.Body_LookUp:
		code := policy.Code(answer.GetTicket().GetCode())
		if code == policy.CodeIdentityMismatch || code == policy.CodeRemoteUseRequired {
			return refusedLookUp, string(code)
		}
		for _, d := range answer.GetTicket().GetDeclines() {
			if d.GetCode() == string(policy.CodeNotFound) { // a named grant that is not this person's
				return ledger.StrangerGrant, d.GetGrantId()
			}
		}
	case *wirepb.Body_Quote:
		if answer.GetQuoteAnswer().GetCode() == string(policy.CodeNotFound) {
			return ledger.StrangerGrant, k.Quote.GetGrantId()
		}
	case *wirepb.Body_StatementAsk:
		if who, err := vault.Read(m.Persons); err == nil && who.Region != string(from) {
			return refusedStatement, ""
		}
	case *wirepb.Body_TraceAsk:
		a, id := answer.GetTraceAnswer(), k.TraceAsk.GetPaymentId()
		if len(a.GetEvents()) == 0 && !a.GetMore() && strings.HasPrefix(id, "p-"+string(t.s.Self)+"-") {
			return refusedTrace, id
		}
	}
	return "", ""
}

// reply answers one query. The persons of the answer are those whom a ticket is for.
func (t *term) reply(
	ctx context.Context, from federation.Region, body *wirepb.Body, m *federation.Message,
) (*wirepb.Body, *vault.Identity, error) {
	if ask := body.GetLinkAsk(); ask != nil { // it names nobody
		tell, failed := t.tellLink(from, ask)
		return &wirepb.Body{Kind: &wirepb.Body_LinkTell{LinkTell: tell}}, nil, failed
	}
	var who vault.Identity
	if body.GetTraceAsk() == nil { // nor does this
		var err error
		if who, err = vault.Read(m.Persons); err != nil {
			return nil, nil, err
		}
	}
	return t.answerTo(ctx, from, body, who)
}

func (t *term) answerTo(
	ctx context.Context, from federation.Region, body *wirepb.Body, who vault.Identity,
) (*wirepb.Body, *vault.Identity, error) {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_LookUp:
		ticket, err := t.lookUp(ctx, from, k.LookUp, who)
		return &wirepb.Body{Kind: &wirepb.Body_Ticket{Ticket: ticket}}, &who, err
	case *wirepb.Body_Quote:
		q, err := t.quote(ctx, from, k.Quote, who)
		return &wirepb.Body{Kind: &wirepb.Body_QuoteAnswer{QuoteAnswer: q}}, nil, err
	case *wirepb.Body_CheckPerson:
		a, err := t.checkPerson(ctx, who)
		return &wirepb.Body{Kind: &wirepb.Body_CheckPersonAnswer{CheckPersonAnswer: a}}, nil, err
	case *wirepb.Body_StatementAsk:
		a, err := t.statement(ctx, from, k.StatementAsk, who)
		return &wirepb.Body{Kind: &wirepb.Body_StatementAnswer{StatementAnswer: a}}, nil, err
	case *wirepb.Body_TraceAsk:
		a, err := t.traced(ctx, from, k.TraceAsk)
		return &wirepb.Body{Kind: &wirepb.Body_TraceAnswer{TraceAnswer: a}}, nil, err
	}
	return nil, nil, errQuery
}

// askSelf answers this region's own query. A ticket is signed all the same where a payer of another region has to see
// it.
func (t *term) askSelf(ctx context.Context, body *wirepb.Body, who vault.Identity) (Answered, error) {
	reply, persons, err := t.answerTo(ctx, t.s.Self, body, who)
	if err != nil {
		return Answered{}, err
	}
	ticket := reply.GetTicket()
	if ticket == nil || !t.shown(ticket) {
		return Answered{Body: reply}, nil
	}
	dir := t.s.Ledger.InForce().Directory
	if dir == nil {
		return Answered{Body: reply}, nil
	}
	a := federation.Message{Class: federation.Answer, Body: wire.Encode(reply), Persons: vault.Clear(*persons)}
	t.s.Random(a.ID[:])
	t.s.Random(a.Salt[:])
	t.s.Random(a.PersonsSalt[:])
	a.PersonsDigest = federation.PersonsDigest(t.s.Sealer.Hash, a.PersonsSalt, a.Persons)
	c := federation.Content{To: t.s.Self, Time: t.s.Now(), Messages: []federation.Message{a}, Protocol: federation.Version}
	t.s.Random(c.ParcelID[:])
	proof, err := federation.SignSingle(dir, t.s.Sealer, t.s.Self, c)
	if err != nil {
		return Answered{}, fmt.Errorf("settle: a ticket could not be signed: %w", err)
	}
	return Answered{Body: reply, Proof: federation.EncodeProof(proof)}, nil
}

// shown reports whether a ticket of this region will be shown to another one.
func (t *term) shown(ticket *wirepb.Ticket) bool {
	for _, o := range ticket.GetOffers() {
		if o.GetRegion() != string(t.s.Self) {
			return true
		}
	}
	return false
}
