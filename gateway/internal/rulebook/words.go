package rulebook

import (
	"strings"

	"gongji/gateway/internal/policy"
)

// labels are the keys of a document in Chinese.
var labels = map[string]string{
	"region":                    "统筹区",
	"effective_from":            "施行日期",
	"annual_share":              "年度可共济比例",
	"retained_floor":            "最低留存金额",
	"visit_limits":              "单次就诊限额",
	"decide_within_seconds_max": "冻结时限（秒）",
	"purposes":                  "开放用途",
	"relations":                 "允许的亲属关系",
	"hotline":                   "服务热线",
	"purpose_shares":            "特定用途比例",
	"carried_over_only":         "仅限历年结余",
	"purposes_by_scope":         "按范围开放用途",
	"own_account":               "本人账户优先方式",
	"consent":                   "同意方式",
	"commitment":                "承诺书",
	"pairs":                     "开放的外省统筹区",
	"emergency_days":            "急诊补办期限（天）",
	"premiums":                  "代缴保费",
	"institutions":              "定点机构",
	"sources":                   "依据",
}

// purposesZH are the purposes in Chinese.
var purposesZH = map[string]string{
	string(policy.PurposeOutpatient):             "门诊",
	string(policy.PurposeInpatient):              "住院",
	string(policy.PurposeEmergency):              "急诊",
	string(policy.PurposeChronic):                "门诊慢特病",
	string(policy.PurposeDrug):                   "购药",
	string(policy.PurposeDevice):                 "医疗器械",
	string(policy.PurposeConsumable):             "医用耗材",
	string(policy.PurposeResidentPremium):        "居民医保参保缴费",
	string(policy.PurposeLTCPremium):             "长期护理保险缴费",
	string(policy.PurposeCheckup):                "健康体检",
	string(policy.PurposeVaccine):                "自费疫苗",
	string(policy.PurposeSupplementaryInsurance): "政府指导的补充保险",
}

// labelZH is a field's key in Chinese, "" for an unknown one.
func labelZH(f string) string {
	top, _, _ := strings.Cut(f, ".")
	top, _, _ = strings.Cut(top, "[")
	return labels[top]
}

// purposeZH is a purpose in Chinese, the word itself for an unknown one.
func purposeZH(p string) string {
	if zh, ok := purposesZH[p]; ok {
		return zh
	}
	return p
}
