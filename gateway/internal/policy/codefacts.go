package policy

// codeFact is what is fixed about one code.
type codeFact struct {
	code      Code
	status    int
	retryable bool
	message   string
	messageZH string
}

// codeFacts is the table of api.md section 4. R-09: what a failed binding has to be checked
// for stands in the texts; the hotline is added by the API, which knows the region.
var codeFacts = []codeFact{
	{CodeInvalidRequest, 400, false, "The request is not well formed.", "请求格式不正确。"},
	{CodeInvalidIDNumber, 400, false, "The identity number is not valid.", "公民身份号码无效。"},
	{CodeInvalidAmount, 400, false, "The amount is not valid.", "金额无效。"},
	{CodeInvalidRelation, 400, false, "This is not a relation that a grant can have.", "亲属关系无效。"},
	{CodeInvalidRegion, 400, false, "The region code is not valid.", "统筹区代码无效。"},
	{CodeUnauthenticated, 401, false, "The caller could not be identified.", "调用方身份验证失败。"},
	{CodeStaleRequest, 401, false, "The request is too old or was seen before.", "请求已过期或重复。"},
	{CodeForbidden, 403, false, "The caller's role does not allow this.", "调用方无此权限。"},
	{CodeRegionMismatch, 403, false, "A platform may ask only its own region.", "平台只能访问本统筹区。"},
	{CodeNotFound, 404, false, "There is no such thing here.", "未找到相应记录。"},
	{CodeConflict, 409, false, "The request id was used with other content.", "该请求号已用于其他内容。"},
	{CodeWrongState, 409, false, "The present state does not allow this.", "当前状态不允许此操作。"},
	{CodeExpired, 409, false, "The deadline has passed.", "已超过办理期限。"},
	{
		CodeDuplicateGrant, 409, false,
		"These two persons have a grant already; check it before making another.",
		"双方已存在共济关系，请先核对，避免重复绑定。",
	},
	{CodeNotHomeRegion, 421, false, "Another region is responsible.", "应由其他统筹区办理。"},
	{
		CodePayerScheme, 422, false,
		"Only a person insured in the employee scheme can be a payer; check the payer's scheme.",
		"共济人须参加职工基本医疗保险，请核对共济人参保险种。",
	},
	{
		CodeRelationNotAllowed, 422, false,
		"The payer's home region does not allow this relation.",
		"共济人参保地不支持该亲属关系。",
	},
	{
		CodePayerNotInsured, 422, false,
		"The payer is not in normal insured status; check the payer's insurance.",
		"共济人未处于正常参保状态，请核对共济人参保状态。",
	},
	{
		CodeBeneficiaryNotInsured, 422, false,
		"The beneficiary is not in normal insured status; check the beneficiary's insurance.",
		"使用人未处于正常参保状态，请核对使用人参保状态。",
	},
	{CodeRegionPairClosed, 422, false, "The two regions are not open to each other.", "两地尚未开通跨统筹区共济。"},
	{
		CodeConsentOutdated, 422, false,
		"The consent cites a commitment text that is not in force.",
		"所签承诺书不是现行版本，请重新签署。",
	},
	{CodeGrantNotActive, 422, false, "The grant is not active.", "共济关系未生效、已暂停或已终止。"},
	{
		CodeIdentityMismatch, 422, false,
		"The home region does not know this number under this name; check name and number.",
		"参保地查无此人或姓名与证件号码不符，请核对姓名和证件号码。",
	},
	{
		CodeKinAccount, 422, false,
		"A kin account shows a relative's own code and cannot use a payer's money.",
		"亲情账户不是家庭共济，不能使用共济人资金。",
	},
	{
		CodeAmountExceedsSelfBorne, 422, false,
		"More than the self-borne part of the bill was asked.",
		"申请金额超过账单个人负担部分。",
	},
	{
		CodeOwnAccountFirst, 422, false,
		"The beneficiary's own personal account has to be used first.",
		"应先使用使用人本人个人账户。",
	},
	{
		CodeCredentialMismatch, 422, false,
		"The credential does not belong to the beneficiary.",
		"就医凭证与使用人不符。",
	},
	{
		CodeRemoteUseRequired, 422, false,
		"Away from home, remote use must be switched on or the e-credential be used.",
		"异地使用须开通异地使用或出示医保电子凭证。",
	},
	{CodePurposeForbidden, 422, false, "This purpose is never allowed.", "该用途不属于共济支付范围。"},
	{
		CodePurposeNotOpen, 422, false,
		"The payer's home region has not opened this purpose.",
		"共济人参保地未开通该用途。",
	},
	{
		CodeInstitutionNotDesignated, 422, false,
		"The institution is not designated for this purpose.",
		"该机构不是该用途的定点机构。",
	},
	{CodeBalanceInsufficient, 422, false, "The balance does not suffice.", "个人账户可用余额不足。"},
	{CodeAnnualQuota, 422, false, "The account's quota of the year is used up.", "已达个人账户年度共济额度。"},
	{
		CodeRetainedFloor, 422, false,
		"What remains must stay in the account.",
		"个人账户余额须保留规定金额。",
	},
	{CodeVisitLimit, 422, false, "The limit for one visit is reached.", "已达单次就诊限额。"},
	{CodePaymentLimit, 422, false, "The payer's limit for one payment is reached.", "已达共济人设定的单笔限额。"},
	{CodeGrantAnnualLimit, 422, false, "The payer's limit for the year is reached.", "已达共济人设定的年度限额。"},
	{CodeRefundExceedsCaptured, 422, false, "More than was captured cannot be refunded.", "退款金额超过已扣金额。"},
	{CodeAccountClosed, 422, false, "The personal account is closed.", "个人账户已注销。"},
	{CodeRateLimited, 429, true, "Too many requests.", "请求过于频繁。"},
	{CodeNotSupported, 501, false, "This part is not built yet.", "该功能尚未开通。"},
	{CodeCoreUnavailable, 502, true, "The region's core system cannot be reached.", "参保地核心业务系统暂不可用。"},
	{CodeRegionUnreachable, 502, true, "The region did not answer.", "相关统筹区暂无响应。"},
	{CodeNoLeader, 503, true, "The region has no leader at the moment.", "系统正在切换主节点。"},
	{CodeTimeout, 504, true, "There was no answer in time.", "处理超时。"},
}
