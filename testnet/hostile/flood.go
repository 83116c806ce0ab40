package hostile

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/federation"
)

// FloodPlan says how a member floods.
type FloodPlan struct {
	Rate    int           `json:"rate"`      // records a second on each lane, by the clock
	Length  time.Duration `json:"length_ns"` // for which fresh parcels are made before it begins
	Kinds   []string      `json:"kinds"`     // of FloodKinds, in turn; none are all
	Regions []string      `json:"regions"`   // whose lanes are flooded
}

// Flooded is what a flood was.
type Flooded struct {
	Records map[federation.Region]int64 `json:"records"` // by the region that was flooded
	Bytes   int64                       `json:"bytes"`
	Seconds float64                     `json:"seconds"`
}

// Kinds of records of a flood. The first three can be sent as often as one likes, the others are made anew.
const (
	FloodNoise  = "noise"    // is no parcel
	FloodReplay = "replays"  // of a parcel that was taken
	FloodBent   = "bent"     // a good signature over content that does not open: the dearest to refuse
	FloodEmpty  = "empty"    // good parcels that say nothing
	FloodAsk    = "look_ups" // without a credential
	FloodLie    = "captures" // of another's hold: numbered, so each goes through the log
	FloodHold   = "holds"    // of its own, without a ticket: each is kept, and answered
	FloodEnd    = "releases" // of holds of its own that nobody asked for: each is kept, and answered
)

// FloodKinds are all of them.
func FloodKinds() []string {
	return []string{FloodBent, FloodReplay, FloodEmpty, FloodNoise, FloodAsk, FloodLie, FloodHold, FloodEnd}
}

// Sizes of a flood.
const (
	floodEvery  = 100 * time.Millisecond // one write for each lane: the regions are to be measured, not the broker
	noiseSize   = 2048
	perParcel   = 8 // messages of a parcel of look-ups or captures
	poolMax     = 60_000
	putWait     = 5 * time.Second
	floodKindOf = "hostile: a flood has no such kind: "
)

// errFlooding: a second flood.
var errFlooding = errors.New("hostile: a flood is under way")

// flood is one flood under way.
type flood struct {
	stop    context.CancelFunc
	done    chan error
	began   time.Time
	bytes   atomic.Int64
	records map[federation.Region]*atomic.Int64
	pools   []*pool
}

// Flood floods the lanes to the plan's regions until Calm. What must be fresh is made before it begins; when it is used
// up, what can be repeated is sent instead. Numbered lies are made on the links as they stand, so nothing else is said
// meanwhile.
func (x *Fourth) Flood(ctx context.Context, plan FloodPlan) error {
	if x.flood != nil {
		return errFlooding
	}
	if len(plan.Kinds) == 0 {
		plan.Kinds = FloodKinds()
	}
	f := &flood{done: make(chan error, 1), records: map[federation.Region]*atomic.Int64{}}
	for _, r := range plan.Regions {
		to := federation.Region(r)
		p, err := x.pool(to, plan)
		if err != nil {
			return err
		}
		f.pools, f.records[to] = append(f.pools, p), &atomic.Int64{}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // until Calm, whoever asked
	f.stop, f.began = stop, time.Now()
	var group errgroup.Group
	for _, p := range f.pools {
		group.Go(func() error { return x.pour(ctx, f, p, plan.Rate) })
	}
	go func() { f.done <- group.Wait() }() // Calm takes it
	x.flood = f
	return nil
}

// Calm ends a flood.
func (x *Fourth) Calm(context.Context) (Flooded, error) { return x.calm() }

func (x *Fourth) calm() (Flooded, error) {
	f := x.flood
	if f == nil {
		return Flooded{}, nil
	}
	x.flood = nil
	f.stop()
	err := <-f.done
	for _, p := range f.pools {
		x.Said[p.to] = p.said() // what was made and not sent was never said
	}
	out := Flooded{
		Records: map[federation.Region]int64{}, Bytes: f.bytes.Load(), Seconds: time.Since(f.began).Seconds(),
	}
	for to, n := range f.records {
		out.Records[to] = n.Load()
	}
	return out, err
}

// pool is what is sent to one region, in order; behind its end comes what can be repeated.
type pool struct {
	to      federation.Region
	records [][]byte
	links   []federation.Out // how far the link is with each record and those before it
	again   [][]byte
	at      int
	begin   federation.Out
}

// said is how far the link is with what was sent.
func (p *pool) said() federation.Out {
	if p.at == 0 || len(p.links) == 0 {
		return p.begin
	}
	return p.links[min(p.at, len(p.links))-1]
}

func (p *pool) next() []byte {
	n := p.at
	p.at++
	if n < len(p.records) {
		return p.records[n]
	}
	return p.again[n%len(p.again)]
}

func (x *Fourth) pool(to federation.Region, plan FloodPlan) (*pool, error) {
	noise := make([]byte, noiseSize)
	_, _ = rand.Read(noise) // never fails
	empty, err := x.Parcel(to)
	if err != nil {
		return nil, err
	}
	who := ClearPerson(x.facts.Pair.Beneficiary)
	sealed, err := x.Parcel(to, x.Message(federation.Query, BodyOf(KindLookUp, nil), who))
	if err != nil {
		return nil, err
	}
	again := map[string][]byte{FloodNoise: noise, FloodReplay: empty, FloodBent: Flip(sealed, len(sealed)-1)}
	p := &pool{to: to, begin: x.Said[to], again: [][]byte{again[FloodBent], empty, noise}}
	for n := range min(int(float64(plan.Rate)*plan.Length.Seconds()), poolMax) {
		record, ok := again[plan.Kinds[n%len(plan.Kinds)]]
		if !ok {
			if record, err = x.fresh(to, plan.Kinds[n%len(plan.Kinds)], who); err != nil {
				return nil, err
			}
		}
		p.records, p.links = append(p.records, record), append(p.links, x.Said[to])
	}
	return p, nil
}

// fresh makes a record of a kind that counts only once.
func (x *Fourth) fresh(to federation.Region, kind string, who []byte) ([]byte, error) {
	var messages []federation.Message
	for range perParcel {
		switch kind {
		case FloodAsk:
			messages = append(messages, x.Message(federation.Query, BodyOf(KindLookUp, Record(Fields{
				1: x.NewID("p"), 2: int64(FenAsked), 3: int64(FenAsked), 5: "none", 9: time.Now().Add(time.Hour).UnixMicro(),
			})), who))
		case FloodLie:
			messages = append(messages, x.Numbered(to, BodyOf(KindCapture, Record(Fields{
				1: x.facts.Open.Hold, 2: x.facts.Open.Payment, 3: x.NewID("a"), 4: int64(FenAsked),
			})), nil))
		case FloodHold:
			messages = append(messages, x.Numbered(to, x.NewHold(x.facts.Grant, nil).Body(), who))
		case FloodEnd:
			messages = append(messages, x.Numbered(to, BodyOf(KindRelease, Record(Fields{
				1: x.NewID("h"), 2: x.NewID("p"), 3: x.NewID("a"),
			})), nil))
		case FloodEmpty:
		default:
			return nil, errors.New(floodKindOf + kind)
		}
	}
	return x.Parcel(to, messages...)
}

// pour writes what is due, until ctx ends. It never catches up more than it could have written.
func (x *Fourth) pour(ctx context.Context, f *flood, p *pool, rate int) error {
	tick := time.NewTicker(floodEvery)
	defer tick.Stop()
	sent := int64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		due := int64(time.Since(f.began).Seconds()*float64(rate)) - sent
		due = min(due, int64(rate)) // a second's worth
		if due < 1 {
			continue
		}
		batch := make([][]byte, due)
		for i := range batch {
			batch[i] = p.next()
			f.bytes.Add(int64(len(batch[i])))
		}
		// A record that was begun is written: what is counted here is held against what the regions read.
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), putWait)
		_, err := x.Bus.Put(within, x.Lane(p.to), batch...)
		cancel()
		if err != nil {
			return err
		}
		sent += due
		f.records[p.to].Add(due)
	}
}
