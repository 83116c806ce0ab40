package load

import (
	"math/bits"
	"time"
)

// histogram counts durations in a fixed number of buckets, each at most 1/64 wider than its lower end.
type histogram struct {
	buckets [bucketsMax]int
	count   int
	longest time.Duration
}

const (
	subBits    = 6
	bucketsMax = (40 - subBits) << subBits // microseconds up to 2^39: six days
)

// bucket of a number of microseconds, and the lower end of a bucket.
func bucket(us uint64) int {
	if us < 1<<subBits {
		return int(us)
	}
	exponent := bits.Len64(us) - subBits - 1
	return min(exponent<<subBits+int(us>>exponent), bucketsMax-1)
}

func lowerEnd(b int) uint64 {
	exponent := max(b>>subBits-1, 0)
	return uint64(b-exponent<<subBits) << exponent
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucket(uint64(d.Microseconds()))]++ //nolint:gosec // not negative
	h.count++
	h.longest = max(h.longest, d)
}

// quantile is the duration in milliseconds that the share q of all does not exceed.
func (h *histogram) quantile(q float64) float64 {
	want := max(int(q*float64(h.count)+0.5), 1)
	seen := 0
	for b, n := range h.buckets {
		if seen += n; n > 0 && seen >= want {
			return round(float64(lowerEnd(b)) / 1000)
		}
	}
	return 0
}

func (h *histogram) max() float64 { return round(float64(h.longest.Microseconds()) / 1000) }
