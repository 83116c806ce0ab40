package simtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// A fourth region that has lost its history. It asks for a hold as every visit region does, with a true ticket, and is
// told that
// the hold is placed. Then it knows nothing any more: it never decides, and answers every enquiry with "unknown".
// Design 5
// says what follows: such a hold is released by two persons, and by nobody else.
const (
	ghostRegion   = "440100"
	ghostHome     = "110000"
	ghostFen      = 1234
	ghostWithin   = 12 * time.Second
	ghostPatience = 3 * time.Minute // it gives up what does not come by then
)

type ghost struct {
	w       *world
	sealer  *regionSealer
	bus     *faultyBus
	dir     *federation.Directory
	payment string

	out     federation.Out
	in      federation.In
	waiting []federation.Message // numbered, not acked
	offset  int64
	ticket  []byte // a proof, once it came
	offer   string
	answer  *wirepb.HoldAnswer
	asked   int // enquiries that were answered with "unknown"
}

// playGhost is the ghost's life: it ends when its second enquiry is answered, or it gives up.
func (w *world) playGhost() {
	if err := w.ghostLife(); err != nil {
		w.story.fault("ghost: %v", err)
	}
}

func (w *world) ghostLife() error {
	sealer := &regionSealer{suite: emm.New(), ring: w.ghostRing}
	dir, err := federation.LoadDirectory(sealer.Hash, w.directory)
	if err != nil {
		return err
	}
	end := newEndpoint(ghostRegion)
	bus, err := w.newBus(end, slog.New(slog.DiscardHandler), w.seed)
	if err != nil {
		return err
	}
	g := &ghost{w: w, sealer: sealer, bus: bus, dir: dir, payment: "p-" + ghostRegion + "-lost"}
	g.out.Epoch, g.in.Epoch = 1, 1
	ctx, cancel := context.WithTimeout(context.Background(), ghostPatience)
	defer cancel()
	err = g.live(ctx)
	w.net.kill(end)
	return errors.Join(err, bus.Close())
}

func (g *ghost) live(ctx context.Context) error {
	requested := false
	for g.asked < 2 {
		var query *federation.Message
		if g.ticket == nil {
			query = g.lookUp()
		} else if !requested {
			requested = true
			g.request()
		}
		if err := g.send(ctx, query); err != nil {
			return fmt.Errorf("send (ticket %v, answer %v, asked %d): %w", g.ticket != nil, g.answer, g.asked, err)
		}
		if err := g.receive(ctx); err != nil {
			return fmt.Errorf("receive (ticket %v, answer %v, asked %d): %w", g.ticket != nil, g.answer, g.asked, err)
		}
	}
	for len(g.waiting) > 0 { // until the last "unknown" is in the home's log
		if err := errors.Join(g.send(ctx, nil), g.receive(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (g *ghost) hold() string { return "h" + g.payment[1:] + "-1" }

// persons puts the patient into a message.
func (g *ghost) persons(m *federation.Message) {
	p := g.w.lost[1].Person
	m.Persons = vault.Clear(vault.Identity{IDType: p.IDType, Number: p.IDNumber, Name: p.Name, Region: p.Region})
	m.PersonsSalt[0] = 7
	m.PersonsDigest = federation.PersonsDigest(g.sealer.Hash, m.PersonsSalt, m.Persons)
}

func (g *ghost) lookUp() *federation.Message {
	m := &federation.Message{Class: federation.Query, Body: wire.Encode(&wirepb.Body{Kind: &wirepb.Body_LookUp{
		LookUp: &wirepb.LookUp{
			PaymentId: g.payment, Amount: ghostFen, SelfBorne: ghostFen, Credential: "e_credential", RemoteUse: true,
			Expires: time.Now().Add(time.Minute).UnixMicro(),
		},
	}})}
	m.ID[0] = 1
	g.persons(m)
	return m
}

// number gives a message its place on the link.
func (g *ghost) number(body *wirepb.Body, persons bool) {
	m := federation.Message{Class: federation.Numbered, Body: wire.Encode(body)}
	if persons {
		g.persons(&m)
	}
	g.out = g.out.Next(g.sealer.Hash, federation.ContentDigest(g.sealer.Hash, m.Body, m.PersonsDigest))
	m.Number, m.Chain = g.out.Last, g.out.Chain
	g.waiting = append(g.waiting, m)
}

func (g *ghost) request() {
	g.number(&wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
		HoldId: g.hold(), PaymentId: g.payment, GrantId: g.offer, Amount: ghostFen,
		DecideBy: time.Now().Add(ghostWithin).UnixMicro(), Purpose: "outpatient", Institution: "H" + ghostRegion + "00001",
		VisitId: "lost", Ticket: g.ticket,
	}}}, true)
}

// send publishes everything that is not acked, as a sender does on its timer.
func (g *ghost) send(ctx context.Context, query *federation.Message) error {
	c := federation.Content{
		To: ghostHome, Epoch: 1, Time: time.Now(), Protocol: federation.Version,
		Ack: federation.Ack{Epoch: 1, Number: g.in.Applied, Chain: g.in.Chain}, Messages: g.waiting,
	}
	if query != nil {
		c.Messages = append([]federation.Message{*query}, c.Messages...)
	}
	randomBytes(uint64(time.Now().UnixNano()))(c.ParcelID[:]) //nolint:gosec // only to differ
	data, err := federation.Pack(g.dir, g.sealer, ghostRegion, c)
	if err != nil {
		return err
	}
	return g.bus.Publish(ctx, federation.Lane{From: ghostRegion, To: ghostHome}, data)
}

// receive takes what came, and answers what is asked.
func (g *ghost) receive(ctx context.Context) error {
	lane := federation.Lane{From: ghostHome, To: ghostRegion}
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		records, next, err := g.bus.Fetch(ctx, lane, g.offset)
		if err != nil {
			return err
		}
		g.offset = next
		for _, rec := range records {
			o, err := federation.Unpack(g.dir, g.sealer, lane, time.Now(), rec.Value)
			if err == nil {
				g.take(o)
			}
		}
	}
	return nil
}

func (g *ghost) take(o *federation.Opened) {
	if next, ok := g.out.Ack(o.Header.Ack); ok {
		g.waiting = g.waiting[next.Acked-g.out.Acked:]
		g.out = next
	}
	for i := range o.Messages {
		m := &o.Messages[i]
		body, err := wire.Decode(m.Body)
		if err != nil {
			continue
		}
		if t := body.GetTicket(); m.Class == federation.Answer && t.GetCode() == "" && len(t.GetOffers()) > 0 {
			g.offer = t.GetOffers()[0].GetGrantId()
			g.ticket = federation.EncodeProof(o.Proof(g.sealer.Hash, i))
		}
		if m.Class != federation.Numbered {
			continue
		}
		content := federation.ContentDigest(g.sealer.Hash, m.Body, m.PersonsDigest)
		in, verdict := g.in.Offer(g.sealer.Hash, o.Header.Epoch, m.Number, content, m.Chain)
		g.in = in
		if verdict != federation.Apply {
			continue
		}
		if a := body.GetHoldAnswer(); a != nil {
			g.answer = a
			g.w.story.tell("ghost", g.payment, "%s holds %d fen %s, and the region loses its history", a.GetHoldId(), a.GetAmount(),
				a.GetCode())
		}
		if e := body.GetEnquiry(); e != nil {
			g.asked++
			g.w.story.tell("ghost", g.payment, "asked about %s: unknown", e.GetHoldId())
			g.number(&wirepb.Body{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: &wirepb.EnquiryAnswer{
				HoldId: e.GetHoldId(), Unknown: true,
			}}}, false)
		}
	}
}

// haunted checks that the lost region's hold still waits for two persons, and that its money is still held.
func (b *books) haunted(pages map[string]*page) {
	h := pages[ghostHome].holds["h-"+ghostRegion+"-lost-1"]
	if h == nil || h.State != "in_doubt" || h.CoreState != "open" || h.CoreHeld != ghostFen {
		b.w.story.fault("the hold of the region that lost its history is %+v, and not in doubt", h)
	}
}

// regionSealer is the Sealer of a region that the simulation plays.
type regionSealer struct {
	suite crypto.Suite
	ring  *keyfile.Ring
}

var _ federation.Sealer = (*regionSealer)(nil)

var errSealer = errors.New("cannot seal or open")

func (s *regionSealer) Hash(parts ...[]byte) [federation.HashSize]byte { return s.suite.Sum(parts...) }

func (s *regionSealer) Sign(message []byte) (string, []byte, error) {
	id, err := s.ring.Current(crypto.UseSign)
	if err != nil {
		return "", nil, err
	}
	signature, err := s.ring.Sign(id, message)
	return id, signature, err
}

func (s *regionSealer) Verify(public, message, signature []byte) error {
	v, err := s.suite.Verifier(crypto.Public(public))
	if err != nil {
		return err
	}
	return v.Verify(message, signature)
}

func (s *regionSealer) Seal(public, content, additional []byte) ([]byte, []byte, error) {
	w, err := s.suite.Wrapper(crypto.Public(public))
	if err != nil {
		return nil, nil, err
	}
	key := bytes.Repeat([]byte{0x42}, crypto.KeySize)
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, nil, err
	}
	wrapped, err := w.Wrap(key)
	return wrapped, aead.Seal(nil, make([]byte, crypto.NonceSize), content, additional), err
}

func (s *regionSealer) Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error) {
	key, err := s.ring.Unwrap(keyID, wrapped)
	if err != nil || len(key) != crypto.KeySize {
		return nil, errSealer
	}
	aead, err := s.suite.AEAD(key)
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, make([]byte, crypto.NonceSize), sealed, additional)
}
