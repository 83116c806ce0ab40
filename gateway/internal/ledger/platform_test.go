package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

func platformKey(id string) ledger.PlatformKey {
	return ledger.PlatformKey{
		ID: id, Platform: "platform", Region: string(shanghai), Public: []byte("public of " + id), Roles: []string{"all"},
	}
}

// signed is a request of a key, dated now: with a nonce and in an attempt of its own.
func (f *fed) signed(key string) ledger.Request {
	r := f.request()
	r.Signed = &ledger.Signed{Key: key, At: f.now, Attempt: uint64(f.fresh)}
	copy(r.Signed.Nonce[:], fmt.Sprintf("%s %08d", key, f.fresh))
	return r
}

// arrives is the same bytes at a leader once more.
func (f *fed) arrives(r ledger.Request) ledger.Request {
	f.fresh++
	again := *r.Signed
	again.Attempt = uint64(f.fresh) << 20
	r.Signed = &again
	return r
}

func (f *fed) registers(k ledger.PlatformKey) {
	f.t.Helper()
	f.done(shanghai, &ledger.RegisterPlatform{Platform: k})
}

// code applies a command and returns its code.
func (f *fed) code(c ledger.Command) policy.Code {
	f.t.Helper()
	return f.apply(shanghai, c).Code
}

// TestReplayInTheLog: a signed write works once: its bytes again are refused by the state, whoever leads and
// whenever a node has started again; the same request under a new nonce is answered as done; the same command again is
// not its own replay.
func TestReplayInTheLog(t *testing.T) {
	t.Parallel()
	f := federationOf(t, shanghai)
	f.registers(platformKey("k-1"))
	f.registers(platformKey("k-2"))
	mother := f.live("母亲", shanghai, resident())
	c := f.bill(shanghai, mother, "10.00")
	c.Request = f.signed("k-1")
	made := f.done(shanghai, c)
	if again := f.done(shanghai, c); !again.Replay || again.ID != made.ID {
		t.Errorf("the proposal repeated inside: %+v", again)
	}
	replayed := *c
	replayed.Request = f.arrives(c.Request)
	if code := f.code(&replayed); code != policy.CodeStaleRequest {
		t.Errorf("the same bytes again: %q", code)
	}
	// The nonce under another request and another time is as stale.
	other := f.bill(shanghai, mother, "11.00")
	other.Request = f.signed("k-1")
	other.Request.Signed.Nonce, other.Request.Signed.At = c.Request.Signed.Nonce, f.now.Add(time.Minute)
	if code := f.code(other); code != policy.CodeStaleRequest {
		t.Errorf("the nonce for something else: %q", code)
	}
	repeated := *c
	repeated.Request.Signed = f.signed("k-1").Signed
	if again := f.done(shanghai, &repeated); !again.Replay || again.ID != made.ID {
		t.Errorf("repeated under a new nonce: %+v", again)
	}
	p := f.payment(made.ID)
	if p.Request.Signed != nil || p.Request.ID != c.Request.ID {
		t.Errorf("the payment keeps %+v", p.Request)
	}
	// A refusal spends the nonce too: what is refused today could be taken tomorrow.
	cancel := &ledger.Cancel{Request: f.signed("k-2"), PaymentID: "p-310000-none"}
	if code := f.code(cancel); code != policy.CodeNotFound {
		t.Errorf("no payment: %q", code)
	}
	cancel = &ledger.Cancel{Request: f.arrives(cancel.Request), PaymentID: made.ID}
	if code := f.code(cancel); code != policy.CodeStaleRequest {
		t.Errorf("a refused request again: %q", code)
	}
	// What makes no command of its own is spent alone.
	spent := f.signed("k-2")
	f.done(shanghai, &ledger.SpendNonce{Signed: *spent.Signed})
	f.done(shanghai, &ledger.SpendNonce{Signed: *spent.Signed})
	if code := f.code(&ledger.Cancel{Request: f.arrives(spent), PaymentID: made.ID}); code !=
		policy.CodeStaleRequest {
		t.Errorf("spent alone: %q", code)
	}
}

// TestNonceWindow: by the stamps of the log a request is too old or dated too far ahead, and a nonce is kept exactly as
// long as its request could be repeated.
func TestNonceWindow(t *testing.T) {
	t.Parallel()
	f := federationOf(t, shanghai)
	f.registers(platformKey("k-1"))
	for _, c := range []struct {
		off  time.Duration
		code policy.Code
	}{
		{-ledger.NonceWindow - time.Second, policy.CodeStaleRequest},
		{-ledger.NonceWindow + time.Second, ""},
		{ledger.NonceWindow - time.Second, ""},
		{ledger.NonceWindow + time.Second, policy.CodeStaleRequest},
	} {
		r := f.signed("k-1")
		r.Signed.At = f.now.Add(c.off)
		if code := f.code(&ledger.SpendNonce{Signed: *r.Signed}); code != c.code {
			t.Errorf("dated %s: %q", c.off, code)
		}
		// Whatever time passes, the bytes never work a second time.
		for range 14 {
			f.pass(time.Minute)
			if code := f.code(&ledger.SpendNonce{Signed: *f.arrives(r).Signed}); c.code == "" &&
				code != policy.CodeStaleRequest {
				t.Fatalf("dated %s, again at %s: %q", c.off, f.now, code)
			}
		}
	}
	f.pass(2 * ledger.NonceWindow)
	f.done(shanghai, &ledger.Tick{})
	for i, n := range f.regions[shanghai].nodes {
		left := 0
		n.txn.Scan([]byte{'C'}, []byte{'D'}, func([]byte, []byte) bool {
			left++
			return true
		})
		if left > 0 && (i == 0 || f.regions[shanghai].down == 0) {
			t.Errorf("node %d still keeps %d nonces", i, left)
		}
	}
}

// TestNonceBound: a key that goes far beyond its rate is rate_limited, and nobody else is; what is over makes room.
func TestNonceBound(t *testing.T) {
	t.Parallel()
	f := federationOf(t, shanghai)
	slow := platformKey("k-slow")
	slow.Rate = 1 // (1+1) × 600 s
	f.registers(slow)
	f.registers(platformKey("k-2"))
	spend := func(key string) policy.Code {
		return f.code(&ledger.SpendNonce{Signed: *f.signed(key).Signed})
	}
	for i := range 1200 {
		if code := spend("k-slow"); code != "" {
			t.Fatalf("nonce %d: %q", i, code)
		}
	}
	if code := spend("k-slow"); code != policy.CodeRateLimited {
		t.Errorf("beyond the bound: %q", code)
	}
	if code := spend("k-2"); code != "" {
		t.Errorf("another platform: %q", code)
	}
	f.pass(ledger.NonceWindow + time.Minute)
	for range 3 { // some are forgotten with each command
		f.done(shanghai, &ledger.Tick{})
	}
	if code := spend("k-slow"); code != "" {
		t.Errorf("after the window: %q", code)
	}
}

// TestRevokedInFlight: a request that was let in before its key was revoked, and whose command comes after, does
// nothing; so does one of a key that is unknown, not yet or no longer valid.
func TestRevokedInFlight(t *testing.T) {
	t.Parallel()
	f := federationOf(t, shanghai)
	later, over := platformKey("k-later"), platformKey("k-over")
	later.From, over.Until = f.now.Add(time.Hour), f.now.Add(time.Hour)
	for _, k := range []ledger.PlatformKey{platformKey("k-1"), later, over} {
		f.registers(k)
	}
	mother := f.live("母亲", shanghai, resident())
	flying := f.bill(shanghai, mother, "10.00")
	flying.Request = f.signed("k-1")
	f.done(shanghai, &ledger.RevokePlatform{KeyID: "k-1", Reason: "lost"})
	f.refused(shanghai, flying, policy.CodeUnauthenticated)
	if p, err := f.view(shanghai).Payment(flying.PaymentID); p != nil || err != nil {
		t.Errorf("a revoked key made %+v, %v", p, err)
	}
	try := func(key string) policy.Code {
		return f.code(&ledger.SpendNonce{Signed: *f.signed(key).Signed})
	}
	for key, want := range map[string]policy.Code{
		"k-1": policy.CodeUnauthenticated, "k-none": policy.CodeUnauthenticated, "k-later": policy.CodeUnauthenticated,
		"k-over": "",
	} {
		if code := try(key); code != want {
			t.Errorf("%s: %q, want %q", key, code, want)
		}
	}
	f.pass(time.Hour)
	if a, b := try("k-later"), try("k-over"); a != "" || b != policy.CodeUnauthenticated {
		t.Errorf("an hour later: %q and %q", a, b)
	}
}

// TestPlatformKeys: a key is taken once, its terms may change, whose it is may not, and a revoked one never comes back.
func TestPlatformKeys(t *testing.T) {
	t.Parallel()
	f := federationOf(t, shanghai)
	k := platformKey("k-1")
	f.registers(k)
	if out := f.done(shanghai, &ledger.RegisterPlatform{Platform: k}); !out.Replay {
		t.Errorf("the same again: %+v", out)
	}
	k.Rate, k.Roles = 50, []string{"read"}
	f.registers(k)
	in := f.regions[shanghai].nodes[0].l.InForce().Platforms
	if got := in["k-1"]; got == nil || got.Rate != 50 || got.Roles[0] != "read" {
		t.Errorf("in force: %+v", got)
	}
	for name, change := range map[string]func(*ledger.PlatformKey){
		"platform": func(k *ledger.PlatformKey) { k.Platform = "other" },
		"region":   func(k *ledger.PlatformKey) { k.Region = "110000" },
		"public":   func(k *ledger.PlatformKey) { k.Public = []byte("other") },
	} {
		other := k
		change(&other)
		if code := f.code(&ledger.RegisterPlatform{Platform: other}); code != policy.CodeConflict {
			t.Errorf("another %s: %q", name, code)
		}
	}
	f.refused(shanghai, &ledger.RevokePlatform{KeyID: "k-none"}, policy.CodeNotFound)
	f.done(shanghai, &ledger.RevokePlatform{KeyID: "k-1", Reason: "lost"})
	if out := f.done(shanghai, &ledger.RevokePlatform{KeyID: "k-1", Reason: "found"}); !out.Replay {
		t.Errorf("revoked again: %+v", out)
	}
	f.refused(shanghai, &ledger.RegisterPlatform{Platform: k}, policy.CodeWrongState)
	// It was given to the readers as it was: nobody's copy changes under them.
	if !in["k-1"].Revoked.IsZero() {
		t.Error("a table that was handed out has changed")
	}
	for _, wrong := range []ledger.PlatformKey{{}, {ID: "k-2"}, {ID: "k-2", Platform: "p"}} {
		f.refused(shanghai, &ledger.RegisterPlatform{Platform: wrong}, policy.CodeInvalidRequest)
	}
}
