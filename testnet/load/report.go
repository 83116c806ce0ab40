package load

import (
	"fmt"
	"math"
)

// Report is what a load reports; the first block is fixed by the API's page on the testnet.
type Report struct {
	Payments          int                `json:"payments"` // captured within the window
	Seconds           float64            `json:"seconds"`
	PaymentsPerSecond float64            `json:"payments_per_second"`
	Errors            int                `json:"errors"` // of the whole run
	Latency           Latency            `json:"latency_ms"`
	PeakRSS           float64            `json:"peak_rss_mb"` // of all nodes together
	Where             map[string]float64 `json:"where"`       // CPU ms per payment by stage, of all nodes together
	Invariants        map[string]string  `json:"invariants"`

	CPUPerPayment    float64  `json:"cpu_ms_per_payment"`        // of all nodes together
	ClientCPU        float64  `json:"client_cpu_ms_per_payment"` // of this program
	CommandsPerEntry float64  `json:"commands_per_entry"`
	MessagesPer      float64  `json:"messages_per_parcel"`
	CommandsPer      float64  `json:"commands_per_payment"`
	PerMinute        []Minute `json:"per_minute,omitempty"`
	CountedByClients int64    `json:"counted_by_clients"` // captured, warm-up and sweep included
	CapturedInBooks  int64    `json:"captured_in_books"`  // the same, as the regions' books have it
	ErrorSamples     []string `json:"error_samples,omitempty"`
	Sweep            []Step   `json:"sweep,omitempty"`
}

// Latency is the time from the request to the capture.
type Latency struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Minute is one minute of a long window.
type Minute struct {
	Payments      int     `json:"payments"`
	CPUPerPayment float64 `json:"cpu_ms_per_payment"`
}

// Step is one measurement of a sweep.
type Step struct {
	Name              string             `json:"name"`
	Payments          int                `json:"payments"`
	PaymentsPerSecond float64            `json:"payments_per_second"`
	Errors            int                `json:"errors"`
	Latency           Latency            `json:"latency_ms"`
	CPUPerPayment     float64            `json:"cpu_ms_per_payment"`
	CommandsPerEntry  float64            `json:"commands_per_entry"`
	MessagesPer       float64            `json:"messages_per_parcel"`
	Where             map[string]float64 `json:"where"`
}

// String is one line for people.
func (s Step) String() string {
	return fmt.Sprintf("%.0f payments/s, p50 %.0f ms, p99 %.0f ms, %.2f CPU-ms per payment, %.1f commands per entry, "+
		"%.1f messages per parcel, %d errors", s.PaymentsPerSecond, s.Latency.P50, s.Latency.P99, s.CPUPerPayment,
		s.CommandsPerEntry, s.MessagesPer, s.Errors)
}

func (r *result) step() Step {
	return Step{
		Name: r.name, Payments: r.payments, PaymentsPerSecond: round(ratio(float64(r.payments), r.seconds)), Errors: r.errors,
		Latency: r.latency(), CPUPerPayment: perPayment(r.cost.CPU*1000, r.payments),
		CommandsPerEntry: round(ratio(r.cost.Commands, r.cost.Entries)),
		MessagesPer:      round(ratio(r.cost.Messages, r.cost.Parcels)), Where: r.where,
	}
}

func (r *result) latency() Latency {
	t := &r.times
	return Latency{P50: t.quantile(0.50), P95: t.quantile(0.95), P99: t.quantile(0.99), Max: t.max()}
}

const mebibyte = 1 << 20

// fill takes the main measurement.
func (report *Report) fill(r *result) {
	s := r.step()
	*report = Report{
		Payments: s.Payments, Seconds: round(r.seconds), PaymentsPerSecond: s.PaymentsPerSecond, Errors: s.Errors,
		Latency: s.Latency, PeakRSS: round(r.peak / mebibyte), Where: s.Where, CPUPerPayment: s.CPUPerPayment,
		ClientCPU: perPayment(r.own*1000, r.payments), CommandsPerEntry: s.CommandsPerEntry, MessagesPer: s.MessagesPer,
		CommandsPer: perPayment(r.cost.Commands, r.payments), PerMinute: r.minutes,
	}
}

func perPayment(total float64, payments int) float64 { return round(ratio(total, float64(payments))) }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// round keeps three places.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
