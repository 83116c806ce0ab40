package secondopinion

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	asked, skipped, disagreements, lost prometheus.Counter
}

// newMetrics makes the counters and registers them, if there is a registerer.
func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "gongji", Subsystem: "crypto", Name: name, Help: help,
		})
	}
	m := &metrics{
		asked:         counter("second_opinions_total", "Signatures put to the second engine."),
		skipped:       counter("second_opinions_skipped_total", "Second opinions wanted while no place was free."),
		disagreements: counter("engine_disagreements_total", "Signatures on which the two engines disagree."),
		lost:          counter("engine_disagreements_lost_total", "Disagreements whose bytes could not be kept."),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Counter{m.asked, m.skipped, m.disagreements, m.lost} {
		err := registerer.Register(c)
		if err != nil {
			return nil, fmt.Errorf("secondopinion: %w", err)
		}
	}
	return m, nil
}
