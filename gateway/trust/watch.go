package trust

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/federation"
)

// lookEvery is how often a Watch looks at the clock.
const lookEvery = time.Minute

// seriesMax bounds the metric's series: more than the keys of a federation's members and its authorities.
const seriesMax = 4 * federation.MembersMax

// thresholds are the days before the end at which people are told, the earliest first. A list lives for days, so its
// authority is told on the last one.
func thresholds(k Kind) []int {
	if k == KindList {
		return []int{1, 0}
	}
	return []int{30, 7, 1, 0}
}

// WatchConfig is what a Watch works with.
type WatchConfig struct {
	Self      federation.Region
	Directory func() *federation.Directory // in force; nil while there is none
	Now       func() time.Time
	// Leads says that this node tells people: every node has the metric, one writes the audit log.
	Leads func() bool
	Audit func(event string, attrs ...slog.Attr)
}

// Watch knows when keys, certificates and revocation lists of this region and of its peers end: as a metric, as a list
// for the status, and as audited events 30, 7, 1 and 0 days before. Safe for concurrent use.
type Watch struct {
	config WatchConfig
	days   *prometheus.Desc

	mu   sync.Mutex
	of   *federation.Directory // of which directory the expiries are
	ends []Expiry
	told map[Expiry]int // how many thresholds of it were told
}

var _ prometheus.Collector = (*Watch)(nil)

// NewWatch makes a Watch, and registers its metric gongji_certificate_days_left.
func NewWatch(config WatchConfig, registry prometheus.Registerer) (*Watch, error) {
	w := &Watch{config: config, told: map[Expiry]int{}, days: prometheus.NewDesc("gongji_certificate_days_left",
		"Days until the newest key with its certificate, an authority or a revocation list ends; below zero when it has.",
		[]string{"kind", "region", "name", "use"}, nil)}
	return w, registry.Register(w)
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		w.Look()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Look tells what has come so near that people must know, each threshold once for each leader.
func (w *Watch) Look() {
	if !w.config.Leads() {
		return
	}
	now := w.config.Now()
	all := w.Expiries()
	w.mu.Lock()
	defer w.mu.Unlock()
	told := make(map[Expiry]int, len(all)) // what is gone from the directory is forgotten
	for _, e := range all {
		told[e] = w.told[e]
		passed := 0
		last := 0
		for _, days := range thresholds(e.Kind) {
			if e.DaysLeft(now) <= float64(days) {
				passed, last = passed+1, days
			}
		}
		if passed > told[e] {
			told[e] = passed
			w.config.Audit("certificate_expires", slog.String("kind", string(e.Kind)),
				slog.String("member", string(e.Region)), slog.String("name", e.Name), slog.String("use", string(e.Use)),
				slog.Int("within_days", last), slog.Time("not_after", e.At))
		}
	}
	w.told = told
}

// Expiries are those of this region, of the peers that it has pairs with, of the authorities and of their lists; the
// nearest first.
func (w *Watch) Expiries() []Expiry {
	d := w.config.Directory()
	if d == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of != d {
		w.of, w.ends = d, ours(d, w.config.Self)
	}
	return slices.Clone(w.ends)
}

func ours(d *federation.Directory, self federation.Region) []Expiry {
	near := map[federation.Region]bool{self: true, "": true}
	for _, l := range d.Lanes(self) {
		near[l.From], near[l.To] = true, true
	}
	all := slices.DeleteFunc(Expiries(d.Data()), func(e Expiry) bool { return !near[e.Region] })
	slices.SortStableFunc(all, func(a, b Expiry) int { return a.At.Compare(b.At) })
	return all[:min(len(all), seriesMax)]
}

// Describe announces the metric.
func (w *Watch) Describe(out chan<- *prometheus.Desc) { out <- w.days }

// Collect computes the metric.
func (w *Watch) Collect(out chan<- prometheus.Metric) {
	now := w.config.Now()
	seen := map[[4]string]bool{} // two authorities may have one name: the nearest end counts
	for _, e := range w.Expiries() {
		labels := [4]string{string(e.Kind), string(e.Region), e.Name, string(e.Use)}
		if seen[labels] {
			continue
		}
		seen[labels] = true
		out <- prometheus.MustNewConstMetric(w.days, prometheus.GaugeValue, e.DaysLeft(now), labels[:]...)
	}
}
