package settle

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestFailureToldOnce: a region that can make no parcel (its own key is revoked, say) fails at every heartbeat and says
// so once, again for another reason, and once when it can.
func TestFailureToldOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, nil))
	var l lane
	revoked, away := errors.New("key revoked"), errors.New("module away")
	for _, err := range []error{nil, revoked, revoked, revoked, away, revoked, nil, nil} {
		l.told(t.Context(), logger, "310000", err)
	}
	if got := strings.Count(out.String(), "\n"); got != 4 || strings.Count(out.String(), "made again") != 1 {
		t.Errorf("%d lines: %s", got, out.String())
	}
}
