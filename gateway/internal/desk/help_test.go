package desk_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
	fuzhou   = regiontest.Fuzhou
)

// world is a federation in virtual time, for tests that ask desks.
type world struct {
	*regiontest.Federation

	t          *testing.T
	bj, sh, fz *regiontest.Region
	next       int
	platform   *regiontest.Platform // who signs, where a test has one
}

func with(t *testing.T, c regiontest.Config, act func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		passes(1200 * time.Millisecond) // every leader has joined its peers
		act(t, &world{Federation: f, t: t, bj: f.Regions[beijing], sh: f.Regions[shanghai], fz: f.Regions[fuzhou]})
	})
}

func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

// open opens accounts, each at home.
func (w *world) open(people ...regiontest.Person) {
	w.t.Helper()
	for _, p := range people {
		if err := w.region(p.Region).Open(w.t.Context(), p); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) region(code string) *regiontest.Region {
	for _, r := range w.Regions {
		if string(r.Code) == code {
			return r
		}
	}
	w.t.Fatalf("no region %s", code)
	return nil
}

// grant makes a grant at the payer's home.
func (w *world) grant(payer, beneficiary regiontest.Person, change ...func(*client.GrantRequest)) string {
	w.t.Helper()
	id, err := w.region(payer.Region).Grant(w.t.Context(), payer, beneficiary, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) pay(
	r *regiontest.Region, who regiontest.Person, amount string, change ...func(*client.PaymentRequest),
) client.Payment {
	w.t.Helper()
	w.next++
	p, err := r.Pay(w.t.Context(), who, fmt.Sprint("visit-", w.next), amount, change...)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) key() api.RequestKey {
	w.next++
	return regiontest.Key(fmt.Sprint("key-", w.next))
}

// codeOf is the code of a desk's refusal; other errors show as they are.
func codeOf(err error) policy.Code {
	if err == nil {
		return "none"
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Code
	}
	if code := policy.CodeOf(err); code != "" {
		return code
	}
	return policy.Code(err.Error())
}

func refused(t *testing.T, err error, want policy.Code) {
	t.Helper()
	if got := codeOf(err); got != want {
		t.Errorf("answered %s, want %s", got, want)
	}
}

// regionOf is the right region that a refusal names.
func regionOf(err error) string {
	if e, ok := errors.AsType[*api.Error](err); ok {
		return e.Region
	}
	return ""
}

func decline(p client.Payment) string {
	out := p.Status
	for _, d := range p.Declines {
		out += " " + d.Code
	}
	return out
}
