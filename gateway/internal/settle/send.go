package settle

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"gongji/consensus"
	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/vault"
)

// outgoing is a query or an answer that waits for a parcel.
type outgoing struct{ m federation.Message }

// Bounds of the waits between two attempts to publish: short enough that a broker that comes back is used at once.
const (
	publishFirst = 50 * time.Millisecond
	publishMax   = time.Second
	publishAlarm = 10 // attempts in a row before an operator is told
)

// lane is what a sender remembers between two parcels.
type lane struct {
	progress time.Time // when the acks last moved, or nothing was unacked
	ackBy    time.Time // an ack is to leave by then, alone if nothing carries it; zero: none is due
	window   uint64    // how many messages may be under way, since something was sent again; 0: as many as there are
	failure  string    // why the last parcel could not be made
}

// told logs why no parcel can be made, once for each reason: a region whose key was revoked fails at every heartbeat.
func (l *lane) told(ctx context.Context, logger *slog.Logger, to federation.Region, err error) {
	switch {
	case err == nil && l.failure != "":
		l.failure = ""
		logger.LogAttrs(ctx, slog.LevelInfo, "parcels are made again", slog.String("peer", string(to)))
	case err != nil && l.failure != err.Error():
		l.failure = err.Error()
		logger.LogAttrs(ctx, slog.LevelError, "no parcel can be made; it is tried on", slog.String("peer", string(to)),
			slog.String("error", l.failure))
	}
}

// resendWindow is how many messages are sent again to a peer whose acks do not move. When all that is under way is
// acked, twice as many follow. Without it a peer that never acks would be sent the whole outbox anew every second, and
// the outbox grows by what that peer is answered.
const (
	resendWindow = 256
	windowMax    = 1 << 16 // from here on the peer has shown that it keeps up
)

// send publishes what waits for a peer, one parcel at a time: while one is under way, the next gathers.
func (t *term) send(ctx context.Context, p *peer) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var l lane
	for {
		var first *outgoing
		select {
		case <-p.wake:
		case <-p.ackDue:
			if l.ackBy.IsZero() {
				l.ackBy = t.s.Now().Add(t.s.Timing.AckDelay)
			}
		case o := <-p.queries:
			first = &o
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		for {
			more, err := t.parcel(ctx, p, first, &l)
			if err != nil && ctx.Err() != nil {
				return nil
			}
			l.told(ctx, t.s.Logger, p.region, err)
			first = nil
			if !more || err != nil {
				break
			}
		}
		timer.Reset(t.nextSend(p, &l))
	}
}

// nextSend is when the sender looks by itself: for a resend, a heartbeat, or an ack that nothing has carried.
func (t *term) nextSend(p *peer, l *lane) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := t.s.Timing.Heartbeat
	if p.acked < p.sent {
		wait = min(wait, t.s.Timing.Resend/2)
	}
	if !l.ackBy.IsZero() {
		wait = min(wait, max(l.ackBy.Sub(t.s.Now()), time.Millisecond))
	}
	return wait
}

// parcel publishes one parcel, if there is anything to say, and tells whether more waits.
func (t *term) parcel(ctx context.Context, p *peer, first *outgoing, l *lane) (bool, error) {
	now := t.s.Now()
	g, err := t.gather(p, now, l)
	if err != nil {
		return false, err
	}
	messages, more := t.withQueries(p, first, g.messages), g.more
	p.mu.Lock()
	silent := now.Sub(p.parcel) >= t.s.Timing.Heartbeat
	p.mu.Unlock()
	ack := !l.ackBy.IsZero() && !now.Before(l.ackBy)
	if len(messages) == 0 && !ack && !silent {
		return false, nil
	}
	if n := federation.Fits(messages); n < len(messages) {
		// Numbered messages are found again in the outbox; queries that do not fit are asked again.
		messages, more = messages[:n], true
	}
	l.ackBy = time.Time{}
	if err := t.publish(ctx, p, g.link, messages, now); err != nil {
		return false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parcel = now
	for i := range messages {
		if messages[i].Class == federation.Numbered {
			p.sent = max(p.sent, messages[i].Number)
		}
	}
	t.s.Metrics.sent(p.region, len(messages))
	return more, nil
}

// withQueries puts what waits outside the numbers in front of the numbered messages: somebody is waiting for it.
func (t *term) withQueries(p *peer, first *outgoing, out []federation.Message) []federation.Message {
	var messages []federation.Message
	if first != nil {
		messages = append(messages, first.m)
	}
	for len(messages) < federation.ParcelMessagesMax/2 {
		select {
		case o := <-p.queries:
			messages = append(messages, o.m)
			continue
		default:
		}
		break
	}
	return append(messages, out...)
}

// gathered is what the outbox has for the next parcel.
type gathered struct {
	link     ledger.LinkRecord
	messages []federation.Message
	last     uint64 // number that may be sent
	more     bool   // there are numbers behind them
}

// gather reads the outbox behind what was sent, or from the first unacked number when the acks have not moved for a
// while (go-back-N): a lost tail leaves no gap, so nobody else would ask.
func (t *term) gather(p *peer, now time.Time, l *lane) (gathered, error) {
	var g gathered
	var sealed []*ledger.Bundle
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		var failed error
		if g.link, failed = v.Link(p.region); failed != nil {
			return failed
		}
		from := t.resume(p, g.link.Out, now, l)
		g.last = g.link.Out.Last
		if l.window > 0 {
			g.last = min(g.last, g.link.Out.Acked+l.window)
		}
		if from > g.last || g.link.Differs() {
			return nil // to a peer with another history everything new looks like a repeat
		}
		size := 0
		return v.Outbox(p.region, from, func(number uint64, m ledger.OutMessage) bool {
			if number > g.last {
				return false
			}
			size += len(m.Body) + federation.PersonsMax
			if len(g.messages) > 0 && size > federation.ParcelBytesMax {
				return false
			}
			g.messages = append(g.messages, federation.Message{
				Class: federation.Numbered, Number: number, Chain: m.Chain, Body: m.Body,
			})
			sealed = append(sealed, m.Persons)
			return len(g.messages) < federation.ParcelMessagesMax
		})
	})
	if err != nil {
		return g, err
	}
	for i := range g.messages {
		if err := t.clear(g.link, p.region, &g.messages[i], sealed[i]); err != nil {
			return g, err
		}
	}
	g.more = len(g.messages) > 0 && g.messages[len(g.messages)-1].Number < g.last
	return g, nil
}

// resume moves the sender's place by what the acks say, and returns the number to send from.
func (t *term) resume(p *peer, out federation.Out, now time.Time, l *lane) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if out.Epoch != p.outEpoch {
		p.outEpoch, p.sent, p.acked = out.Epoch, 0, 0
	}
	if out.Acked > p.acked || p.sent < out.Acked || p.sent == out.Acked {
		l.progress = now
	}
	p.acked = out.Acked
	p.sent = max(p.sent, out.Acked)
	if p.sent == out.Acked {
		l.window = wider(l.window)
	}
	if p.sent > out.Acked && now.Sub(l.progress) >= t.s.Timing.Resend {
		t.s.Metrics.resent(p.region, p.sent-out.Acked)
		p.sent, l.progress, l.window = out.Acked, now, resendWindow
	}
	return p.sent + 1
}

// wider is the window of a peer that has acked all of the one before.
func wider(window uint64) uint64 {
	if window *= 2; window <= windowMax {
		return window
	}
	return 0
}

// clear puts a message's salt and persons back: the salt is made anew from the evidence key, and is the same each
// time; the persons are opened here and nowhere before.
func (t *term) clear(link ledger.LinkRecord, to federation.Region, m *federation.Message, b *ledger.Bundle) error {
	key, err := t.s.Vault.InForce(crypto.UseEvidence)
	if err != nil {
		return err
	}
	var place [16]byte
	binary.BigEndian.PutUint64(place[:8], link.Out.Epoch)
	binary.BigEndian.PutUint64(place[8:], m.Number)
	salt, err := t.s.Ring.MAC(key, []byte(t.s.Self), []byte(to), place[:])
	if err != nil {
		return err
	}
	copy(m.Salt[:], salt[:])
	if b == nil {
		return nil
	}
	who, err := t.s.Vault.Open(b.Sealed)
	if err != nil {
		return err
	}
	m.Persons, m.PersonsSalt, m.PersonsDigest = vault.Clear(who), b.Salt, b.Digest
	return nil
}

func (t *term) publish(
	ctx context.Context, p *peer, link ledger.LinkRecord, messages []federation.Message, now time.Time,
) error {
	dir := t.s.Ledger.InForce().Directory
	if dir == nil {
		return errors.New("settle: no directory")
	}
	c := federation.Content{
		To: p.region, Epoch: link.Out.Epoch, Time: now, Messages: messages, Protocol: federation.Version,
		Ack: link.In.Ack(),
	}
	t.s.Random(c.ParcelID[:])
	done := t.s.Metrics.stage("crypto")
	data, err := federation.Pack(dir, t.s.Sealer, t.s.Self, c)
	done()
	if err != nil {
		return err
	}
	wait := backoff.NewExponentialBackOff(backoff.WithInitialInterval(publishFirst),
		backoff.WithMaxInterval(publishMax), backoff.WithMaxElapsedTime(0))
	attempts := 0
	return backoff.Retry(func() error {
		defer t.s.Metrics.stage("bus")()
		err := t.s.Bus.Publish(ctx, federation.Lane{From: t.s.Self, To: p.region}, data)
		if err == nil {
			return nil
		}
		if !errors.Is(err, federation.ErrBus) {
			return backoff.Permanent(err)
		}
		if attempts++; attempts == publishAlarm {
			t.s.Logger.LogAttrs(ctx, slog.LevelError, "the bus takes no parcel; it is tried on",
				slog.String("peer", string(p.region)), slog.Int("attempts", attempts), slog.String("error", err.Error()))
		}
		return err
	}, backoff.WithContext(wait, ctx))
}
