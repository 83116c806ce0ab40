package emm_test

import (
	"testing"

	"gongji/crypto/sm/emm"
)

func TestSelfTest(t *testing.T) {
	err := emm.New().SelfTest()
	if err != nil {
		t.Fatal(err)
	}
}
