package policy

import "gongji/gateway/internal/money"

// pilotFrom is the day from which the pilot regions' rules hold: the year in which the
// employee scheme began, so that a rule is in force on every day that a bill can bear.
const pilotFrom = "1999-01-01"

// pilotDecideWithinSeconds: a quarter of an hour between hold and confirm.
const pilotDecideWithinSeconds = 900

// pilotEmergencyDays: a fortnight to make the grant that an emergency did not wait for. Invented.
const pilotEmergencyDays = 14

// pilotPremiumFen: 400.00 a year, collected from September to December.
const pilotPremiumFen = 400_00

// pilotFigures are the figures of one pilot region (api.md section 6, R-16), as text so
// that they are read like any other rules.
type pilotFigures struct {
	region, cityZH  string
	share, floor    string
	outpatientVisit string // "" for no visit limit
	hotline         string
	closed          []Purpose // not open for this region's money
}

// pilots are the three regions of the testnet. Institutions are invented.
var pilots = []pilotFigures{
	{
		region: "110000", cityZH: "北京", share: "0.60", floor: "0.00",
		hotline: "010-12393",
	},
	{
		region: "310000", cityZH: "上海", share: "0.70", floor: "0.00",
		outpatientVisit: "500.00", hotline: "021-12393",
	},
	{
		region: "350100", cityZH: "福州", share: "0.70", floor: "2000.00",
		hotline: "0591-12393", closed: []Purpose{PurposeCheckup, PurposeSupplementaryInsurance},
	},
}

// PilotRegions are the regions that PilotRules knows.
func PilotRegions() []string {
	out := make([]string, 0, len(pilots))
	for _, p := range pilots {
		out = append(out, p.region)
	}
	return out
}

// PilotRules gives the built-in rules of a pilot region; ErrNoRules for another region.
func PilotRules(region string) (Rules, error) {
	for _, p := range pilots {
		if p.region == region {
			return p.rules()
		}
	}
	return Rules{}, ErrNoRules
}

func (p pilotFigures) rules() (Rules, error) {
	from, err := ParseDate(pilotFrom)
	if err != nil {
		return Rules{}, err
	}
	share, err := money.ParseShare(p.share)
	if err != nil {
		return Rules{}, err
	}
	floor, err := money.Parse(p.floor)
	if err != nil {
		return Rules{}, err
	}
	r := Rules{
		Region: p.region, EffectiveFrom: from,
		AnnualShare: share, RetainedFloor: floor,
		Relations: Relations(), Consent: ConsentPayer, Commitment: pilotCommitment(),
		Hotline: p.hotline, DecideWithinSecondsMax: pilotDecideWithinSeconds,
		Institutions: p.institutions(), EmergencyDays: pilotEmergencyDays,
		Premiums: []Premium{{
			Purpose: PurposeResidentPremium, Amount: pilotPremiumFen, SeasonFrom: 901, SeasonTo: 1231,
		}},
	}
	for _, purpose := range purposes {
		if rank(purpose, p.closed) == len(p.closed) {
			r.Purposes = append(r.Purposes, purpose)
		}
	}
	if p.outpatientVisit != "" {
		limit, err := money.Parse(p.outpatientVisit)
		if err != nil {
			return Rules{}, err
		}
		r.VisitLimits = []VisitLimit{{Purpose: PurposeOutpatient, Limit: limit}}
	}
	r = r.Normalize()
	return r, r.Validate()
}

// institutions: one of each kind; drugs, devices and consumables are a pharmacy's. A
// region designates for every purpose of R-14, also for those that it keeps its own money
// from: another region's money may serve them here.
func (p pilotFigures) institutions() []Institution {
	return []Institution{
		{
			Code: "H" + p.region + "00001", Name: p.cityZH + "示例医院", Kind: KindHospital,
			Purposes: []Purpose{
				PurposeOutpatient, PurposeInpatient, PurposeEmergency, PurposeChronic,
				PurposeCheckup, PurposeVaccine,
			},
		},
		{
			Code: "I" + p.region + "00001", Name: p.cityZH + "示例保险公司", Kind: KindInsurer,
			Purposes: []Purpose{PurposeSupplementaryInsurance},
		},
		{
			Code: "P" + p.region + "00001", Name: p.cityZH + "示例药店", Kind: KindPharmacy,
			Purposes: []Purpose{PurposeDrug, PurposeDevice, PurposeConsumable},
		},
		{
			Code: "T" + p.region + "00001", Name: p.cityZH + "示例税务所", Kind: KindTax,
			Purposes: []Purpose{PurposeResidentPremium, PurposeLTCPremium},
		},
	}
}

// pilotCommitment is an invented text; a region brings its own.
func pilotCommitment() Commitment {
	return Commitment{
		Version: "2026-01",
		Text: "I am insured in the employee scheme and let the relative named here use my personal account " +
			"for the self-borne part of medical bills, within the limits that I set and the rules of my home " +
			"region. What I declared about our relation is true. I may change, suspend or revoke this at any " +
			"time; what was held before is still settled.",
		TextZH: "本人参加职工基本医疗保险，自愿授权所列近亲属在本人设定的限额和参保地规定的范围内，" +
			"使用本人职工医保个人账户支付其医药费用中的个人负担部分。本人承诺所填亲属关系真实有效。" +
			"本人可随时变更、暂停或撤销授权，撤销前已冻结的款项仍按规定结算。",
	}
}
