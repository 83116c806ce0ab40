package raftlog

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are one node's. Several nodes in one process need a registerer each, say
// by prometheus.WrapRegistererWith and the node's name.
type metrics struct {
	commands   prometheus.Counter
	entries    prometheus.Counter
	packSize   prometheus.Histogram
	apply      prometheus.Histogram
	logWrite   prometheus.Histogram
	cut        prometheus.Histogram
	installed  prometheus.Counter
	reinstalls prometheus.Counter
	waiting    prometheus.Gauge
	leader     prometheus.Gauge
	offset     prometheus.Gauge
	lag        *prometheus.GaugeVec
	stuck      *prometheus.GaugeVec
	refused    *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	const ns = "consensus"
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: ns, Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help})
	}
	byLabel := func(name, help, label string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: ns, Name: name, Help: help}, []string{label})
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: ns, Name: name, Help: help, Buckets: buckets})
	}
	seconds := prometheus.ExponentialBuckets(0.0001, 4, 9) // 0.1 ms to 6.5 s
	m := &metrics{
		commands: counter("commands_total", "Commands applied."),
		entries:  counter("entries_total", "Log entries applied."),
		packSize: histogram("commands_per_entry", "Commands in one entry.", prometheus.ExponentialBuckets(1, 2, 9)),
		apply:    histogram("apply_seconds", "Time to apply one entry.", seconds),
		logWrite: histogram("log_write_seconds", "Time to write and sync to the log.", seconds),
		cut:      histogram("snapshot_cut_seconds", "Time to cut a snapshot, in which nothing is applied.", seconds),
		installed: counter("snapshots_installed_total",
			"Snapshots received from another node. Growing steadily means a follower that cannot keep up."),
		reinstalls: counter("snapshots_repeated_total",
			"Snapshots received again at the same index: this node makes no progress and needs a restart or a wipe."),
		waiting: gauge("commands_waiting", "Commands taken by this leader and not yet answered."),
		leader:  gauge("leader", "1 while this node leads and serves."),
		offset:  gauge("clock_offset_seconds", "This node's clock against the median of its group."),
		lag:     byLabel("follower_lag_entries", "On the leader: entries that a follower is behind.", "peer"),
		stuck: byLabel("follower_stuck",
			"On the leader: 1 while a follower is far behind and makes no progress though it answers.", "peer"),
		refused: byLabel("leadership_refused", "1 while this node refuses to lead, by reason.", "reason"),
	}
	if reg == nil {
		return m, nil
	}
	return m, m.register(reg)
}

// register registers every metric, or takes over the one that an earlier node of the
// same registerer left there.
func (m *metrics) register(reg prometheus.Registerer) error {
	return errors.Join(
		one(reg, &m.commands), one(reg, &m.entries), one(reg, &m.packSize), one(reg, &m.apply),
		one(reg, &m.logWrite), one(reg, &m.cut), one(reg, &m.installed), one(reg, &m.reinstalls),
		one(reg, &m.waiting), one(reg, &m.leader), one(reg, &m.offset),
		one(reg, &m.lag), one(reg, &m.stuck), one(reg, &m.refused),
	)
}

func one[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	if again, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, ok := again.ExistingCollector.(C); ok {
			*c = old
			return nil
		}
	}
	return err
}

func (m *metrics) appliedEntry(commands int, took time.Duration) {
	m.entries.Inc()
	m.apply.Observe(took.Seconds())
	if commands > 0 {
		m.commands.Add(float64(commands))
		m.packSize.Observe(float64(commands))
	}
}

func (m *metrics) snapshotTaken(took time.Duration) { m.cut.Observe(took.Seconds()) }

func (m *metrics) snapshotInstalled(repeated bool) {
	m.installed.Inc()
	if repeated {
		m.reinstalls.Inc()
	}
}

func (m *metrics) refuse(reason string, on bool) {
	value := 0.0
	if on {
		value = 1
	}
	m.refused.WithLabelValues(reason).Set(value)
}
