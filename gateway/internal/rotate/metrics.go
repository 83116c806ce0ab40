package rotate

import (
	"github.com/prometheus/client_golang/prometheus"

	"gongji/gateway/internal/ledger"
)

// Metrics shows how the keys and their rotation stand. It is registered on what is handed in.
type Metrics struct {
	stage   *prometheus.GaugeVec
	records *prometheus.CounterVec
	seen    prometheus.Gauge
	stalled prometheus.Gauge
	lacking prometheus.Gauge

	toDestroy prometheus.Gauge
}

// NewMetrics makes the gauges and registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		stage: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gongji_key_rotation", Help: "1 for the use and stage of the rotation that is under way; absent without one.",
		}, []string{"use", "stage"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_key_rotation_records_total", Help: "On the leader: records that rotations have made anew.",
		}, []string{"step"}),
		seen: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_key_rotation_seen", Help: "Records that the newest rotation has looked at so far.",
		}),
		stalled: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_key_rotation_stalled", Help: "On the leader: 1 while a rotation under way does not move.",
		}),
		lacking: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_keys_missing", Help: "Keys in force that this node does not have.",
		}),
		toDestroy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_keys_to_destroy", Help: "Keys that two officers had destroyed and that this node still has.",
		}),
	}
	for _, c := range []prometheus.Collector{m.stage, m.records, m.seen, m.stalled, m.lacking, m.toDestroy} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) show(k *ledger.KeysRecord) {
	m.stage.Reset()
	under, on := k.UnderWay()
	if on {
		m.stage.WithLabelValues(string(under.Use), under.Stage.String()).Set(1)
	}
	m.seen.Set(float64(under.Seen))
}

func (m *Metrics) moved(p *ledger.RotatePage) {
	m.records.WithLabelValues(p.Step.String()).Add(float64(len(p.Tokens) + len(p.Sealed)))
}

func (m *Metrics) stand(still bool) {
	v := 0.0
	if still {
		v = 1
	}
	m.stalled.Set(v)
}
