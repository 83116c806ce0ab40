package gmsm_test

import (
	"testing"

	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/gmsm"
)

func TestContract(t *testing.T) { cryptotest.RunSuiteContract(t, gmsm.New()) }

func TestVectors(t *testing.T) {
	cryptotest.RunVectors(t, gmsm.New(), cryptotest.Raw{
		Block: gmsm.Block, VerifyDigest: gmsm.VerifyDigest, SignWith: gmsm.SignWith, WrapWith: gmsm.WrapWith,
	})
}

func TestRing(t *testing.T) {
	cryptotest.RunRingContract(t, gmsm.New(), func(*testing.T) cryptotest.Ring { return keyfile.NewMemory(gmsm.New()) })
}
