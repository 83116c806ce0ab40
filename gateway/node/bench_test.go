package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gongji/consensus"
	"gongji/consensus/raftlog"
	"gongji/gateway/client"
	"gongji/gateway/config"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/simtest/regiontest"
)

// Sizes of the benchmarks.
const (
	benchPersons  = 20_000
	benchPayers   = 32 // platforms that pay at the same time
	benchTime     = 3 * time.Second
	benchPayments = 400
)

// quietly makes a node as a region runs it, without the tests' short logs and snapshots.
func quietly(p *place) *place {
	p.deps.Tuning = raftlog.Tuning{}
	p.cfg.Log.Level = "error"
	p.cfg.Rotation.RecordsPerSecond = 100_000
	return p
}

// crowd is families of one region: everybody is a payer or a beneficiary.
func crowd(n int) []config.Person {
	var out []config.Person
	for i := range n {
		p := insured(shanghai, i%1000, fmt.Sprintf("郑%05d", i), "50000.00")
		if i%2 == 1 {
			p.Scheme, p.Balance, p.YearOpening = "390", "0.00", "0.00"
		}
		p.IDNumber = regiontest.Number(fmt.Sprintf("31%04d", i/1000), i%1000)
		out = append(out, p)
	}
	return out
}

// BenchmarkRotation prints what a rotation costs a region: one node with 20,000 persons, payments inside the
// region by 32 platforms at a time. "records/s" is the rate at which the token key's and the data key's records are
// made anew while payments flow and nothing holds the walk back, "payments/s" what is paid without a rotation,
// "records/payment" their ratio, and "paid-meanwhile" the payments' rate during the rotations against the one before.
func BenchmarkRotation(b *testing.B) {
	f := newField(b, beijing, shanghai)
	people := crowd(benchPersons)
	p := quietly(f.places(shanghai, 1, people...)[0])
	startAll(b, p)
	m := &household{sh: ask(b, p)}
	var families []*household
	for i := range benchPayers {
		h := &household{
			sh: m.sh, bj: m.sh, payer: person(shanghai, people[2*i]), child: person(shanghai, people[2*i+1]),
		}
		h.grant(b, h.sh, h.payer)
		families = append(families, h)
	}
	for b.Loop() {
		before := busy(b, families, func() { <-time.After(benchTime) })
		var records int64
		began := time.Now()
		during := busy(b, families, func() {
			records = p.rotated(b, "token") + p.rotated(b, "data")
		})
		rate := float64(records) / time.Since(began).Seconds()
		b.ReportMetric(rate, "records/s")
		b.ReportMetric(before, "payments/s")
		b.ReportMetric(rate/before, "records/payment")
		b.ReportMetric(during/before, "paid-meanwhile")
	}
}

// rotated takes a key through a rotation and returns how many records were made anew.
func (p *place) rotated(b *testing.B, use string) int64 {
	b.Helper()
	if code := p.operator("/admin/v1/keys/rotate", `{"use":"`+use+`","operator":"li"}`); code != http.StatusOK {
		b.Fatalf("rotation: %d", code)
	}
	var at rotate.Progress
	until(b, "the rotation has ended", func() bool {
		_, answer := p.admin(http.MethodGet, "/admin/v1/keys/rotation")
		return json.Unmarshal(answer, &at) == nil && at.Rotation != nil && at.Rotation.Stage == "done" &&
			at.Rotation.Use == use
	})
	return at.Rotation.Changed
}

// busy has every family pay one bill after another while act lasts, and returns the payments captured in a second.
func busy(b *testing.B, families []*household, act func()) float64 {
	b.Helper()
	var paid atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	began := time.Now()
	for _, h := range families {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				h.pay(b)
				paid.Add(1)
			}
		})
	}
	act()
	rate := float64(paid.Load()) / time.Since(began).Seconds()
	close(stop)
	group.Wait()
	return rate
}

// pay has one small bill captured.
func (m *household) pay(b *testing.B) {
	b.Helper()
	f := m.bill(client.NewRequestID())
	f.Amount, f.Confirm = "0.10", client.ConfirmAuto
	p, err := m.sh.CreatePayment(b.Context(), f)
	for err == nil && (p.Status == client.PaymentCapturing || p.Status == client.PaymentHeld) {
		p, err = m.sh.Payment(b.Context(), p.PaymentID)
	}
	if err == nil && p.Status != client.PaymentCaptured {
		err = fmt.Errorf("%s: %+v", p.Status, p.Declines)
	}
	if err != nil {
		b.Error(err)
	}
}

// BenchmarkEvidence prints what receipts and evidence cost: one payment after another, between two regions,
// which keep what the other one signed, and inside one region, where nobody else signs anything. "evidence-B" are the
// bytes of evidence in the state of both regions for each payment, "archive-B" those of the archives' files, "other-B"
// what else the payment leaves in both states, and "time-ratio" the time of a payment between the regions against one
// inside. That ratio has the way over the bus in it, too: without evidence there is no such payment to measure.
func BenchmarkEvidence(b *testing.B) {
	f := newField(b, beijing, shanghai)
	payer, child := insured(beijing, 901, "欧阳甲", "50000.00"), insured(shanghai, 902, "司徒乙", "0.00")
	local, near := insured(shanghai, 903, "上官丙", "50000.00"), insured(shanghai, 904, "诸葛丁", "0.00")
	child.Scheme, near.Scheme = "390", "390"
	sh, bj := quietly(f.places(shanghai, 1, local, child, near)[0]), quietly(f.places(beijing, 1, payer)[0])
	both := []*place{sh, bj}
	for _, p := range both {
		p.cfg.Evidence.ArchiveMessages, p.deps.ArchiveEvery = 1, 100*time.Millisecond
	}
	startAll(b, both...)
	far := &household{sh: ask(b, sh), bj: ask(b, bj), payer: person(beijing, payer), child: person(shanghai, child)}
	home := &household{sh: far.sh, payer: person(shanghai, local), child: person(shanghai, near)}
	far.grant(b, far.bj, far.payer)
	home.grant(b, home.sh, home.payer)
	for b.Loop() {
		inside := timed(b, home)
		evidence, other := sizes(b, both)
		archived := archives(b, both)
		outside := timed(b, far)
		until(b, "the archives stand still", func() bool {
			before := archives(b, both)
			<-time.After(time.Second)
			return archives(b, both) == before
		})
		after, rest := sizes(b, both)
		b.ReportMetric(float64(after-evidence)/benchPayments, "evidence-B")
		b.ReportMetric(float64(rest-other)/benchPayments, "other-B")
		b.ReportMetric(float64(archives(b, both)-archived)/benchPayments, "archive-B")
		b.ReportMetric(outside.Seconds()/inside.Seconds(), "time-ratio")
	}
}

func timed(b *testing.B, m *household) time.Duration {
	b.Helper()
	began := time.Now()
	for range benchPayments {
		m.pay(b)
	}
	return time.Since(began)
}

// sizes are the bytes of keys and values in the states of some nodes: of evidence, and of all else.
func sizes(b *testing.B, places []*place) (int64, int64) {
	b.Helper()
	var evidence, other int64
	for _, p := range places {
		err := p.node.Log().ReadStale(func(r consensus.Reader) error {
			r.Scan(nil, nil, func(key, value []byte) bool {
				switch key[0] {
				case 'e', 'V', 'I', 'o': // evidence, receipts, their index, messages kept after the ack
					evidence += int64(len(key) + len(value))
				default:
					other += int64(len(key) + len(value))
				}
				return true
			})
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return evidence, other
}

// archives are the bytes of the files of evidence.
func archives(b *testing.B, places []*place) int64 {
	b.Helper()
	var sum int64
	for _, p := range places {
		found, err := filepath.Glob(filepath.Join(p.cfg.DataDir, "evidence", "*"))
		if err != nil {
			b.Fatal(err)
		}
		for _, path := range found {
			if info, err := os.Stat(path); err == nil {
				sum += info.Size()
			}
		}
	}
	return sum
}
