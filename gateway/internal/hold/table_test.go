package hold_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// The table in testdata is the whole truth of the home's side. It is written by -update and read in review.
var update = flag.Bool("update", false, "write the table in testdata anew")

var (
	start    = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)
	decideBy = start.Add(15 * time.Minute)
	soon     = start.Add(10 * time.Second)
)

func fresh() *hold.Hold {
	return &hold.Hold{
		ID: "h-310000-x-1", PaymentID: "p-310000-x", Origin: "310000", GrantID: "g-110000-a",
		Asked: 10000, DecideBy: decideBy,
	}
}

// placed is a hold of 80.00 of 100.00 asked.
func placed() *hold.Hold {
	h := fresh()
	h.Request(start)
	h.Check(start, 8000, policy.CodePaymentLimit, "")
	h.CoreHeld(start, 8000)
	return h
}

// inState brings a hold into a state; of requested there are two, before and after the check of the rules.
func inState(t *testing.T, s hold.State) *hold.Hold {
	t.Helper()
	h := placed()
	switch s {
	case hold.Requested:
		h = fresh()
		h.Request(start)
		h.Check(start, 8000, policy.CodePaymentLimit, "")
	case hold.Placed:
	case hold.Declined:
		h = fresh()
		h.Request(start)
		h.Check(start, 0, "", policy.CodeVisitLimit)
	case hold.Abandoning:
		h = inState(t, hold.Requested)
		h.Release(start, "act")
	case hold.InDoubt:
		h.Expire(decideBy.Add(hold.Grace))
	case hold.Capturing:
		h.Capture(start, "act", 5000)
	case hold.Undoing:
		h.Capture(start, "act", 5000)
		h.CoreRefusedCapture(start)
	case hold.Releasing:
		h.Release(start, "act")
	case hold.Released:
		h.Release(start, "act")
		h.CoreReleased(start)
	case hold.Captured:
		h.Capture(start, "act", 5000)
		h.CoreCaptured(start, 5000)
	case hold.CaptureFailed:
		h.Capture(start, "act", 5000)
		h.CoreRefusedCapture(start)
		h.CoreReleased(start)
	}
	if h.State != s {
		t.Fatalf("%s came out as %s", s, h.State)
	}
	return h
}

type event struct {
	name string
	do   func(h *hold.Hold) ([]hold.Action, policy.Code)
}

func plain(name string, do func(h *hold.Hold) []hold.Action) event {
	return event{name, func(h *hold.Hold) ([]hold.Action, policy.Code) { return do(h), "" }}
}

func events() []event {
	far := decideBy.Add(240 * time.Hour)
	return []event{
		plain("rules allow", func(h *hold.Hold) []hold.Action { return h.Check(soon, 7000, policy.CodeVisitLimit, "") }),
		plain("rules refuse", func(h *hold.Hold) []hold.Action { return h.Check(soon, 0, "", policy.CodeAnnualQuota) }),
		plain("core holds all", func(h *hold.Hold) []hold.Action { return h.CoreHeld(soon, 8000) }),
		plain("core holds a part", func(h *hold.Hold) []hold.Action { return h.CoreHeld(soon, 1) }),
		plain("core holds nothing", func(h *hold.Hold) []hold.Action { return h.CoreHeld(soon, 0) }),
		plain("core holds too much", func(h *hold.Hold) []hold.Action { return h.CoreHeld(soon, 1<<60) }),
		plain("core refuses to hold", func(h *hold.Hold) []hold.Action {
			return h.CoreRefusedHold(soon, policy.CodeBalanceInsufficient)
		}),
		plain("capture", func(h *hold.Hold) []hold.Action { return h.Capture(soon, "act-2", 6000) }),
		plain("capture too much", func(h *hold.Hold) []hold.Action { return h.Capture(soon, "act-2", 1<<60) }),
		plain("release", func(h *hold.Hold) []hold.Action { return h.Release(soon, "act-2") }),
		plain("core captured", func(h *hold.Hold) []hold.Action { return h.CoreCaptured(soon, 5000) }),
		plain("core captured nonsense", func(h *hold.Hold) []hold.Action { return h.CoreCaptured(soon, -1) }),
		plain("core refuses to capture", func(h *hold.Hold) []hold.Action { return h.CoreRefusedCapture(soon) }),
		plain("core released", func(h *hold.Hold) []hold.Action { return h.CoreReleased(soon) }),
		plain("time, nothing due", func(h *hold.Hold) []hold.Action { return h.Expire(start) }),
		plain("time, a call is due", func(h *hold.Hold) []hold.Action { return h.Expire(soon) }),
		plain("time, decide_by", func(h *hold.Hold) []hold.Action { return h.Expire(decideBy) }),
		plain("time, long after", func(h *hold.Hold) []hold.Action { return h.Expire(far) }),
		{"one operator", func(h *hold.Hold) ([]hold.Action, policy.Code) { return h.Force(soon, "li") }},
		{"one operator twice", func(h *hold.Hold) ([]hold.Action, policy.Code) {
			_, _ = h.Force(soon, "li")
			return h.Force(soon, "li")
		}},
		{"two operators", func(h *hold.Hold) ([]hold.Action, policy.Code) {
			_, _ = h.Force(soon, "li")
			return h.Force(soon, "wang")
		}},
	}
}

func actions(list []hold.Action) string {
	words := map[hold.Action]string{
		hold.CallPerson: "call person", hold.CallHold: "call hold", hold.CallCapture: "call capture",
		hold.CallRelease: "call release", hold.TellAnswer: "tell answer", hold.TellOutcome: "tell outcome",
		hold.TellForced: "tell forced", hold.AskOrigin: "ask origin", hold.Free: "free",
	}
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, words[a])
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}

func table(b *strings.Builder, title string, of func() *hold.Hold) {
	fmt.Fprintf(b, "%s\n", title)
	for _, e := range events() {
		h := of()
		do, code := e.do(h)
		word := ""
		if code != "" {
			word = " [" + string(code) + "]"
		}
		fmt.Fprintf(b, "  %-24s → %-14s | amount %s, take %s, captured %s, counts %s | %s%s\n",
			e.name, h.State, h.Amount, h.Take, h.Captured, h.Counts(), actions(do), word)
	}
}

// TestTransitions is every state and every event.
func TestTransitions(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	table(&b, "requested, the rules not checked", func() *hold.Hold {
		h := fresh()
		h.Request(start)
		return h
	})
	for _, s := range hold.States() {
		table(&b, s.String(), func() *hold.Hold { return inState(t, s) })
	}
	compare(t, "testdata/transitions.txt", b.String())
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("%s:%d\n got %q\nwant %q", path, i+1, x, y)
		}
	}
}

// TestSomebodyMovesItOn: every state that is not final has an owner that moves it on and a time at which it wakes;
// a final one has neither. The list comes from States (design 5).
func TestSomebodyMovesItOn(t *testing.T) {
	t.Parallel()
	for _, s := range hold.States() {
		h := inState(t, s)
		if s.Final() {
			if h.Calls() != 0 || !h.WakeAt.IsZero() || len(h.Expire(h.DecideBy.Add(time.Hour*1e5))) != 0 {
				t.Errorf("%s is final, calls %d, wakes at %s", s, h.Calls(), h.WakeAt)
			}
			continue
		}
		if h.WakeAt.IsZero() {
			t.Errorf("%s never wakes", s)
		}
		owner := h.Calls()
		if s == hold.Placed || s == hold.InDoubt {
			owner = hold.AskOrigin
		}
		if owner == 0 {
			t.Errorf("nobody moves %s on", s)
		}
		// What the owner does, it does again at each deadline, for ever (design 5).
		for range 20 {
			at := h.WakeAt
			do := h.Expire(at)
			if h.State == hold.Abandoning {
				owner = hold.CallRelease // given up at decide_by, before it was placed
			}
			if len(do) != 1 || do[0] != owner || !h.WakeAt.After(at) {
				t.Fatalf("%s at its deadline: %s, wakes at %s", s, actions(do), h.WakeAt)
			}
		}
	}
}

// TestWords: the states' own words, and the words of the API (api.md section 3).
func TestWords(t *testing.T) {
	t.Parallel()
	var own, shown []string
	for _, s := range hold.States() {
		own, shown = append(own, s.String()), append(shown, s.API())
	}
	if got := strings.Join(own, " "); got != "requested placed declined abandoning in_doubt capturing undoing releasing "+
		"released captured capture_failed" {
		t.Error(got)
	}
	if got := strings.Join(shown, ","); got != "requested,placed,declined,releasing,in_doubt,capturing,capturing,"+
		"releasing,released,captured,capture_failed" {
		t.Error(got)
	}
	if hold.State(0).String() != "state(0)" || hold.State(77).API() != "state(77)" {
		t.Error("a state that is none must show as such")
	}
}

// TestLate: a hold that arrives after its own deadline holds nothing.
func TestLate(t *testing.T) {
	t.Parallel()
	h := fresh()
	do := h.Late(decideBy)
	if h.State != hold.Declined || h.Code != policy.CodeRegionUnreachable || actions(do) != "tell answer" {
		t.Errorf("%s %s: %s", h.State, h.Code, actions(do))
	}
	if money.Amount(0) != h.Counts() {
		t.Error("it counts")
	}
}
