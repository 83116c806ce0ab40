package ledger_test

import (
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
)

// TestRevokedMember: when the last signing key of a member is revoked its placed holds go in doubt at once, for
// two persons, and operators hear of it. A member that keeps a good key decides on.
func TestRevokedMember(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		revoked []string
		state   hold.State
	}{
		"no key left":  {[]string{"a", "b"}, hold.InDoubt},
		"one key left": {[]string{"a"}, hold.Placed},
	} {
		f, p := outbox(t)
		f.keyed()
		p.SignKey = "b"
		f.deliver(p)
		before := f.holds(beijing)
		if len(before) == 0 || before[0].State != hold.Placed {
			t.Fatalf("%s: %+v", name, before)
		}
		f.keyed(c.revoked...)
		alarmed := false
		for _, a := range f.regions[beijing].last.Alarms {
			alarmed = alarmed || a == ledger.Alarm{What: ledger.AlarmMemberRevoked, ID: string(shanghai)}
		}
		if alarmed != (c.state == hold.InDoubt) {
			t.Errorf("%s: alarms %v", name, f.regions[beijing].last.Alarms)
		}
		f.pass(time.Second)
		for _, h := range f.holds(beijing) {
			if h.Origin == string(shanghai) && h.State != c.state {
				t.Errorf("%s: %s is %s, not %s", name, h.ID, h.State, c.state)
			}
		}
	}
}

// holds are those of a region.
func (f *fed) holds(code federation.Region) []ledger.HoldRecord {
	f.t.Helper()
	var out []ledger.HoldRecord
	if err := f.view(code).Holds(func(h *ledger.HoldRecord) bool {
		out = append(out, *h)
		return true
	}); err != nil {
		f.t.Fatal(err)
	}
	return out
}
