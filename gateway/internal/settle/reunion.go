package settle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// reunionEvery is how often a leader looks at links that begin anew.
const reunionEvery = time.Second

// namedMax is how many things one query names.
const namedMax = 100

// Reunion is what an operator sees of a link that has begun anew.
type Reunion struct {
	Since        time.Time `json:"since"`
	Restored     bool      `json:"restored"`       // this side was restored from a backup
	OldOutLast   uint64    `json:"old_out_last"`   // sent in the epoch before
	OldOutAcked  uint64    `json:"old_out_acked"`  // of it, acked by the peer
	OldInApplied uint64    `json:"old_in_applied"` // applied of the peer's epoch before
	Compared     bool      `json:"compared"`
	PeerCompared bool      `json:"peer_compared"`
	Differences  int       `json:"differences"`
	Accepted     bool      `json:"accepted"`
	Ended        time.Time `json:"ended"` // zero: no new holds are agreed yet
}

func reunionOf(link *ledger.LinkRecord) *Reunion {
	r := link.Reunion
	if r == nil {
		return nil
	}
	return &Reunion{
		Since: r.Since, Restored: r.Restored, OldOutLast: r.OldOutLast, OldOutAcked: r.OldOutAcked,
		OldInApplied: r.OldInApplied, Compared: r.Compared, PeerCompared: r.PeerCompared, Differences: r.Found,
		Accepted: r.Accepted, Ended: r.Ended,
	}
}

// NewEpoch is a number for a new epoch, higher than any that was used before, also by what a backup has forgotten: it
// is made of the time.
func (s *Settler) NewEpoch() uint64 { return uint64(max(s.Now().UnixMicro(), 1)) } //nolint:gosec // above zero

// reunions goes on with the comparison of every link that begins anew.
func (t *term) reunions(ctx context.Context) error {
	ticker := time.NewTicker(reunionEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		for _, p := range t.everyPeer() {
			link, err := t.link(p)
			if err != nil {
				return err
			}
			if !link.Reuniting() || link.NewEpoch != 0 {
				continue
			}
			if err := t.compare(ctx, p.region); err != nil && ctx.Err() == nil {
				t.s.Logger.LogAttrs(ctx, slog.LevelInfo, "a link that begins anew is not compared yet",
					slog.String("peer", string(p.region)), slog.String("error", err.Error()))
			}
		}
	}
}

func (t *term) everyPeer() []*peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]*peer, 0, len(t.peers))
	for _, p := range t.peers { // their order does not matter: each is alone
		out = append(out, p)
	}
	return out
}

// errNotYet: the peer has not begun anew with this region yet; its operators have to say so.
var errNotYet = errors.New("settle: the peer goes on with another epoch")

// errOnItsWay: what one side has sent is not applied by the other yet.
var errOnItsWay = errors.New("settle: messages of the new epoch are on their way")

// compare goes through the peer's list and then through this region's own, and names what the two do not know alike. It
// stops where an answer is missing, and goes on from there.
func (t *term) compare(ctx context.Context, peer federation.Region) error {
	for ctx.Err() == nil {
		link, err := t.linkOf(peer)
		if err != nil || !link.Reuniting() {
			return err
		}
		done, err := t.comparePage(ctx, peer, &link)
		if err != nil || done {
			return err
		}
	}
	return nil
}

// comparePage compares one page, and reports whether there is nothing more to do now.
func (t *term) comparePage(ctx context.Context, peer federation.Region, link *ledger.LinkRecord) (bool, error) {
	r := link.Reunion
	c := &ledger.NoteDifferences{Peer: peer, Epoch: link.Out.Epoch, Compared: r.Compared}
	ask := &wirepb.LinkAsk{Numbers: numbersOf(link), List: !r.Listed}
	var mine []ledger.Thing
	next := ""
	if !r.Listed {
		ask.After = r.After
	} else if !r.Compared {
		var err error
		if mine, next, err = t.things(peer, r.After); err != nil {
			return false, err
		}
		ask.Named = namedBy(mine)
	}
	tell, err := t.askLink(ctx, peer, ask)
	if err != nil {
		return false, err
	}
	n := tell.GetNumbers()
	if n.GetInEpoch() != link.Out.Epoch || n.GetOutEpoch() != link.In.Epoch || !n.GetReuniting() && !n.GetCompared() {
		return false, errNotYet
	}
	c.PeerCompared = n.GetCompared()
	patient := t.s.Now().Sub(r.Since) < quietWithin
	if patient && !quiet(link, n) {
		return false, errOnItsWay
	}
	switch {
	case !r.Listed:
		c.Differences, err = t.against(peer, tell.GetThings())
		c.After, c.Listed = tell.GetNext(), tell.GetNext() == ""
	case !r.Compared:
		c.Differences = unlike(mine, tell.GetThings())
		c.After, c.Compared = next, next == ""
	case !c.PeerCompared:
		return true, nil // it is asked again
	}
	if err != nil {
		return false, err
	}
	if patient && len(c.Differences) > 0 {
		after, err := t.linkOf(peer)
		if err != nil {
			return false, err
		}
		if !quiet(&after, n) {
			return false, errOnItsWay
		}
	}
	return r.Compared, t.note(ctx, c)
}

// quietWithin is how long a comparison waits for a link to be quiet. After that it names what it sees: people can tell
// that a message is late, and a link that stays loud must not hide what was lost.
const quietWithin = 5 * time.Minute

// quiet reports that all that either side has sent in the new epochs is applied: what the two have then differs for
// another reason than a message on its way.
func quiet(link *ledger.LinkRecord, peer *wirepb.LinkNumbers) bool {
	return peer.GetInApplied() == link.Out.Last && peer.GetOutLast() == link.In.Applied
}

// note writes down what a page has shown.
func (t *term) note(ctx context.Context, c *ledger.NoteDifferences) error {
	if err := t.propose(ctx, c); err != nil {
		return err
	}
	for i := range c.Differences {
		d := &c.Differences[i]
		t.s.Audit("difference", slog.String("peer", string(c.Peer)), slog.String("kind", d.Kind), slog.String("id", d.ID),
			slog.String("here", d.Here), slog.String("there", d.There))
	}
	return nil
}

func (t *term) linkOf(peer federation.Region) (ledger.LinkRecord, error) {
	var link ledger.LinkRecord
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		link, err = t.s.Ledger.View(r).Link(peer)
		return err
	})
	return link, err
}

func (t *term) things(peer federation.Region, after string) ([]ledger.Thing, string, error) {
	var out []ledger.Thing
	var next string
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		var err error
		out, next, err = t.s.Ledger.View(r).Things(peer, after, t.s.Now())
		return err
	})
	return out, next, err
}

func namedBy(list []ledger.Thing) []*wirepb.LinkThing {
	var out []*wirepb.LinkThing
	for _, x := range list {
		out = append(out, &wirepb.LinkThing{Kind: x.Kind, Id: x.ID})
	}
	return out
}

func (t *term) askLink(ctx context.Context, peer federation.Region, ask *wirepb.LinkAsk) (*wirepb.LinkTell, error) {
	a, err := t.s.Ask(ctx, peer, &wirepb.Body{Kind: &wirepb.Body_LinkAsk{LinkAsk: ask}}, vault.Identity{})
	if err != nil {
		return nil, err
	}
	if a.Body.GetLinkTell() == nil {
		return nil, errQuery
	}
	return a.Body.GetLinkTell(), nil
}

// against holds a page of the peer's things against this region's own.
func (t *term) against(peer federation.Region, list []*wirepb.LinkThing) ([]ledger.Difference, error) {
	var out []ledger.Difference
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		for _, x := range list {
			there := thingOf(x)
			here, err := v.Counterpart(peer, there)
			if err != nil {
				return err
			}
			if d := ledger.Compare(here, &there); d != nil && d.Kind != "" {
				out = append(out, *d)
			}
		}
		return nil
	})
	return out, err
}

// unlike holds what the peer knows of this region's things against them. The peer's words name its own kinds.
func unlike(mine []ledger.Thing, theirs []*wirepb.LinkThing) []ledger.Difference {
	known := map[string]ledger.Thing{}
	for _, x := range theirs {
		known[x.GetId()+" "+x.GetKind()] = thingOf(x)
	}
	var out []ledger.Difference
	for i := range mine {
		var there *ledger.Thing
		for _, kind := range []string{ledger.ThingHold, ledger.ThingLeg, ledger.ThingReturn, ledger.ThingRefundLeg} {
			if x, ok := known[mine[i].ID+" "+kind]; ok && kind != mine[i].Kind {
				there = &x
			}
		}
		if d := ledger.Compare(&mine[i], there); d != nil {
			out = append(out, *d)
		}
	}
	return out
}

// thingOf reads a peer's words; what is too long for a key is cut, and so nobody's.
func thingOf(x *wirepb.LinkThing) ledger.Thing {
	const most = 160
	id, state := x.GetId(), x.GetState()
	return ledger.Thing{
		Kind: x.GetKind(), ID: id[:min(len(id), most)], State: state[:min(len(state), most)],
		Amount: money.Amount(x.GetAmount()),
	}
}

func numbersOf(link *ledger.LinkRecord) *wirepb.LinkNumbers {
	n := &wirepb.LinkNumbers{
		OutEpoch: link.Out.Epoch, InEpoch: link.In.Epoch, Reuniting: link.Reuniting(),
		OutLast: link.Out.Last, InApplied: link.In.Applied,
	}
	if r := link.Reunion; r != nil {
		n.OldOutLast, n.OldOutAcked, n.OldInApplied, n.Compared = r.OldOutLast, r.OldOutAcked, r.OldInApplied, r.Compared
	}
	return n
}

// tellLink answers a peer that asks about the link: what this region has with that peer, and nobody else.
func (t *term) tellLink(from federation.Region, ask *wirepb.LinkAsk) (*wirepb.LinkTell, error) {
	tell := &wirepb.LinkTell{}
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		link, err := v.Link(from)
		if err != nil {
			return err
		}
		tell.Numbers = numbersOf(&link)
		if link.Reunion == nil {
			return nil // nothing is told while the link goes its way
		}
		var list []ledger.Thing
		if ask.GetList() {
			if list, tell.Next, err = v.Things(from, ask.GetAfter(), t.s.Now()); err != nil {
				return err
			}
		}
		for _, x := range ask.GetNamed()[:min(len(ask.GetNamed()), namedMax+100)] {
			there := thingOf(x)
			here, err := v.Counterpart(from, there)
			if err != nil {
				return err
			}
			if here != nil {
				list = append(list, *here)
			}
		}
		for _, x := range list {
			tell.Things = append(tell.Things, &wirepb.LinkThing{
				Kind: x.Kind, Id: x.ID, State: x.State, Amount: x.Amount.Fen(),
			})
		}
		return nil
	})
	return tell, err
}
