package api

import (
	"context"
	_ "embed"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gongji/gateway/internal/policy"
)

// openAPI is the OpenAPI 3.1 document of this package's operations. A test holds it against the running face.
//
//go:embed openapi.json
var openAPI []byte

// readiness is the answer of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"`
	// Warnings are what operators should look at though the node is ready: a directory that ages.
	Warnings []string `json:"warnings"`
}

// routeService adds the paths that every node answers for itself, without a caller's identity.
func (f *Face) routeService(gatherer prometheus.Gatherer) {
	f.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		f.send(w, answer{status: http.StatusOK, kind: documentType, body: []byte("{\"status\":\"ok\"}\n")})
	})
	f.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { f.send(w, f.ready()) })
	f.mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		f.send(w, answer{status: http.StatusOK, kind: documentType, body: openAPI})
	})
	exposed := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	f.mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if leader := f.leader(); leader != "" {
			w.Header().Set(headerLeader, leader)
		}
		exposed.ServeHTTP(w, r)
	})
}

func (f *Face) ready() answer {
	reasons, warnings := f.desk.Ready()
	status := http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	a, err := document(status, readiness{
		Ready: len(reasons) == 0, Reasons: listed(reasons), Warnings: listed(warnings),
	})
	if err != nil {
		return f.refuse(refusal(err, false))
	}
	return a
}

// metrics are what the face counts.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	refused  *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_api_requests_total",
			Help: "Requests by operation, HTTP status and problem code (ok if there was none).",
		}, []string{"operation", "status", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "gongji_api_request_seconds",
			Help:    "How long requests took, the way to the leader included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"operation"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_api_requests_in_flight", Help: "Requests that are worked on now.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_api_refused_total", Help: "Callers that were refused, by reason.",
		}, []string{"reason"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight, m.refused} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observe counts an answer and logs what an operator wants to see. Nothing that the request carried is logged: a
// path or a key id can be anything, a person too.
func (f *Face) observe(ctx context.Context, op *operation, a answer, started time.Time) {
	took := f.clock().Sub(started)
	code := string(a.code)
	if code == "" {
		code = "ok"
	}
	f.metrics.requests.WithLabelValues(op.ID, strconv.Itoa(a.status), code).Inc()
	f.metrics.seconds.WithLabelValues(op.ID).Observe(took.Seconds())
	level := slog.LevelDebug
	switch {
	case a.status >= http.StatusInternalServerError && a.code != policy.CodeNotSupported,
		a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		level = slog.LevelWarn
	}
	f.logger.LogAttrs(ctx, level, "request", slog.String("operation", op.ID), slog.Int("status", a.status),
		slog.String("code", code), slog.Duration("took", took))
}
