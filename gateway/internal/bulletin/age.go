package bulletin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// Stage is how much of a directory's validity is used up.
type Stage string

// The stages.
const (
	StageFresh   Stage = ""
	StageHalf    Stage = "half"        // half is used: a successor should be prepared
	StageLate    Stage = "four_fifths" // four fifths are used: a successor is urgent
	StageExpired Stage = "expired"     // no new holds
)

// StageOf tells where a directory stands in its validity.
func StageOf(d *federation.Directory, now time.Time) Stage {
	whole := d.Expires().Sub(d.Issued())
	switch left := d.Expires().Sub(now); {
	case left <= 0:
		return StageExpired
	case left <= whole/5:
		return StageLate
	case left <= whole/2:
		return StageHalf
	}
	return StageFresh
}

// Warnings are what a node says of the directory in force though it is ready: in English and Chinese.
func Warnings(d *federation.Directory, now time.Time) []string {
	if d == nil {
		return nil
	}
	at := d.Expires().UTC().Format(time.RFC3339)
	switch StageOf(d, now) {
	case StageExpired:
		return []string{"the directory has expired at " + at + ": new holds are refused, all else goes on" +
			" / 目录已于 " + at + " 过期：不再办理新的资金冻结，其余业务照常"}
	case StageLate:
		return []string{"four fifths of the directory's validity are over: it expires at " + at +
			" / 目录有效期已过五分之四，将于 " + at + " 过期"}
	case StageHalf:
		return []string{"half of the directory's validity is over: it expires at " + at +
			" / 目录有效期已过半，将于 " + at + " 过期"}
	case StageFresh:
	}
	return nil
}

// age audits each stage that the directory in force comes to, once in a leadership.
func (w *Watch) age(ctx context.Context) {
	var version uint64
	stage := StageFresh
	for ctx.Err() == nil {
		if d := w.Ledger.InForce().Directory; d != nil {
			now := StageOf(d, w.Now())
			if d.Version() != version {
				version, stage = d.Version(), StageFresh
			}
			if now != stage {
				stage = now
				w.Logger.LogAttrs(ctx, slog.LevelWarn, "the directory ages", slog.String("stage", string(now)),
					slog.Uint64("version", version), slog.Time("expires", d.Expires()))
				w.Audit("directory_ages", slog.String("stage", string(now)), slog.Uint64("version", version),
					slog.Time("expires", d.Expires()))
			}
		}
		pause(ctx, ageEvery)
	}
}

// Metrics are the counts of a Watch, and what every node shows of the directory in force.
type Metrics struct {
	taken   *prometheus.CounterVec
	refused *prometheus.CounterVec
}

// NewMetrics registers the counts. The gauges are asked when they are read: on every node, whoever leads.
func NewMetrics(reg prometheus.Registerer, l *ledger.Ledger, now func() time.Time) (*Metrics, error) {
	m := &Metrics{
		taken: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_directories_taken_total", Help: "Directories that came into force here, by source: topic or file.",
		}, []string{"source"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gongji_directories_refused_total", Help: "Directories that were refused, by source and reason.",
		}, []string{"source", "reason"}),
	}
	gauge := func(name, help string, value func(d *federation.Directory) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if d := l.InForce().Directory; d != nil {
				return value(d)
			}
			return 0
		})
	}
	for _, c := range []prometheus.Collector{
		m.taken, m.refused,
		gauge("gongji_directory_version", "Version of the directory in force on this node; 0 before the first.",
			func(d *federation.Directory) float64 { return float64(d.Version()) }),
		gauge("gongji_directory_seconds_left", "Seconds until the directory in force expires; negative once it has.",
			func(d *federation.Directory) float64 { return d.Expires().Sub(now()).Seconds() }),
		gauge("gongji_directory_used_ratio", "Used part of the directory's validity: 0.5 and 0.8 are alarms, 1 is expired.",
			func(d *federation.Directory) float64 {
				return now().Sub(d.Issued()).Seconds() / d.Expires().Sub(d.Issued()).Seconds()
			}),
	} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("bulletin: metrics: %w", err)
		}
	}
	return m, nil
}
