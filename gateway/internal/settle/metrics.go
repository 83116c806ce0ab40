package settle

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// Metrics counts the leader's work. It is registered on what is handed in.
type Metrics struct {
	parcels  *prometheus.CounterVec
	messages *prometheus.CounterVec
	refusals *prometheus.CounterVec
	messageR *prometheus.CounterVec
	delays   *prometheus.CounterVec
	delayedS *prometheus.CounterVec
	resends  *prometheus.CounterVec
	rewinds  *prometheus.CounterVec
	repeats  *prometheus.CounterVec
	tickets  *prometheus.CounterVec
	queries  *prometheus.CounterVec
	stages   *prometheus.CounterVec
	stops    *prometheus.GaugeVec
	alarms   *prometheus.CounterVec
	opens    *prometheus.GaugeVec
	overdue  *prometheus.GaugeVec
	outbox   *prometheus.GaugeVec
	silent   *prometheus.GaugeVec
	expires  prometheus.Gauge
	core     prometheus.Counter
	sweeps   *prometheus.CounterVec
	sweepEnd prometheus.Gauge
	sweepDue prometheus.Gauge
}

// NewMetrics makes the counters and registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: "On the leader: " + help}, labels)
	}
	m := &Metrics{
		parcels:  vec("gongji_parcels_total", "Parcels by peer and direction.", "peer", "direction"),
		messages: vec("gongji_messages_total", "Messages in parcels by peer and direction.", "peer", "direction"),
		refusals: vec("gongji_parcels_refused_total", "Parcels refused, by peer and reason.", "peer", "reason"),
		messageR: vec("gongji_messages_refused_total",
			"Messages of authentic parcels that were refused, by peer and reason.", "peer", "reason"),
		delays: vec("gongji_lane_delays_total",
			"Times that a lane was not read on because its peer had cost too much for nothing.", "peer"),
		delayedS: vec("gongji_lane_delayed_seconds_total", "Seconds of gongji_lane_delays_total.", "peer"),
		resends:  vec("gongji_messages_resent_total", "Messages sent again for want of an ack.", "peer"),
		rewinds:  vec("gongji_lanes_rewound_total", "Times the bus had lost a lane.", "peer"),
		repeats:  vec("gongji_messages_repeated_total", "Messages that came again and were only acked.", "peer"),
		tickets:  vec("gongji_tickets_refused_total", "Hold requests without a good ticket.", "peer"),
		queries:  vec("gongji_queries_dropped_total", "Queries and answers dropped for want of room.", "peer"),
		stages:   vec("gongji_stage_seconds_total", "Seconds spent by stage of the work.", "stage"),
		alarms:   vec("gongji_alarms_total", "What has ended otherwise than was decided, by kind.", "what"),
		stops: gauge("gongji_link_stopped",
			"1 while nothing from a peer is applied until people have looked, by reason.", "peer", "reason"),
		opens: gauge("gongji_open", "payments, holds, refunds and returns that are not over, by state.", "thing", "state"),
		overdue: gauge("gongji_open_overdue_seconds",
			"how long the oldest of gongji_open is past its decide_by, or has waited as a refund or return; 0 if none is.",
			"thing", "state"),
		outbox: gauge("gongji_outbox_messages", "messages that a peer's log has not acked.", "peer"),
		silent: gauge("gongji_peer_unreachable", "1 while a peer has not been heard of for a while.", "peer"),
		expires: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_directory_expires_timestamp_seconds",
			Help: "When the directory in force expires, in seconds since 1970; 0 on a node that does not lead.",
		}),
		sweeps: vec("gongji_sweep_grants_total",
			"Grants in the daily sweep of insurances: seen from either side, and to end.", "what"),
		sweepEnd: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_sweep_finished_timestamp_seconds",
			Help: "On the leader: when the last whole sweep ended, in seconds since 1970; 0 before the first.",
		}),
		sweepDue: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_sweep_late", Help: "On the leader: 1 while the sweep of a day that is over is not finished.",
		}),
		core: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gongji_core_undecided_total", Help: "Calls to the core without a known outcome.",
		}),
	}
	all := []prometheus.Collector{
		m.parcels, m.messages, m.refusals, m.messageR, m.delays, m.delayedS, m.resends,
		m.rewinds, m.repeats, m.tickets, m.queries, m.stages, m.stops,
		m.alarms, m.opens, m.overdue, m.outbox, m.silent, m.expires, m.core,
		m.sweeps, m.sweepEnd, m.sweepDue,
	}
	for _, c := range all {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Stage starts the clock of a stage and returns what stops it.
func (m *Metrics) stage(name string) func() {
	began := time.Now() // a measurement, no decision
	return func() {
		m.stages.WithLabelValues(name).Add(time.Since(began).Seconds())
	}
}

func (m *Metrics) sent(p federation.Region, messages int) {
	m.parcels.WithLabelValues(string(p), "out").Inc()
	m.messages.WithLabelValues(string(p), "out").Add(float64(messages))
}

func (m *Metrics) received(p federation.Region, messages int) {
	m.parcels.WithLabelValues(string(p), "in").Inc()
	m.messages.WithLabelValues(string(p), "in").Add(float64(messages))
}

func (m *Metrics) refused(p federation.Region, why federation.Refusal) {
	m.refusals.WithLabelValues(string(p), string(why)).Inc()
}

func (m *Metrics) messageRefused(p federation.Region, reason string) {
	m.messageR.WithLabelValues(string(p), reason).Inc()
}

func (m *Metrics) delayed(p federation.Region, d time.Duration) {
	m.delays.WithLabelValues(string(p)).Inc()
	m.delayedS.WithLabelValues(string(p)).Add(d.Seconds())
}

func (m *Metrics) resent(p federation.Region, n uint64) {
	m.resends.WithLabelValues(string(p)).Add(float64(n))
}
func (m *Metrics) rewound(p federation.Region) { m.rewinds.WithLabelValues(string(p)).Inc() }

// stopped sets and clears the alarm of a link; no reason is none.
func (m *Metrics) stopped(p federation.Region, reason string, on float64) {
	if reason != "" {
		m.stops.WithLabelValues(string(p), reason).Set(on)
	}
}

// open shows what is open; nothing on a node that does not lead.
func (m *Metrics) open(counts map[openKey]openCount) {
	m.opens.Reset()
	m.overdue.Reset()
	for k, c := range counts {
		m.opens.WithLabelValues(k.thing, k.state).Set(float64(c.number))
		m.overdue.WithLabelValues(k.thing, k.state).Set(c.overdue.Seconds())
	}
}

// peers shows how each link stands.
func (m *Metrics) peers(list []PeerStatus) {
	m.outbox.Reset()
	m.silent.Reset()
	for _, p := range list {
		m.outbox.WithLabelValues(p.Region).Set(float64(p.Waiting))
		silent := 1.0
		if p.Reachable {
			silent = 0
		}
		m.silent.WithLabelValues(p.Region).Set(silent)
	}
}

func (m *Metrics) expiry(at time.Time) {
	if at.IsZero() {
		m.expires.Set(0)
		return
	}
	m.expires.Set(float64(at.Unix()))
}

func (m *Metrics) alarm(what string) { m.alarms.WithLabelValues(what).Inc() }

func (m *Metrics) repeated(p federation.Region, n int) {
	m.repeats.WithLabelValues(string(p)).Add(float64(n))
}
func (m *Metrics) ticketRefused(p federation.Region) { m.tickets.WithLabelValues(string(p)).Inc() }
func (m *Metrics) queryDropped(p federation.Region)  { m.queries.WithLabelValues(string(p)).Inc() }
func (m *Metrics) coreUndecided()                    { m.core.Inc() }

func (m *Metrics) swept(seen, ends int) {
	m.sweeps.WithLabelValues("seen").Add(float64(seen))
	m.sweeps.WithLabelValues("ended").Add(float64(ends))
}

// sweptAt shows where the sweep stands; nothing on a node that does not lead.
func (m *Metrics) sweptAt(at ledger.SweepRecord, late bool) {
	m.sweepEnd.Set(0)
	if !at.FinishedAt.IsZero() {
		m.sweepEnd.Set(float64(at.FinishedAt.Unix()))
	}
	m.sweepDue.Set(0)
	if late {
		m.sweepDue.Set(1)
	}
}
