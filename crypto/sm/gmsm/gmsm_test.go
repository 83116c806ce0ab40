package gmsm_test

import (
	"testing"

	"gongji/crypto/sm/gmsm"
)

func TestSelfTest(t *testing.T) {
	err := gmsm.New().SelfTest()
	if err != nil {
		t.Fatal(err)
	}
}
