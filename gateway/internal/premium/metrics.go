package premium

import (
	"github.com/prometheus/client_golang/prometheus"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// Metrics shows how far the collection has come. It is registered on what is handed in.
type Metrics struct {
	premiums *prometheus.GaugeVec
	left     *prometheus.GaugeVec
	again    prometheus.Counter
}

// NewMetrics makes the gauges and registers them.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		premiums: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gongji_premiums", Help: "On the leader: premiums of the newest season by state.",
		}, []string{"purpose", "state"}),
		left: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "gongji_premium_season_left_seconds",
			Help: "On the leader: whole days until the end of the season, today included; absent outside of it.",
		}, []string{"purpose"}),
		again: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gongji_premium_undecided_total", Help: "Times that nothing was found out about a premium.",
		}),
	}
	for _, c := range []prometheus.Collector{m.premiums, m.left, m.again} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const daySeconds = 24 * 60 * 60

// season shows one purpose.
func (m *Metrics) season(p policy.Purpose, s *ledger.SeasonRecord, premium policy.Premium, day policy.Date) {
	if s != nil {
		for state, n := range map[string]int{
			"open": s.Open, ledger.PremiumWaiting: s.Waiting, ledger.PremiumPaid: s.Paid,
			ledger.PremiumSkipped: s.Skipped, ledger.PremiumFailed: s.Failed,
		} {
			m.premiums.WithLabelValues(string(p), state).Set(float64(n))
		}
	}
	if premium.Purpose == p && premium.InSeason(day) {
		m.left.WithLabelValues(string(p)).Set(float64(premium.DaysLeft(day) * daySeconds))
	} else {
		m.left.DeleteLabelValues(string(p))
	}
}

// clear shows nothing on a node that does not lead.
func (m *Metrics) clear() {
	m.premiums.Reset()
	m.left.Reset()
}

func (m *Metrics) undecided() { m.again.Inc() }
