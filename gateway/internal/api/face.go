package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/consensus"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// Deps is what a Face is made of.
type Deps struct {
	Region    string // the region that this gateway speaks for
	Desk      Desk
	Log       consensus.Log
	Addresses map[string]string // the API address of each node of the region, by node id
	Hasher    Hasher            // SM3
	// Keys tells what is in force of a key; nil for an unknown one. What it points to is never changed. nil: no key is
	// known.
	Keys            func(id string) *Platform
	Attempt         func() uint64 // random, no secret; nil: the system's
	UnsignedAllowed bool          // only where the API listens on loopback
	// Audit notes refusals of callers; nil: nobody. No identity and nothing of a request's body stands in it.
	Audit    func(event string, attrs ...slog.Attr)
	Clock    func() time.Time
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
	Gatherer prometheus.Gatherer // what /metrics shows
	// National is what the region speaks the national mobile-payment convention with; nil: it does not.
	National *NationalKeys
	// ConcurrentMax bounds the requests that are worked on at a time, 0 for ConcurrentStandard. More are rate_limited.
	ConcurrentMax int
}

// ConcurrentStandard is far above what keeps a group busy (a thousand requests that wait for their entry), and
// keeps the bodies in memory below 300 MB.
const ConcurrentStandard = 4096

// errDeps: something that the face needs is missing.
var errDeps = errors.New("api: incomplete dependencies")

// Face serves the API of one node. Make it with New; it starts no goroutine. Safe for concurrent use.
type Face struct {
	region    string
	desk      Desk
	log       consensus.Log
	addresses map[string]string
	hash      Hasher
	auth      *auth
	note      func(event string, attrs ...slog.Attr)
	clock     func() time.Time
	logger    *slog.Logger
	metrics   *metrics
	slots     chan struct{}
	mux       *http.ServeMux
	byPattern map[string]*operation
	byID      map[string]*operation

	nationalKeys *NationalKeys
}

var _ http.Handler = (*Face)(nil)

// New makes the face. Its Handler is to be given to the Log, so that the other nodes find it.
func New(d Deps) (*Face, error) {
	if d.Desk == nil || d.Log == nil || d.Hasher == nil || d.Clock == nil || d.Logger == nil ||
		d.Metrics == nil || d.Gatherer == nil || !person.ValidRegion(d.Region) {
		return nil, errDeps
	}
	m, err := newMetrics(d.Metrics)
	if err != nil {
		return nil, err
	}
	if d.Keys == nil {
		d.Keys = func(string) *Platform { return nil }
	}
	if d.Attempt == nil {
		d.Attempt = rand.Uint64
	}
	if d.ConcurrentMax <= 0 {
		d.ConcurrentMax = ConcurrentStandard
	}
	f := &Face{
		region: d.Region, desk: d.Desk, log: d.Log, addresses: d.Addresses, hash: d.Hasher, auth: newAuth(d), clock: d.Clock,
		logger: d.Logger, metrics: m, note: d.Audit, slots: make(chan struct{}, d.ConcurrentMax),
		mux: http.NewServeMux(), byPattern: map[string]*operation{}, byID: map[string]*operation{},
		nationalKeys: d.National,
	}
	f.route(d.Gatherer)
	l, _ := d.Log.Leadership()
	f.auth.term.see(l, d.Clock())
	return f, nil
}

// route fills the mux: the operations, the service paths, and what is neither.
func (f *Face) route(gatherer prometheus.Gatherer) {
	for _, op := range operations() {
		f.byPattern[op.pattern()], f.byID[op.ID] = &op, &op
		f.mux.HandleFunc(op.pattern(), func(w http.ResponseWriter, r *http.Request) {
			f.send(w, f.serve(r, &op))
		})
	}
	f.mux.HandleFunc(nationalPattern, func(w http.ResponseWriter, r *http.Request) {
		op, ok := f.asked(r, nationalPattern)
		if !ok {
			f.send(w, f.unknownPath())
			return
		}
		f.send(w, f.serve(r, op))
	})
	f.routeService(gatherer)
	// A wrong method lands here too: it is as unknown as a path.
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { f.send(w, f.unknownPath()) })
}

func (f *Face) unknownPath() answer { return f.refuse(&Error{Code: policy.CodeNotFound}) }

// ServeHTTP serves one request.
func (f *Face) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) != r.URL.Path {
		f.send(w, f.unknownPath()) // the mux would redirect, and nobody is to get used to it
		return
	}
	f.mux.ServeHTTP(w, r)
}

// leader is the API address of the leader, "" while there is none.
func (f *Face) leader() string {
	l, _ := f.log.Leadership()
	return f.addresses[l.LeaderID]
}

// serve answers one operation, here or at the leader.
func (f *Face) serve(r *http.Request, op *operation) answer {
	started := f.clock()
	release, ok := f.enter()
	if !ok {
		a := f.refuseFor(r.Context(), op, &Error{Code: policy.CodeRateLimited})
		f.observe(r.Context(), op, a, started)
		return a
	}
	defer release()
	ctx, cancel := context.WithTimeout(r.Context(), op.longest(r)+forwardSlack)
	defer cancel()
	a := f.dispatch(ctx, r, op)
	f.observe(ctx, op, a, started)
	return a
}

// enter takes a place among the requests that are worked on; release gives it back.
func (f *Face) enter() (func(), bool) {
	select {
	case f.slots <- struct{}{}:
		f.metrics.inFlight.Inc()
		return func() {
			f.metrics.inFlight.Dec()
			<-f.slots
		}, true
	default:
		return nil, false
	}
}

func (f *Face) dispatch(ctx context.Context, r *http.Request, op *operation) answer {
	body, e := readBody(r)
	if e != nil {
		return f.refuseFor(ctx, op, e)
	}
	if l, _ := f.log.Leadership(); l.Leader {
		return f.perform(ctx, op, r, body)
	}
	return f.forward(ctx, op, r, body)
}

// readBody reads at most what the form allows and a byte: what is larger is refused, not read.
func readBody(r *http.Request) ([]byte, *Error) {
	most := bodyMaxOf(r)
	if r.ContentLength > int64(most) {
		return nil, errTooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(most)+1))
	switch {
	case len(body) > most:
		return nil, errTooLarge()
	case err != nil:
		return nil, malformed("", "The body could not be read.", "无法读取请求体。")
	}
	return body, nil
}

// call is one operation under way at the leader.
type call struct {
	r      *http.Request
	caller Caller
	body   []byte
}

// perform answers an operation on the leader. Nothing that a request can carry stops the node: a fault of this
// program is an answer too.
func (f *Face) perform(ctx context.Context, op *operation, r *http.Request, body []byte) answer {
	ctx, cancel := context.WithTimeout(ctx, op.longest(r))
	defer cancel()
	a := f.refuse(refusal(errPanic, op.Write)) // unless carryOut comes to its end
	func() {
		defer func() {
			if recover() != nil {
				// What was thrown may hold what the request held; the stack holds addresses only.
				f.logger.LogAttrs(ctx, slog.LevelError, "panic in a request",
					slog.String("operation", op.ID), slog.String("stack", string(debug.Stack())))
			}
		}()
		a = f.carryOut(ctx, op, r, body)
	}()
	return a
}

// carryOut finds out who is speaking, and then does what is asked.
func (f *Face) carryOut(ctx context.Context, op *operation, r *http.Request, body []byte) answer {
	l, _ := f.log.Leadership()
	f.auth.term.see(l, f.clock())
	if isNational(r) {
		return f.nationalCall(ctx, op, r, body)
	}
	caller, wrong := f.auth.identify(r, body, op.Operation)
	if wrong != nil {
		f.auditClaim(op, wrong)
		return f.refuseFor(ctx, op, wrong.answer())
	}
	return f.answerCall(ctx, op, &call{r: r, caller: caller, body: body})
}

// answerCall does what a known caller asks. A signed request that leaves no command behind leaves its nonce in the log
// by itself: a write that was refused, or had been done before, and a read that is dated ahead.
func (f *Face) answerCall(ctx context.Context, op *operation, c *call) answer {
	if c.caller.Ahead && !op.Write {
		if err := f.desk.Spend(ctx, *c.caller.Signed); err != nil {
			return f.refuseFor(ctx, op, refusal(err, false))
		}
	}
	f.notKept(op, c.caller)
	a, err := op.run(ctx, f, c)
	if c.caller.Signed != nil && op.Write && (err != nil || a.replay) && settled(err) {
		if spent := f.desk.Spend(ctx, *c.caller.Signed); spent != nil {
			err = spent
		}
	}
	if err == nil {
		return a
	}
	refused := refusal(err, op.Write)
	if refused.Code == codeInternal {
		f.logger.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("operation", op.ID), slog.Any("error", err))
	}
	return f.refuseFor(ctx, op, refused)
}

// settled reports whether a write came to an answer: without one, nothing happened that could happen again (no leader),
// or its command is under way and brings its nonce along.
func settled(err error) bool {
	for _, open := range []error{
		consensus.ErrNoLeader, consensus.ErrStopped, consensus.ErrBusy, consensus.ErrUnknown, context.DeadlineExceeded,
		context.Canceled,
	} {
		if errors.Is(err, open) {
			return false
		}
	}
	return true
}

// errPanic stands for a fault of this program.
var errPanic = errors.New("api: panic")

// refuseFor is refuse, with the hotline where making a grant failed.
func (f *Face) refuseFor(ctx context.Context, op *operation, e *Error) answer {
	p := f.problem(e)
	if op.hotline && p.Status >= http.StatusBadRequest && p.Status < http.StatusInternalServerError {
		if rules, err := f.desk.Rules(ctx); err == nil {
			p.Hotline = rules.Hotline
		}
	}
	return f.problemAnswer(p)
}

// Bounds of the server: what a slow or hostile peer may take of a node.
const (
	headerBytesMax    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 75 * time.Second // above the longest operation
	idleTimeout       = 2 * time.Minute
)

// Server makes the HTTP server for those who connect themselves, with its bounds set.
func (f *Face) Server() *http.Server { return f.server(http.HandlerFunc(f.direct)) }

// FrontServer makes the HTTP server for trusted fronts. pins are the KeyDigests of their certificates.
func (f *Face) FrontServer(pins []string) *http.Server { return f.server(f.fronted(pins)) }

func (f *Face) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, MaxHeaderBytes: headerBytesMax, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(f.logger.Handler(), slog.LevelDebug),
	}
}
