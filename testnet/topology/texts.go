package topology

// rulesFrom is the day from which the testnet's rules hold: every day that a bill can bear.
const rulesFrom = "1999-01-01"

// emergencyDays is a fortnight to make the grant that an emergency did not wait for. Invented.
const emergencyDays = 14

// The commitment that payers sign on the testnet. Invented; a region brings its own.
const (
	commitmentText = "I am insured in the employee scheme and let the relative named here use my personal account for " +
		"the self-borne part of medical bills, within the limits that I set and the rules of my home region. " +
		"What I declared about our relation is true. I may change, suspend or revoke this at any time; what was " +
		"held before is still settled."
	commitmentTextZH = "本人参加职工基本医疗保险，自愿授权所列近亲属在本人设定的限额和参保地规定的范围内，" +
		"使用本人职工医保个人账户支付其医药费用中的个人负担部分。本人承诺所填亲属关系真实有效。" +
		"本人可随时变更、暂停或撤销授权，撤销前已冻结的款项仍按规定结算。"
)
