// Package runner starts the testnet's federation and keeps it: the embedded broker, and nine gateway nodes, in this
// process or each in its own. It is the only part of the testnet that wires nodes; everything else asks them.
//
// Order of the start: data folder, broker, nodes. A node that runs as a process of its own and dies is started
// again after a pause, so that whoever kills one sees it come back; session.json tells its new pid. Order of the
// end: nodes, then the broker, so that nobody is left calling.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/testnet/broker"
	"gongji/testnet/topology"
)

// Times of a start and an end.
const (
	readyWait  = 90 * time.Second // from the nodes' start until all are ready
	readyPause = 50 * time.Millisecond
	readyAsk   = 2 * time.Second
	statusMax  = 1 << 20          // bytes of a node's status
	portsWait  = 10 * time.Second // what was killed a moment ago may still hold its ports
	portsPause = 200 * time.Millisecond
	stopWait   = 10 * time.Second // a process that does not end by then is killed
)

// Errors of a start.
var (
	// ErrRunning: a federation is running in that folder or on those ports.
	ErrRunning = errors.New("runner: a testnet is running there already")
	// ErrNotReady: some node did not become ready.
	ErrNotReady = errors.New("runner: not ready in time")
)

// Options says what is started.
type Options struct {
	Dir       string
	Continue  bool // a federation in Dir goes on; else a new one is made
	Plan      topology.Plan
	Processes bool      // each node its own process
	Progress  io.Writer // of the start, for people
	Self      string    // this program, for Processes
}

// Federation is a running federation.
type Federation struct {
	o     Options
	plan  topology.Plan
	ready chan struct{}

	mu   sync.Mutex
	pids map[string]int
}

// New makes a federation that Run starts.
func New(o Options) *Federation {
	return &Federation{o: o, ready: make(chan struct{}), pids: map[string]int{}}
}

// Ready is closed when every node is ready and session.json tells of them.
func (f *Federation) Ready() <-chan struct{} { return f.ready }

// Run prepares the folder, starts everything and keeps it until ctx ends; then it stops everything and returns nil.
// It is called once. Errors: ErrRunning, ErrNotReady, those of topology, a node's in this process.
func (f *Federation) Run(ctx context.Context) error {
	if err := f.prepare(ctx); err != nil {
		return err
	}
	undo := f.shareMemory()
	defer undo()
	// Nodes and broker have contexts of their own, which end one after the other.
	outer, stopBroker := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBroker()
	bus, broken := errgroup.WithContext(outer)
	if f.plan.Kafka == "" {
		if err := f.startBroker(bus, broken); err != nil {
			return err
		}
	} else if err := broker.CreateTopics(ctx, f.plan.Kafka, topology.Topics()); err != nil {
		return err
	}
	inner, stopNodes := context.WithCancel(ctx)
	defer stopNodes()
	context.AfterFunc(broken, stopNodes)
	err := f.nodes(inner)
	stopBroker()
	return errors.Join(err, bus.Wait())
}

// prepare makes or checks the data folder, and sees that the ports are free.
func (f *Federation) prepare(ctx context.Context) error {
	if err := f.alone(ctx); err != nil {
		return err
	}
	plan, ok, err := topology.Prepared(f.o.Dir)
	if err != nil && f.o.Continue {
		return err
	}
	f.plan = f.o.Plan
	if ok && f.o.Continue && topology.Complete(f.o.Dir) {
		if err := f.goOn(plan); err != nil {
			return err
		}
	} else if err := f.makeNew(); err != nil {
		return err
	}
	return freePorts(ctx, f.plan)
}

// goOn takes the plan that the folder was made by: its addresses stand in the nodes' logs.
func (f *Federation) goOn(made topology.Plan) error {
	asked := f.o.Plan
	if asked.BasePort != 0 && asked.BasePort != made.BasePort || asked.Kafka != "" && asked.Kafka != made.Kafka {
		return fmt.Errorf("%w: it has base port %d and kafka %q", topology.ErrOther, made.BasePort, made.Kafka)
	}
	f.plan = made
	return f.say("Going on with the federation in %s.", f.o.Dir)
}

func (f *Federation) makeNew() error {
	if f.plan.BasePort == 0 {
		f.plan.BasePort = topology.BasePort
	}
	if err := f.plan.Validate(); err != nil {
		return err
	}
	if err := f.say("Making a new federation in %s: keys, certificates, directory, people.", f.o.Dir); err != nil {
		return err
	}
	if err := topology.Clear(f.o.Dir); err != nil {
		return err
	}
	return topology.Make(f.o.Dir, f.plan, time.Now())
}

// alone refuses a folder whose federation is running: to empty it would break what runs.
func (f *Federation) alone(ctx context.Context) error {
	session, err := topology.ReadSession(f.o.Dir)
	if err != nil {
		return nil //nolint:nilerr // no session: nobody runs here
	}
	for _, r := range session.Regions {
		for _, n := range r.Nodes {
			if status, err := get(ctx, n.API+"/healthz"); err == nil && status == http.StatusOK {
				return fmt.Errorf("%w: node %s of %s answers", ErrRunning, n.ID, f.o.Dir)
			}
		}
	}
	return nil
}

// freePorts waits until every port can be listened on.
func freePorts(ctx context.Context, plan topology.Plan) error {
	var addresses []string
	if plan.Kafka == "" {
		addresses = append(addresses, plan.Brokers()...)
	}
	for _, n := range plan.Nodes() {
		addresses = append(addresses, n.API, n.Admin, n.Peer)
	}
	ctx, cancel := context.WithTimeout(ctx, portsWait)
	defer cancel()
	for _, address := range addresses {
		for {
			err := listenOnce(ctx, address)
			if err == nil {
				break
			}
			if !pause(ctx, portsPause) {
				return fmt.Errorf("%w: port of %s is taken (%w); try --base-port", ErrRunning, address, err)
			}
		}
	}
	return nil
}

func listenOnce(ctx context.Context, address string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func (f *Federation) startBroker(group *errgroup.Group, ctx context.Context) error { //nolint:revive // the group's own
	b := broker.New(broker.Config{
		Dir: topology.Layout{Dir: f.o.Dir}.Broker(), Addr: f.plan.Brokers()[0], Topics: topology.Topics(),
	})
	group.Go(func() error { return b.Run(ctx) })
	select {
	case <-b.Ready():
		return f.say("Kafka (embedded) listens on %s.", f.plan.Brokers()[0])
	case <-ctx.Done():
		return group.Wait()
	}
}

// nodes starts all nodes and keeps them until ctx ends.
func (f *Federation) nodes(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, n := range f.plan.Nodes() {
		group.Go(func() error {
			if f.o.Processes {
				return f.supervise(ctx, n)
			}
			return f.runHere(ctx, n)
		})
	}
	group.Go(func() error {
		err := f.becomeReady(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the end came first, and its reason is told by whoever ended
		}
		return err
	})
	return group.Wait()
}

// becomeReady waits for every node and tells of each.
func (f *Federation) becomeReady(ctx context.Context) error {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for _, r := range topology.Regions() {
		for _, n := range f.plan.Nodes() {
			if n.Region != r.Code {
				continue
			}
			if err := untilReady(ctx, n); err != nil {
				return err
			}
		}
		err := f.say("%s %s %s: %d nodes ready after %.1f s.", r.Code, r.NameZH, r.Name, topology.NodesPerRegion,
			time.Since(start).Seconds())
		if err != nil {
			return err
		}
	}
	for _, r := range topology.Regions() {
		if err := f.untilHeard(ctx, r.Code); err != nil {
			return err
		}
	}
	if err := f.say("All regions hear each other."); err != nil {
		return err
	}
	if err := f.writeSession(); err != nil {
		return err
	}
	close(f.ready)
	return nil
}

// untilHeard waits until the region's leader hears every other region: before that it refuses payments that need one.
func (f *Federation) untilHeard(ctx context.Context, code string) error {
	for {
		for _, n := range f.plan.Nodes() {
			if n.Region == code && hearsAll(ctx, n) {
				return nil
			}
		}
		if !pause(ctx, readyPause) {
			return fmt.Errorf("%w: region %s does not hear the others", ErrNotReady, code)
		}
	}
}

// hearsAll asks one node; only a leader hears anybody.
func hearsAll(ctx context.Context, n topology.Node) bool {
	ctx, cancel := context.WithTimeout(ctx, readyAsk)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.AdminURL()+"/admin/v1/status", nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	var status struct {
		Peers []struct {
			Region    string    `json:"region"`
			Reachable bool      `json:"reachable"`
			Heard     time.Time `json:"heard"` // a new leader takes everybody for reachable before it has heard anybody
		} `json:"peers"`
	}
	err = errors.Join(json.NewDecoder(io.LimitReader(answer.Body, statusMax)).Decode(&status), answer.Body.Close())
	heard := 0
	for _, p := range status.Peers {
		if p.Region == topology.Fourth {
			continue // it has no nodes
		}
		if !p.Reachable || p.Heard.IsZero() {
			return false
		}
		heard++
	}
	return err == nil && heard == len(topology.Regions())-1
}

func untilReady(ctx context.Context, n topology.Node) error {
	for {
		status, err := get(ctx, n.APIURL()+"/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		if !pause(ctx, readyPause) {
			return fmt.Errorf("%w: node %s (status %d, %w); see its log", ErrNotReady, n.ID, status, err)
		}
	}
}

func get(ctx context.Context, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readyAsk)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

func (f *Federation) writeSession() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	session := topology.NewSession(f.plan, func(node string) int { return f.pids[node] })
	return session.Write(topology.Layout{Dir: f.o.Dir}.Session())
}

func (f *Federation) say(format string, args ...any) error {
	_, err := fmt.Fprintf(f.o.Progress, format+"\n", args...)
	return err
}

// pause waits, and reports whether ctx still stands.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
