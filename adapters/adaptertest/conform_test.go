package adaptertest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
)

var (
	anna    = adapters.Person{IDType: "01", Number: "110101199003070017", Name: "安娜"}
	boris   = adapters.Person{IDType: "01", Number: "110101198507150025", Name: "伯仁"}
	celia   = adapters.Person{IDType: "01", Number: "110101201012120033", Name: "赛丽"}
	nobody  = adapters.Person{IDType: "01", Number: "110101197001010041", Name: "无名"}
	keepAll = adapters.Capabilities{
		NativeHolds: true, RemembersRefusals: true, ReleaseIsFinal: true, Premiums: true,
	}
)

// town returns a core with the persons of a conformance run.
func town(o adaptertest.SimOptions) *adaptertest.SimCore {
	o.Clock = time.Now
	core := adaptertest.NewCoreWith(o)
	core.AddPerson(anna, adapters.Account{Scheme: 310, Status: 1, Balance: 5000})
	core.AddPerson(boris, adapters.Account{Scheme: 310, Status: 2, Balance: 5000})
	core.AddPerson(celia, adapters.Account{Scheme: 390, Status: 1})
	return core
}

func options() adaptertest.ConformOptions {
	return adaptertest.ConformOptions{
		Person: anna, Unknown: nobody, Suspended: &boris, Resident: &celia, RefPrefix: "run1-",
		Clock: time.Now, DelayMax: 2 * adaptertest.ForgetAfter,
		PremiumYear: 2100,
	}
}

func conform(t *testing.T, core adapters.Core) adaptertest.Report {
	t.Helper()
	report, err := adaptertest.Conform(t.Context(), core, options())
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestConformity: a core that keeps the contract conforms, and the report shows nobody.
func TestConformity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core := town(adaptertest.SimOptions{Claims: keepAll, Page: 7})
		report := adaptertest.RunCoreContract(t, core, options())
		if !report.OK() || !strings.Contains(report.String(), "result: conforms") {
			t.Errorf("a good core does not conform:\n%s", report)
		}
		if err := core.Check(); err != nil {
			t.Error(err)
		}
		if strings.Contains(report.String(), anna.Number) || strings.Contains(report.String(), anna.Name) {
			t.Error("the report shows an identity")
		}
	})
}

// TestConformityUnderFaults holds that the simulated core never breaks a rule, whatever happens on the
// line, as long as its caller repeats with the same reference.
func TestConformityUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			core := town(adaptertest.SimOptions{Seed: seed, Claims: keepAll, Faults: adaptertest.Some(60), Page: 7})
			adaptertest.RunCoreContract(t, core, options())
			core.RunPending()
			if err := core.Check(); err != nil {
				t.Error(err)
			}
			met := core.Met()
			if met.Unavailable == 0 || met.UnknownDone == 0 || met.UnknownLost == 0 || met.LateEffects == 0 ||
				met.Twice == 0 || met.Slow == 0 {
				t.Errorf("seed %d met no fault of some kind: %+v", seed, met)
			}
		})
	}
}

// TestProfiles holds that the run finds out what a core can do, and what it claims without doing it.
func TestProfiles(t *testing.T) {
	t.Parallel()
	one := adapters.Capabilities{NativeHolds: true, RemembersRefusals: true}
	two := adapters.Capabilities{NativeHolds: true, ReleaseIsFinal: true}
	neither := adapters.Capabilities{NativeHolds: true}
	cases := []struct {
		name   string
		claims adapters.Capabilities
		absent string // the rule whose checks are absent
		ok     bool
		result string
	}{
		{"rule 1 alone", one, "2", true, "result: conforms"},
		{"rule 2 alone", two, "1", true, "result: conforms"},
		{"neither", neither, "1", false, "result: not admitted"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				report := conform(t, town(adaptertest.SimOptions{Claims: c.claims}))
				if report.OK() != c.ok || !strings.Contains(report.String(), c.result) {
					t.Errorf("want %q:\n%s", c.result, report)
				}
				if !found(report, c.absent, adaptertest.Absent) {
					t.Errorf("no check of rule %s is absent:\n%s", c.absent, report)
				}
			})
		})
	}
}

func found(report adaptertest.Report, rule string, verdict adaptertest.Verdict) bool {
	for _, c := range report.Checks {
		if c.Rule == rule && c.Verdict == verdict {
			return true
		}
	}
	return false
}

// TestFlaws is the test of the test: each way of breaking the contract is found, under the right rule.
func TestFlaws(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		flaw adaptertest.Flaw
		rule string
	}{
		{"forgets refusals", adaptertest.FlawForgetsRefusals, "1"},
		{"holds again after capture", adaptertest.FlawHoldsAgain, "1"},
		{"another answer to a repeat", adaptertest.FlawAnswerChanges, "1"},
		{"captures again", adaptertest.FlawCapturesAgain, "1"},
		{"refunds again", adaptertest.FlawRefundsAgain, "1"},
		{"ignores content", adaptertest.FlawIgnoresContent, "1"},
		{"forgets an early release", adaptertest.FlawForgetsRelease, "2"},
		{"holds again after release", adaptertest.FlawHoldsReleased, "2"},
		{"forgets a void", adaptertest.FlawForgetsVoid, "2"},
		{"keeps the rest", adaptertest.FlawKeepsRest, "3"},
		{"forgets references", adaptertest.FlawForgetsReferences, "4"},
		{"lets holds lapse", adaptertest.FlawLapses, "5"},
		{"ignores not_after", adaptertest.FlawIgnoresNotAfter, "late"},
		{"releases what is captured", adaptertest.FlawReleasesCaptured, "1"},
		{"ignores the floor", adaptertest.FlawIgnoresFloor, "money"},
		{"ignores other holds", adaptertest.FlawIgnoresHolds, "money"},
		{"ignores names", adaptertest.FlawIgnoresNames, "person"},
		{"captures above the hold", adaptertest.FlawCapturesAbove, "money"},
		{"refunds above the capture", adaptertest.FlawRefundsAbove, "money"},
		{"status forgets", adaptertest.FlawStatusForgets, "1"},
		{"entries skip", adaptertest.FlawEntriesSkip, "entries"},
		{"takes bad input", adaptertest.FlawTakesInvalid, "input"},
		{"says nothing of holds", adaptertest.FlawUntruthfulOpenHolds, "money"},
		{"pays a premium twice", adaptertest.FlawPaysPremiumTwice, "premium"},
		{"forgets a refused premium", adaptertest.FlawForgetsPremiums, "premium"},
	}
	var all adaptertest.Flaw
	for _, c := range cases {
		all |= c.flaw
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				report := conform(t, town(adaptertest.SimOptions{Claims: keepAll, Flaws: c.flaw, Page: 3}))
				if report.OK() || !found(report, c.rule, adaptertest.Broken) {
					t.Errorf("a broken rule %s was not found:\n%s", c.rule, report)
				}
			})
		})
	}
	if all != adaptertest.FlawsAll {
		t.Errorf("flaws without a case: %b", all^adaptertest.FlawsAll)
	}
}

func TestConformOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, spoil := range map[string]func(o *adaptertest.ConformOptions){
			"no clock":     func(o *adaptertest.ConformOptions) { o.Clock = nil },
			"no prefix":    func(o *adaptertest.ConformOptions) { o.RefPrefix = "" },
			"long prefix":  func(o *adaptertest.ConformOptions) { o.RefPrefix = strings.Repeat("x", 33) },
			"delay":        func(o *adaptertest.ConformOptions) { o.DelayMax = -1 },
			"no account":   func(o *adaptertest.ConformOptions) { o.Person = nobody },
			"poor account": func(o *adaptertest.ConformOptions) { o.Person = celia },
		} {
			o := options()
			spoil(&o)
			if _, err := adaptertest.Conform(t.Context(), town(adaptertest.SimOptions{Claims: keepAll}), o); err == nil {
				t.Errorf("%s: the run began", name)
			}
		}
		o := options()
		o.Suspended, o.Resident = nil, nil
		report, err := adaptertest.Conform(t.Context(), town(adaptertest.SimOptions{Claims: keepAll}), o)
		if err != nil || !report.OK() || !found(report, "person", adaptertest.NotRun) {
			t.Errorf("without the other persons: %v\n%s", err, report)
		}
		down := town(adaptertest.SimOptions{Claims: keepAll, Faults: adaptertest.Faults{Down: true}})
		if _, err := adaptertest.Conform(t.Context(), down, options()); err == nil {
			t.Error("the run began on a core that is down")
		}
	})
}
