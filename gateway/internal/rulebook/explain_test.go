package rulebook_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// placed is a decision as an operator reads it: 60 % of 4084.00, of which much is used.
func placed() rulebook.Decision {
	return rulebook.Decision{
		HoldID: "h-310000-a-1", PaymentID: "p-310000-a", GrantID: "g-110000-1", Region: "110000", VisitRegion: "310000",
		Payer: "110101********0011", PayerName: "张*", Purpose: "outpatient",
		CheckedAt: time.Date(2026, 11, 20, 2, 3, 4, 0, time.UTC), Year: 2026,
		Status: "captured", Asked: "200.00", Held: "120.00", Captured: "100.00", LimitedBy: "annual_quota",
		Facts: &rulebook.Facts{
			RulesFrom: "2026-01-01", Scheme: 310, InsuredStatus: 1, GrantUsable: true, PairOpen: true,
			Balance: "3000.00", OpenHolds: "50.00", YearOpening: "4084.00", Credited: "0.00", UsedYear: "2330.40",
			UsedVisit: "10.00", UsedGrant: "30.00", PaymentLimit: "300.00", GrantAnnualLimit: "1000.00",
			AnnualShare: "0.60", RetainedFloor: "2000.00", VisitLimit: "500.00", Given: "120.00", LimitedBy: "annual_quota",
			Limits: []rulebook.Limit{
				{"balance_insufficient", true, "2950.00"},
				{"annual_quota", true, "120.00"},
				{"retained_floor", true, "950.00"},
				{"visit_limit", true, "490.00"},
				{"payment_limit", true, "300.00"},
				{"grant_annual_limit", true, "970.00"},
			},
		},
	}
}

// TestExplain: what an employee reads to a citizen, with every number, in both languages.
func TestExplain(t *testing.T) {
	t.Parallel()
	got, err := placed().Explain()
	if err != nil {
		t.Fatal(err)
	}
	want := rulebook.Explanation{
		EN: []string{
			"120.00 of the 200.00 asked for outpatient was given from the account of 张* (110101********0011) at 110000.",
			"What decided: " + strings.TrimSuffix(policy.CodeAnnualQuota.Message(), ".") + " (annual_quota).",
			"Taken in the end: 100.00.",
			"Decided at 2026-11-20 10:03:04 (Beijing) by the rules in force since 2026-01-01.",
			"- balance_insufficient: balance 3000.00, held 50.00, left 2950.00",
			"- annual_quota: year's quota 60% × year-opening 4084.00 = 2450.40, used 2330.40, left 120.00  <- decides",
			"- retained_floor: 2000.00 must stay in the account, left 950.00",
			"- visit_limit: 500.00 for one visit, used 10.00, left 490.00",
			"- payment_limit: the payer's limit for one payment 300.00, left 300.00",
			"- grant_annual_limit: the payer's limit for the year 1000.00, used 30.00, left 970.00",
		},
		ZH: []string{
			"本次从110000张* (110101********0011)的账户支付120.00元（门诊，申请200.00元）。",
			"起决定作用的限制：" + strings.TrimSuffix(policy.CodeAnnualQuota.MessageZH(), "。") + "（annual_quota）。",
			"最终扣款100.00元。",
			"裁定时间：2026-11-20 10:03:04（北京时间），依据2026-01-01起施行的规则。",
			"- 账户余额3000.00，已冻结50.00，余2950.00",
			"- 年度可共济额度=60%×年初余额4084.00=2450.40，已用2330.40，余120.00  ← 起决定作用",
			"- 最低留存2000.00，余950.00",
			"- 单次就诊限额500.00，本次就诊已用10.00，余490.00",
			"- 共济人设定的单笔限额300.00，余300.00",
			"- 共济人设定的年度限额1000.00，已用30.00，余970.00",
		},
	}
	if !slices.Equal(got.EN, want.EN) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got.EN, "\n"), strings.Join(want.EN, "\n"))
	}
	if !slices.Equal(got.ZH, want.ZH) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got.ZH, "\n"), strings.Join(want.ZH, "\n"))
	}
}

// TestExplainOther: what was declined, what the core gave less of, and what is worth a note.
func TestExplainOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(d *rulebook.Decision)
		en, zh string
	}{
		"nothing left": {func(d *rulebook.Decision) {
			d.Held, d.Captured, d.Status, d.Code, d.LimitedBy = "0.00", "0.00", "declined", "annual_quota", ""
		}, "Nothing of the 200.00", "未从110000"},
		"the pair": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Facts.Limits = "0.00", "region_pair_closed", nil
		}, "pair 110000 and 310000 was not open", "110000与310000之间未开放"},
		"the scheme": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Facts.Scheme, d.Facts.Limits = "0.00", "payer_scheme", 390, nil
		}, "scheme was 390", "险种为390"},
		"the status": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Facts.InsuredStatus, d.Facts.Limits = "0.00", "payer_not_insured", 2, nil
		}, "insured status 2", "参保状态为2"},
		"the purpose": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Purpose, d.Facts.Limits = "0.00", "purpose_not_open", "checkup", nil
		}, "had not opened checkup", "健康体检"},
		"the grant": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Facts.Limits = "0.00", "grant_not_active", nil
		}, "could not be used on that day", "授权当日不可使用"},
		"unknown": {func(d *rulebook.Decision) {
			d.Held, d.Code, d.Facts, d.Payer, d.PayerName = "0.00", "not_found", nil, "", ""
		}, "No facts", "没有记录"},
		"the core": {func(d *rulebook.Decision) {
			d.Held, d.LimitedBy = "80.00", "balance_insufficient"
		}, "The rules gave 120.00; the core system then placed 80.00.", "规则允许120.00元，核心系统实际冻结80.00元。"},
		"provisional": {func(d *rulebook.Decision) { d.Facts.OpeningProvisional = true }, "not published yet", "尚未公布"},
		"carried over": {func(d *rulebook.Decision) {
			d.Facts.CarriedOverOnly, d.Facts.Credited = true, "77.00"
		}, "77.00 credited this year stays", "本年划入的77.00元"},
		"virtual limit": {func(d *rulebook.Decision) {
			d.Facts.FromVirtualLimit, d.Facts.Limits[2].InForce = true, false
		}, "left of the virtual limit 3000.00", "虚拟额度余额3000.00"},
		"half a percent": {func(d *rulebook.Decision) { d.Facts.AnnualShare = "0.605" }, "60.5% ×", "60.5%×"},
	} {
		d := placed()
		c.change(&d)
		got, err := d.Explain()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if en := strings.Join(got.EN, "\n"); !strings.Contains(en, c.en) {
			t.Errorf("%s: %q is not in\n%s", name, c.en, en)
		}
		if zh := strings.Join(got.ZH, "\n"); !strings.Contains(zh, c.zh) || len(got.ZH) != len(got.EN) {
			t.Errorf("%s: %q is not in\n%s", name, c.zh, zh)
		}
	}
}

// TestExplainRefuses: a file that somebody made up is refused, and no control character of it reaches a screen.
func TestExplainRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(d *rulebook.Decision){
		"amount":  func(d *rulebook.Decision) { d.Asked = "1" },
		"balance": func(d *rulebook.Decision) { d.Facts.Balance = "" },
		"share":   func(d *rulebook.Decision) { d.Facts.AnnualShare = "60%" },
		"allows":  func(d *rulebook.Decision) { d.Facts.Limits[0].Allows = "x" },
		"limit":   func(d *rulebook.Decision) { d.Facts.Limits[0].Code = "x" },
	} {
		d := placed()
		change(&d)
		if _, err := d.Explain(); !errors.Is(err, rulebook.ErrDecision) {
			t.Errorf("%s: %v", name, err)
		}
	}
	d := placed()
	d.PayerName, d.Purpose, d.LimitedBy, d.Facts.RulesFrom = "\x1b[2J", "\x1b]", "\x1b", "\x1b"
	e, err := d.Explain()
	if err != nil || strings.Contains(strings.Join(append(e.EN, e.ZH...), ""), "\x1b") {
		t.Errorf("%v, %q", err, e)
	}
}

// TestDiff: what is new, gone or another, in the order of a document, words of lists one by one.
func TestDiff(t *testing.T) {
	t.Parallel()
	a, b := builtIn(t, "310000"), builtIn(t, "310000")
	if got, err := rulebook.Diff(a, b); err != nil || len(got) > 0 {
		t.Errorf("the same differ: %v, %v", got, err)
	}
	b = b.Normalize()
	b.AnnualShare, b.VisitLimits = 6500, nil
	b.Purposes = b.Purposes[:11]
	b.Institutions[0].Name = "上海另一示例医院"
	b.Institutions = b.Institutions[:3]
	b.OwnAccount = policy.OwnZeroOnly
	b.Pairs = []policy.Pair{{Region: "350100", From: 740_000}}
	b.Commitment.Version = "2027-01"
	got, err := rulebook.Diff(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got {
		lines = append(lines, c.String())
	}
	want := []string{
		"~ annual_share (年度可共济比例): 0.70 -> 0.65",
		"- visit_limits.outpatient (单次就诊限额): 500.00",
		"- purposes (开放用途): supplementary_insurance",
		"+ own_account (本人账户优先方式): zero_only",
		"~ commitment.version (承诺书): 2026-01 -> 2027-01",
		"+ pairs[350100 2027-01-19].region (开放的外省统筹区): 350100",
		"+ pairs[350100 2027-01-19].from (开放的外省统筹区): 2027-01-19",
		"~ institutions[H31000000001].name (定点机构): 上海示例医院 -> 上海另一示例医院",
		"- institutions[T31000000001].code (定点机构): T31000000001",
		"- institutions[T31000000001].name (定点机构): 上海示例税务所",
		"- institutions[T31000000001].kind (定点机构): tax",
		"- institutions[T31000000001].purposes (定点机构): resident_premium",
		"- institutions[T31000000001].purposes (定点机构): ltc_premium",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if _, err := rulebook.Diff(a, policy.Rules{}); !errors.Is(err, policy.ErrRules) {
		t.Errorf("no rules: %v", err)
	}
}

// FuzzExplain reads files that anybody made: no panic, both languages in step, and nothing that a screen would obey.
func FuzzExplain(f *testing.F) {
	for _, d := range []rulebook.Decision{placed(), {}, {Asked: "1.00", Held: "0.00", Captured: "0.00"}} {
		data, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d rulebook.Decision
		if json.Unmarshal(data, &d) != nil {
			return
		}
		e, err := d.Explain()
		if err != nil {
			return
		}
		if len(e.EN) != len(e.ZH) || len(e.EN) == 0 {
			t.Fatalf("%d and %d sentences", len(e.EN), len(e.ZH))
		}
		for _, s := range append(e.EN, e.ZH...) {
			if strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("%q", s)
			}
		}
	})
}
