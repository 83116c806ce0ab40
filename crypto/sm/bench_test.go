package sm_test

import (
	"testing"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
)

// BenchmarkEngines measures both engines in one run, so that their ratio holds on a loaded machine
// too.
func BenchmarkEngines(b *testing.B) {
	for _, suite := range []crypto.Suite{emm.New(), gmsm.New()} {
		b.Run(suite.Name(), func(b *testing.B) {
			cryptotest.RunBenchmarks(b, suite)
			cryptotest.RunRingBenchmarks(b, keyfile.NewMemory(suite))
		})
	}
}

// BenchmarkTiming tells whether the time of signing and unwrapping depends on the private key, for both engines in one
// run: gmsm is known to leak and is the measure for emm.
//
//	go test ./crypto/sm -run '^$' -bench Timing -benchtime 5000x
func BenchmarkTiming(b *testing.B) {
	for _, suite := range []crypto.Suite{emm.New(), gmsm.New()} {
		b.Run(suite.Name(), func(b *testing.B) { cryptotest.RunTiming(b, suite) })
	}
}
