package load

import (
	"context"
	"fmt"
	"time"
)

const (
	sampleEvery = time.Second      // of the nodes' memory
	minute      = time.Minute      // a long window is told by the minute
	profileMax  = 10 * time.Second // of the window that is profiled
)

// result is what one step gave.
type result struct {
	name     string
	seconds  float64
	payments int
	errors   int
	times    histogram
	cost     Figures // of the window
	own      float64 // CPU seconds of this process, the clients
	peak     float64 // bytes
	where    map[string]float64
	minutes  []Minute
}

// observe opens the window after the warm-up, watches the nodes, and closes it.
func (d *driver) observe(ctx context.Context, s step, w *window) (*result, error) {
	if !pause(ctx, min(s.warmUp, s.window)) {
		return nil, ctx.Err()
	}
	before, err := d.figures(ctx)
	if err != nil {
		return nil, err
	}
	r := &result{name: s.name, peak: before.RSS}
	own, began := ownCPU(), time.Now()
	w.set(true)
	profiled := d.profile(ctx, min(s.window, profileMax))
	err = d.watch(ctx, r, w, before, s.window)
	if err != nil {
		return nil, err
	}
	w.set(false)
	r.seconds = time.Since(began).Seconds()
	after, err := d.figures(ctx)
	if err != nil {
		return nil, err
	}
	r.own = ownCPU() - own
	r.cost = after.less(before)
	r.errors, r.payments, r.times = w.errors, w.times.count, w.times
	p := <-profiled
	if p.err != nil {
		return nil, p.err
	}
	r.stages(p.cpu, p.payments)
	return r, nil
}

// watch samples the nodes until the window is over.
func (d *driver) watch(ctx context.Context, r *result, w *window, before Figures, length time.Duration) error {
	over := time.NewTimer(length)
	defer over.Stop()
	sample := time.NewTicker(sampleEvery)
	defer sample.Stop()
	from, last, counted := time.Now(), before, 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-over.C:
			return nil
		case <-sample.C:
		}
		f, err := d.figures(ctx)
		if err != nil {
			return err
		}
		r.peak = max(r.peak, f.RSS)
		if time.Since(from) < minute-sampleEvery { // so that the last minute of a window of whole minutes counts
			continue
		}
		now := w.count()
		r.minutes = append(r.minutes, Minute{
			Payments: now - counted, CPUPerPayment: perPayment((f.CPU-last.CPU)*1000, now-counted),
		})
		from, last, counted = time.Now(), f, now
	}
}

func (w *window) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.times.count
}

// profiled is a CPU profile, and how many payments ended while it was taken.
type profiled struct {
	cpu      map[string]float64
	payments int64
	err      error
}

// profile takes one beside the watching; the channel gets exactly one value.
func (d *driver) profile(ctx context.Context, length time.Duration) <-chan profiled {
	out := make(chan profiled, 1)
	if d.o.Probe == nil {
		out <- profiled{}
		return out
	}
	go func() { // ends with the profile, which ctx bounds; observe waits for its value
		before := d.captured.Load()
		cpu, err := d.o.Probe.Profile(ctx, length)
		out <- profiled{cpu: cpu, payments: d.captured.Load() - before, err: err}
	}()
	return out
}

func (r *result) stages(cpu map[string]float64, payments int64) {
	r.where = map[string]float64{}
	for stage, seconds := range cpu {
		r.where[stage] = perPayment(seconds*1000, int(payments))
	}
}

func (d *driver) figures(ctx context.Context) (Figures, error) {
	if d.o.Probe == nil {
		return Figures{}, nil
	}
	f, err := d.o.Probe.Read(ctx)
	if err != nil {
		return Figures{}, fmt.Errorf("load: the nodes' figures: %w", err)
	}
	return f, nil
}

// less gives what was counted since.
func (f Figures) less(before Figures) Figures {
	return Figures{
		CPU: f.CPU - before.CPU, RSS: f.RSS, Commands: f.Commands - before.Commands, Entries: f.Entries - before.Entries,
		Parcels: f.Parcels - before.Parcels, Messages: f.Messages - before.Messages,
	}
}
