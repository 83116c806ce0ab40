package keyfile_test

import (
	"testing"

	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func BenchmarkRing(b *testing.B) { cryptotest.RunRingBenchmarks(b, keyfile.NewMemory(emm.New())) }
