package emm_test

import (
	"testing"

	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func TestContract(t *testing.T) { cryptotest.RunSuiteContract(t, emm.New()) }

func TestVectors(t *testing.T) {
	cryptotest.RunVectors(t, emm.New(), cryptotest.Raw{Block: emm.Block, VerifyDigest: emm.VerifyDigest})
}

func TestRing(t *testing.T) {
	cryptotest.RunRingContract(t, emm.New(), func(*testing.T) cryptotest.Ring { return keyfile.NewMemory(emm.New()) })
}
