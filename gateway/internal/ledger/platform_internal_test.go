package ledger

import (
	"strings"
	"testing"

	"gongji/consensus"
	"gongji/gateway/internal/policy"
)

// TestEveryRequestIsAdmitted: no command of a platform passes the check of its key and its nonce.
func TestEveryRequestIsAdmitted(t *testing.T) {
	t.Parallel()
	n := 0
	for _, c := range sampleCommands() {
		if !strings.Contains(text(t, c), `"Request":{`) && c.Kind() != KindSpendNonce {
			continue
		}
		n++
		m := newMachine(t)
		data, err := m.l.Apply(m.txn, consensus.Command{Stamp: sampleTime(60), Data: EncodeCommand(c)})
		if err != nil {
			t.Fatalf("%T: %v", c, err)
		}
		out, err := DecodeOutcome(data)
		if err != nil || out.Code != policy.CodeUnauthenticated {
			t.Errorf("%T of an unknown key: %q", c, out.Code)
		}
	}
	if n < 14 {
		t.Errorf("only %d kinds of commands carry a request", n)
	}
}
