package evidence_test

import (
	"bytes"
	"testing"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/record"
)

// TestRequestGrowth: what one signed request costs is bounded in state and archive; -v prints it. A payment has two or
// three of them.
func TestRequestGrowth(t *testing.T) {
	t.Parallel()
	a := &ledger.AskedRecord{
		At: time.Unix(1_764_000_000, 0).UTC(), Subject: "p-310000-1m83ryxv523ztqpm659rbz", Platform: "hospital",
		Key: "key-hospital", Public: make([]byte, 65), Registered: time.Unix(1_763_000_000, 0).UTC(),
		Request: ledger.SignedRequest{
			Method: "POST", Target: "/v1/payments/p-310000-1m83ryxv523ztqpm659rbz/confirm?wait=5",
			Time: "2026-11-20T08:00:00+08:00", Nonce: "0123456789abcdef0123456789abcdef", Signature: make([]byte, 72),
		},
	}
	var out bytes.Buffer
	w, err := evidence.NewArchiveWriter(&out, emm.New().Sum, "310000", 1, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	head := out.Len()
	err = w.Add(&ledger.Archived{Peer: "310000", Epoch: 1, Number: 1, Asked: a})
	if err != nil {
		t.Fatal(err)
	}
	state, line := len(record.Encode(a)), out.Len()-head
	t.Logf("a request: %d bytes in the state until it is archived, %d in the archive", state, line)
	if state > 512 || line > 1024 {
		t.Errorf("%d bytes in the state, %d in the archive", state, line)
	}
}
