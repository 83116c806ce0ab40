package golden

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	amounts "gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// opening is the moment at which a situation begins unless it says otherwise.
const opening = "2026-11-20T10:00:00"

// someone is a person of a situation.
type someone struct {
	regiontest.Person

	called string
}

// world is the federation of one situation.
type world struct {
	t     *testing.T
	ahead atomic.Int64 // nanoseconds that the federation's clock is ahead of the bubble's

	config  regiontest.Config
	before  []func(federation.Region, *policy.Rules) // changes of the rules before the world begins
	pairs   []func(*federation.DirectoryData)
	cores   map[federation.Region]*adaptertest.SimCore
	fed     *regiontest.Federation // nil before the world has begun
	faces   map[federation.Region]*api.Face
	people  map[string]*someone
	order   []string // of people
	names   *names
	counter int  // of requests, visits and bills
	last    sent // the last write
	version uint64
}

// Play plays a situation from its beginning to its end and notes the answers. It must be called inside a bubble of
// testing/synctest. A command that the runner cannot understand ends the situation with an ErrScript.
func Play(t *testing.T, s *Situation) error {
	w := &world{
		t: t, cores: map[federation.Region]*adaptertest.SimCore{}, faces: map[federation.Region]*api.Face{},
		people: map[string]*someone{}, names: newNames(), version: 1,
	}
	if err := w.setClock(opening); err != nil {
		return err
	}
	for _, c := range s.Commands {
		<-time.After(time.Millisecond) // nobody asks two things at the same instant
		lines, err := w.do(c.Text)
		if err != nil {
			return fmt.Errorf("line %d: > %s: %w", c.Line, c.Text, err)
		}
		c.Got, c.Done = lines, true
	}
	return w.clean()
}

// now is the federation's time.
func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

// beijing is the time zone of every time in a scenario.
func beijing() *time.Location { return time.FixedZone("", 8*60*60) }

const clockForm = "2006-01-02T15:04:05"

func (w *world) setClock(text string) error {
	at, err := time.ParseInLocation(clockForm, text, beijing())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrScript, err)
	}
	return w.jump(at)
}

// lead is what of a long wait is lived through: everything that is due by then happens before it ends.
const lead = 3 * time.Second

// jump lets the clock show at. A long way is a jump of every clock, and its last seconds are lived through: a day of
// heartbeats costs a minute even in virtual time.
func (w *world) jump(at time.Time) error {
	way := at.Sub(w.now())
	if way < 0 && w.fed != nil {
		return fmt.Errorf("%w: the clock does not go back", ErrScript)
	}
	if w.fed == nil {
		w.ahead.Add(int64(way))
		return nil
	}
	const lived = time.Minute
	if way > lived {
		w.ahead.Add(int64(way - lead))
		way = lead
	}
	synctest.Wait()
	<-time.After(way)
	synctest.Wait()
	return nil
}

// region finds a region that runs, and begins the world if it has not begun.
func (w *world) region(code string) (*regiontest.Region, error) {
	if err := w.begin(); err != nil {
		return nil, err
	}
	r := w.fed.Regions[federation.Region(code)]
	if r == nil {
		return nil, fmt.Errorf("%w: no region %q", ErrScript, code)
	}
	return r, nil
}

// begin makes and starts the federation.
func (w *world) begin() error {
	if w.fed != nil {
		return nil
	}
	w.ahead.Add(-int64(joined)) // the story begins when everything runs
	w.config.Clock = w.now
	w.config.Cores = map[federation.Region]adapters.Core{}
	for code, core := range w.cores {
		w.config.Cores[code] = core
	}
	w.config.Rules = func(code federation.Region, r *policy.Rules) {
		for _, change := range w.before {
			change(code, r)
		}
	}
	w.config.Directory = func(d *federation.DirectoryData) {
		for _, change := range w.pairs {
			change(d)
		}
	}
	fed, err := regiontest.New(w.config)
	if err != nil {
		return err
	}
	fed.Start(w.t)
	for _, code := range slices.Sorted(maps.Keys(fed.Regions)) {
		r := fed.Regions[code]
		face, err := api.New(api.Deps{
			Region: string(code), Desk: r.Desk, Log: r.Log, Hasher: emm.New(), UnsignedAllowed: true, Clock: w.now,
			Logger: r.Logger(), Metrics: r.Registry, Gatherer: r.Registry,
		})
		if err != nil {
			return err
		}
		w.faces[code] = face
	}
	w.fed = fed
	synctest.Wait()
	<-time.After(joined)
	synctest.Wait()
	return nil
}

// joined: every leader has joined its peers by then.
const joined = 1200 * time.Millisecond

// errNode: a node logged an error, or somebody's identity.
var errNode = errors.New("golden: a node's log")

// cutLane is what a node rightly logs as an error while a situation has its bus cut.
const cutLane = "the bus takes no parcel"

// clean looks through what the nodes have logged: no error, and nobody's number or name.
func (w *world) clean() error {
	if w.fed == nil {
		return nil
	}
	for _, code := range slices.Sorted(maps.Keys(w.fed.Regions)) {
		text := w.fed.Regions[code].Output.String()
		for line := range strings.SplitSeq(text, "\n") {
			if strings.Contains(line, `"level":"ERROR"`) && !strings.Contains(line, cutLane) {
				return fmt.Errorf("%w: %s: %s", errNode, code, line)
			}
		}
		for _, p := range w.people {
			if strings.Contains(text, p.IDNumber) || strings.Contains(text, p.Name) {
				return fmt.Errorf("%w: %s names %s", errNode, code, p.called)
			}
		}
	}
	return nil
}

// person finds a person by the name that the situation gave.
func (w *world) person(called string) (*someone, error) {
	p := w.people[called]
	if p == nil {
		return nil, fmt.Errorf("%w: nobody is called %q", ErrScript, called)
	}
	return p, nil
}

// open makes a person known to the home region, or changes what it knows.
func (w *world) open(ctx context.Context, p *someone) error {
	r, err := w.region(p.Region)
	if err != nil {
		return err
	}
	if core := w.cores[r.Code]; core != nil {
		core.AddPerson(adapters.Person{IDType: p.IDType, Number: p.IDNumber, Name: p.Name}, adapters.Account{
			Scheme: p.Facts.Scheme, Status: p.Facts.Status, Balance: int64(p.Facts.Balance),
			Year: policy.Year(w.now()), Opening: int64(p.Facts.Opening),
		})
		return nil
	}
	return r.Open(ctx, p.Person)
}

// kept is what the keeper of a person's money says.
type kept struct {
	known                 bool
	balance, held, opened string // yuan; opened is the opening balance of the year
	scheme, status        int
}

func keptOf(a adapters.Account, known bool) kept {
	yuan := func(fen int64) string { return amounts.Amount(fen).String() }
	return kept{known, yuan(a.Balance), yuan(a.Held), yuan(a.Opening), a.Scheme, a.Status}
}

// account asks the keeper of a person's money.
func (w *world) account(p *someone) (kept, error) {
	r, err := w.region(p.Region)
	if err != nil {
		return kept{}, err
	}
	if core := w.cores[r.Code]; core != nil {
		for _, a := range core.Accounts() {
			if a.Person.Number == p.IDNumber {
				return keptOf(a.Account, true), nil
			}
		}
		return kept{}, nil
	}
	who, err := r.Vault.Tokens(p.Identity())
	if err != nil {
		return kept{}, err
	}
	var m kept
	err = r.View(func(v ledger.View) error {
		found, failed := v.Find(who)
		if failed != nil {
			return failed
		}
		f, known, failed := v.Account(found.No)
		m = keptOf(adapters.Account{
			Scheme: f.Scheme, Status: f.Status, Balance: int64(f.Balance), Held: int64(f.Held), Opening: int64(f.Opening),
		}, known)
		return failed
	})
	return m, err
}
