// Package secondopinion puts some signatures to a second engine. One library refused valid
// signatures for years through a carry fault; two independent engines would have shown it on the
// first day.
//
// The chosen engine alone decides what is valid. A signature of a known member that it refuses, and
// a sample of those it accepts, are also put to the other engine. When the two disagree, nobody
// knows who is wrong: the disagreement is counted, logged, kept with its bytes, and reported as
// ErrDisagreement, so that the caller neither applies the message nor refuses it for good, but
// leaves it unacknowledged. The second engine never lets a message in.
//
// The bounds: at most one opinion for each peer in an interval and one at a time in all (a guarded
// verification costs the other engine two milliseconds), so that forged signatures buy no work.
// What finds no free place gets the chosen engine's verdict and is counted; links resend, so that a
// wrong refusal comes again.
package secondopinion

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/crypto"
)

// Errors.
var (
	// ErrDisagreement: the engines do not agree on this signature. The message is neither applied
	// nor acknowledged.
	ErrDisagreement = errors.New("crypto: engines disagree on a signature")
	// ErrConfig: an engine, the clock or the logger is missing, or a number is out of bounds.
	ErrConfig = errors.New("secondopinion: bad configuration")
)

// Defaults and bounds.
const (
	// IntervalDefault is the time between two opinions for one peer.
	IntervalDefault = time.Second
	// SampleDefault has one of so many accepted signatures asked about.
	SampleDefault = 64
	// PeersMax bounds the keys that are kept ready; the one unused for longest gives way.
	PeersMax = 2048
	// RememberedMax bounds the disagreements that are remembered; the oldest gives way.
	RememberedMax = 1024
	// KeptMax bounds the disagreements that one process hands to its sink.
	KeptMax = 256
	// MessageMax bounds the message that is kept with a disagreement, in bytes; of a longer one
	// only the digest is.
	MessageMax = 64 << 10
)

// Disagreement is what the engines do not agree on.
type Disagreement struct {
	Time          time.Time
	Peer          string
	Public        crypto.Public
	Digest        [crypto.HashSize]byte // SM3 of the message
	Message       []byte                // nil when it is longer than MessageMax
	Signature     []byte
	Chosen, Other string // the engines
	ChosenAccepts bool
}

// Sink keeps disagreements for people to look at. It may block for the time of a file write.
type Sink interface {
	Keep(found Disagreement) error
}

// Config is what an Opinion needs.
type Config struct {
	Chosen, Other crypto.Suite
	Now           func() time.Time
	Logger        *slog.Logger
	Registerer    prometheus.Registerer // nil: counted nowhere
	Sink          Sink                  // nil: kept nowhere
	Interval      time.Duration         // 0: IntervalDefault
	Sample        int                   // 0: SampleDefault; below 0: accepted signatures are not asked about
}

// Opinion verifies with two engines. Safe for concurrent use.
type Opinion struct {
	config  Config
	metrics *metrics
	busy    sync.Mutex // held while the other engine works

	mu         sync.Mutex
	peers      map[string]*peer // by public key
	age        uint64           // counts uses of peers
	remembered map[[crypto.HashSize]byte]struct{}
	order      [][crypto.HashSize]byte // of remembered, oldest first
	kept       int
}

// peer is one public key with both engines. The second one is made when it is first needed.
type peer struct {
	name   string
	public crypto.Public
	chosen crypto.Verifier

	// Guarded by Opinion.mu.
	used     uint64
	accepted int
	asked    time.Time
	ever     bool
}

// New checks config. It starts nothing.
func New(config Config) (*Opinion, error) {
	if config.Chosen == nil || config.Other == nil || config.Now == nil || config.Logger == nil || config.Interval < 0 {
		return nil, ErrConfig
	}
	if config.Interval == 0 {
		config.Interval = IntervalDefault
	}
	if config.Sample == 0 {
		config.Sample = SampleDefault
	}
	counters, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, err
	}
	return &Opinion{
		config:     config,
		metrics:    counters,
		peers:      make(map[string]*peer),
		remembered: make(map[[crypto.HashSize]byte]struct{}),
	}, nil
}

// Verifier is a crypto.Verifier of one peer.
type Verifier struct {
	opinion *Opinion
	peer    *peer
}

var _ crypto.Verifier = (*Verifier)(nil)

// Verifier returns the verifier of a known member's key. peer names it in logs and limits. Errors:
// crypto.ErrKey.
func (o *Opinion) Verifier(name string, public crypto.Public) (*Verifier, error) {
	p, err := o.newPeer(name, public)
	if err != nil {
		return nil, err
	}
	return &Verifier{opinion: o, peer: p}, nil
}

// Verify returns nil, crypto.ErrSignature or ErrDisagreement.
func (v *Verifier) Verify(message, sig []byte) error { return v.opinion.verify(v.peer, message, sig) }

// Verify is for callers that have a public key and no place to keep a Verifier, as a
// federation.Sealer. public is of a known member: another one would push members out of what is
// kept ready. Errors: nil, crypto.ErrKey, crypto.ErrSignature, ErrDisagreement.
func (o *Opinion) Verify(public crypto.Public, message, sig []byte) error {
	p, err := o.find(public)
	if err != nil {
		return err
	}
	return o.verify(p, message, sig)
}

func (o *Opinion) newPeer(name string, public crypto.Public) (*peer, error) {
	chosen, err := o.config.Chosen.Verifier(public)
	if err != nil {
		return nil, crypto.ErrKey
	}
	return &peer{name: name, public: append(crypto.Public(nil), public...), chosen: chosen}, nil
}

// nameBytes is how much of a public key names a peer that has no name.
const nameBytes = 8

func (o *Opinion) find(public crypto.Public) (*peer, error) {
	o.mu.Lock()
	o.age++
	age := o.age
	p, ok := o.peers[string(public)]
	if ok {
		p.used = age
	}
	o.mu.Unlock()
	if ok {
		return p, nil
	}
	if len(public) != crypto.PublicSize {
		return nil, crypto.ErrKey
	}
	made, err := o.newPeer(hex.EncodeToString(public[1:1+nameBytes]), public)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if p, ok = o.peers[string(public)]; ok {
		return p, nil
	}
	made.used = age
	if len(o.peers) >= PeersMax {
		o.forgetPeer()
	}
	o.peers[string(public)] = made
	return made, nil
}

// forgetPeer drops the peer that was unused for longest. The caller holds mu.
func (o *Opinion) forgetPeer() {
	oldest, least := "", uint64(0)
	for name, p := range o.peers {
		if oldest == "" || p.used < least {
			oldest, least = name, p.used
		}
	}
	delete(o.peers, oldest)
}

func (o *Opinion) verify(p *peer, message, sig []byte) error {
	verdict := p.chosen.Verify(message, sig)
	accepts := verdict == nil
	if o.known(p, message, sig) {
		return ErrDisagreement
	}
	if !o.due(p, accepts) {
		return verdict
	}
	if !o.busy.TryLock() {
		o.metrics.skipped.Inc()
		return verdict
	}
	defer o.busy.Unlock()
	o.metrics.asked.Inc()
	other, err := o.config.Other.Verifier(p.public)
	if err != nil {
		// The chosen engine took the key: this too is a disagreement.
		return o.disagree(p, message, sig, accepts)
	}
	if (other.Verify(message, sig) == nil) != accepts {
		return o.disagree(p, message, sig, accepts)
	}
	return verdict
}

// due decides whether a second opinion is wanted now, and notes it if so.
func (o *Opinion) due(p *peer, accepts bool) bool {
	now := o.config.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if accepts {
		if o.config.Sample < 0 {
			return false
		}
		p.accepted++
		if p.accepted < o.config.Sample {
			return false
		}
	}
	if p.ever && now.Sub(p.asked) < o.config.Interval && !now.Before(p.asked) {
		if !accepts {
			o.metrics.skipped.Inc()
		}
		return false
	}
	p.asked, p.ever = now, true
	if accepts {
		p.accepted = 0
	}
	return true
}

// known reports a disagreement that was found before: its repeat within the interval must not slip
// through.
func (o *Opinion) known(p *peer, message, sig []byte) bool {
	o.mu.Lock()
	none := len(o.remembered) == 0
	o.mu.Unlock()
	if none {
		return false
	}
	id := o.identify(p, message, sig)
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.remembered[id]
	return ok
}

// identify binds key, signature and message. Both lengths in front are fixed, the signature's by
// its digest.
func (o *Opinion) identify(p *peer, message, sig []byte) [crypto.HashSize]byte {
	of := o.config.Chosen.Sum(sig)
	return o.config.Chosen.Sum(p.public, of[:], message)
}

func (o *Opinion) disagree(p *peer, message, sig []byte, accepts bool) error {
	found := Disagreement{
		Time:          o.config.Now(),
		Peer:          p.name,
		Public:        p.public,
		Digest:        o.config.Chosen.Sum(message),
		Signature:     append([]byte(nil), sig[:min(len(sig), crypto.SigMax)]...),
		Chosen:        o.config.Chosen.Name(),
		Other:         o.config.Other.Name(),
		ChosenAccepts: accepts,
	}
	if len(message) <= MessageMax {
		found.Message = append([]byte(nil), message...)
	}
	keep := o.remember(o.identify(p, message, sig))
	o.metrics.disagreements.Inc()
	o.config.Logger.LogAttrs(context.Background(), slog.LevelError, "engines_disagree",
		slog.String("peer", found.Peer),
		slog.String("digest", hex.EncodeToString(found.Digest[:])),
		slog.String("chosen", found.Chosen),
		slog.Bool("chosen_accepts", accepts))
	if !keep || o.config.Sink == nil {
		return ErrDisagreement
	}
	err := o.config.Sink.Keep(found)
	if err != nil {
		o.metrics.lost.Inc()
		o.config.Logger.LogAttrs(context.Background(), slog.LevelError, "disagreement_not_kept",
			slog.String("peer", found.Peer), slog.String("error", err.Error()))
	}
	return ErrDisagreement
}

// remember notes a disagreement and reports whether it may be handed to the sink.
func (o *Opinion) remember(id [crypto.HashSize]byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.order) >= RememberedMax {
		delete(o.remembered, o.order[0])
		o.order = append(o.order[:0], o.order[1:]...)
	}
	o.remembered[id] = struct{}{}
	o.order = append(o.order, id)
	if o.kept >= KeptMax {
		o.metrics.lost.Inc()
		return false
	}
	o.kept++
	return true
}
