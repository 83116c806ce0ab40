package cryptotest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gongji/crypto"
)

// timingKeys is how many private keys a class has: as many different ones in memory in both, so that caches do not tell
// the classes apart.
const timingKeys = 32

// timed is one private key with a secret wrapped for it.
type timed struct {
	key     crypto.Private
	wrapped []byte
}

// RunTiming measures whether the time of an operation with a private key depends on the key, after dudect (Reparaz,
// Balasch, Verbauwhede, 2017): one class always has the same short key, the other keys of chance; the two are measured
// mixed, the slowest tenth is left out, and Welch's t tells the classes apart. Beyond 4.5 they differ. It reports t of
// signing and unwrapping. It judges nothing: a loaded machine makes any t. Run an engine that is known to leak in the
// same run, and compare.
func RunTiming(b *testing.B, suite crypto.Suite) {
	b.Helper()
	short := make([]byte, crypto.PrivateSize)
	short[crypto.PrivateSize-1] = 3
	classes := [2][]timed{timedKeys(b, suite, short), timedKeys(b, suite, nil)}
	message := pattern(100)
	for name, run := range map[string]func(timed) error{
		"sign":   func(k timed) error { _, err := k.key.Sign(message); return err },
		"unwrap": func(k timed) error { _, err := k.key.Unwrap(k.wrapped); return err },
	} {
		b.Run(name, func(b *testing.B) {
			var taken [2][]float64
			for b.Loop() {
				class := rand.IntN(2)
				k := classes[class][rand.IntN(timingKeys)]
				began := time.Now()
				if err := run(k); err != nil {
					b.Fatal(err)
				}
				taken[class] = append(taken[class], float64(time.Since(began)))
			}
			b.ReportMetric(welch(taken[0], taken[1]), "|t|")
		})
	}
}

func timedKeys(b *testing.B, suite crypto.Suite, d []byte) []timed {
	b.Helper()
	out := make([]timed, timingKeys)
	for i := range out {
		var err error
		if d == nil {
			out[i].key, err = suite.Generate()
		} else {
			out[i].key, err = suite.Private(d)
		}
		must(b, out[i].key, err)
		w, err := suite.Wrapper(out[i].key.Public())
		must(b, w, err)
		out[i].wrapped, err = w.Wrap(pattern(crypto.KeySize))
		must(b, out[i].wrapped, err)
		sig, err := out[i].key.Sign(pattern(1)) // engines keep what they compute of a key at its first use
		must(b, sig, err)
	}
	return out
}

// welch is Welch's t of two samples without the slowest tenth of both together.
func welch(one, two []float64) float64 {
	all := slices.Sorted(slices.Values(slices.Concat(one, two)))
	if len(all) < 20 {
		return 0
	}
	most := all[len(all)*9/10]
	m1, v1, n1 := moments(one, most)
	m2, v2, n2 := moments(two, most)
	if n1 < 2 || n2 < 2 || v1+v2 == 0 {
		return 0
	}
	return math.Abs(m1-m2) / math.Sqrt(v1/n1+v2/n2)
}

// moments are mean, variance and number of the values up to most.
func moments(values []float64, most float64) (float64, float64, float64) {
	var n, mean, squares float64
	for _, v := range values {
		if v > most {
			continue
		}
		n++
		d := v - mean
		mean += d / n
		squares += d * (v - mean)
	}
	return mean, squares / max(n-1, 1), n
}
