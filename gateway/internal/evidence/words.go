package evidence

import (
	"fmt"
	"strings"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/wire/wirepb"
)

// Subject is the id of what a message is about.
func Subject(body *wirepb.Body) string { return ledger.Subject(body) }

// sentence is what a message says, without who and when: "asks to hold 1.00 …".
type sentence struct{ zh, en string }

func yuan(fen int64) string { return money.Amount(fen).String() }

func moment(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339) }

// said is the line of a message whose signature is good.
func said(at time.Time, from, to string, body *wirepb.Body) Line {
	s := words(body)
	return Line{
		Time: at, Region: from,
		ZH: fmt.Sprintf("%s 告知 %s：%s（%s 签名）", from, to, s.zh, from),
		EN: fmt.Sprintf("%s told %s: %s (signed by %s)", from, to, s.en, from),
	}
}

// received is the line of a message that its receiver has signed for.
func received(at time.Time, from, to string, body *wirepb.Body) Line {
	s := words(body)
	return Line{
		Time: at, Region: to,
		ZH: fmt.Sprintf("%s 确认收到 %s 的报文：%s（%s 签名的回执）", to, from, s.zh, to),
		EN: fmt.Sprintf("%s acknowledged what %s had told it: %s (receipt signed by %s)", to, from, s.en, to),
	}
}

// revoked is the line of a signature whose key was revoked afterwards.
func revoked(r federation.Region, key string, signed time.Time, version uint64, at time.Time) Line {
	return Line{
		Time: signed, Region: string(r),
		ZH: fmt.Sprintf("%s 的密钥 %s 在目录第 %d 版（%s）中被吊销，晚于该签名所称时间。签名本身有效，但持有该密钥的人可以倒签时间："+
			"须另有在吊销之前存在的佐证（对方回执、已封存的档案）方可采信。", r, key, version, at.Format(time.RFC3339)),
		EN: fmt.Sprintf("key %s of %s was revoked by version %d of the directory (%s), after the time that the signature "+
			"claims. The signature is good, but whoever has the key could have dated it back: rely on it only with "+
			"something that shows that it existed before (the other side's receipt, a sealed archive).",
			key, r, version, at.Format(time.RFC3339)),
	}
}

// incomplete is the line of a bundle that was made without some archives.
func incomplete(b *Bundle) Line {
	names := strings.Join(b.Missing, ", ")
	return Line{
		Time: b.Prepared, Region: b.Region,
		ZH: fmt.Sprintf("%s 制作本证据包时缺少档案 %s：所列内容成立，但可能不全", b.Region, names),
		EN: fmt.Sprintf("%s made this bundle without the archives %s: what it says holds, and more may have been said",
			b.Region, names),
	}
}

// askedLine is the line of a platform's request.
func askedLine(region string, r *Request, pinned, shown bool) Line {
	path, _, _ := strings.Cut(r.Target, "?")
	act := sentence{r.Method + " " + path, r.Method + " " + path}
	for suffix, s := range map[string]sentence{
		"/v1/payments": {"发起支付", "to begin this payment"}, "/confirm": {"确认扣款", "to confirm it"},
		"/cancel": {"取消支付", "to cancel it"}, "/complete": {"补办支付", "to complete it"},
		"/refunds": {"退款", "to refund"}, "/v1/grants": {"建立共济关系", "to make this grant"},
		"/accept": {"同意共济关系", "to accept it"}, "/mandates": {"变更代缴授权", "about a premium mandate"},
	} {
		if strings.HasSuffix(path, suffix) {
			act = sentence{s.zh + "（" + act.zh + "）", s.en + " (" + act.en + ")"}
		}
	}
	key := sentence{
		fmt.Sprintf("密钥 %s 由 %s 于 %s 登记", r.KeyID, region, r.Registered.Format(time.RFC3339)),
		fmt.Sprintf("key %s as %s registered it on %s", r.KeyID, region, r.Registered.Format(time.RFC3339)),
	}
	if pinned {
		key = sentence{"密钥 " + r.KeyID + " 与另行给出者一致", "key " + r.KeyID + ", which is the one given as the platform's"}
	}
	body := sentence{"请求体摘要 " + r.Body, "digest of the body " + r.Body}
	if shown {
		body = sentence{"请求体即所出示者", "with the body that was shown"}
	}
	return Line{
		Time: r.At, Region: region,
		ZH: fmt.Sprintf("平台 %s 于 %s 请求 %s：%s，%s（平台签名，%s）", r.Platform, r.Time, region, act.zh, body.zh, key.zh),
		EN: fmt.Sprintf("platform %s asked %s at %s %s, %s (signed by the platform, %s)", r.Platform, region, r.Time, act.en,
			body.en, key.en),
	}
}

// Kind is the word for a message's kind in a trace.
func Kind(body *wirepb.Body) string {
	r := body.ProtoReflect()
	field := r.WhichOneof(r.Descriptor().Oneofs().Get(0))
	if field == nil {
		return ""
	}
	return string(field.Name())
}

func words(body *wirepb.Body) sentence {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_HoldRequest:
		m := k.HoldRequest
		return sentence{
			fmt.Sprintf("请求为共济支付 %s 冻结 %s 元（冻结号 %s，共济关系 %s，用途 %s，机构 %s，%s 前决定）", m.GetPaymentId(),
				yuan(m.GetAmount()), m.GetHoldId(), m.GetGrantId(), m.GetPurpose(), m.GetInstitution(), moment(m.GetDecideBy())),
			fmt.Sprintf("asks to hold %s for payment %s (hold %s, grant %s, purpose %s, institution %s, to be decided by %s)",
				yuan(m.GetAmount()), m.GetPaymentId(), m.GetHoldId(), m.GetGrantId(), m.GetPurpose(), m.GetInstitution(),
				moment(m.GetDecideBy())),
		}
	case *wirepb.Body_HoldAnswer:
		return holdAnswer(k.HoldAnswer)
	case *wirepb.Body_Capture:
		m := k.Capture
		return sentence{
			fmt.Sprintf("决定从冻结 %s 扣款 %s 元（指令 %s）", m.GetHoldId(), yuan(m.GetAmount()), m.GetActId()),
			fmt.Sprintf("decides to capture %s of hold %s (act %s)", yuan(m.GetAmount()), m.GetHoldId(), m.GetActId()),
		}
	case *wirepb.Body_Release:
		m := k.Release
		return sentence{
			fmt.Sprintf("决定解冻 %s（指令 %s）", m.GetHoldId(), m.GetActId()),
			fmt.Sprintf("decides to release hold %s (act %s)", m.GetHoldId(), m.GetActId()),
		}
	case *wirepb.Body_Outcome:
		m := k.Outcome
		return sentence{
			fmt.Sprintf("冻结 %s 的结果为 %s，实扣 %s 元", m.GetHoldId(), m.GetState(), yuan(m.GetCaptured())),
			fmt.Sprintf("hold %s has ended %s, %s taken", m.GetHoldId(), m.GetState(), yuan(m.GetCaptured())),
		}
	case *wirepb.Body_Enquiry:
		return sentence{
			"询问冻结 " + k.Enquiry.GetHoldId() + " 的决定", "asks what was decided about hold " + k.Enquiry.GetHoldId(),
		}
	case *wirepb.Body_EnquiryAnswer:
		m := k.EnquiryAnswer
		if m.GetUnknown() {
			return sentence{"不知道冻结 " + m.GetHoldId(), "knows nothing of hold " + m.GetHoldId()}
		}
		return sentence{"冻结 " + m.GetHoldId() + " 尚未决定", "has not decided about hold " + m.GetHoldId() + " yet"}
	case *wirepb.Body_Ticket:
		return ticketWords(k.Ticket)
	}
	return otherWords(body)
}

func holdAnswer(m *wirepb.HoldAnswer) sentence {
	if m.GetCode() != "" {
		return sentence{
			fmt.Sprintf("拒绝冻结 %s，原因 %s", m.GetHoldId(), m.GetCode()),
			fmt.Sprintf("declines hold %s: %s", m.GetHoldId(), m.GetCode()),
		}
	}
	s := sentence{
		fmt.Sprintf("已为 %s 冻结 %s 元（共济人 %s）", m.GetHoldId(), yuan(m.GetAmount()), m.GetPayer()),
		fmt.Sprintf("holds %s under %s (payer %s)", yuan(m.GetAmount()), m.GetHoldId(), m.GetPayer()),
	}
	if m.GetLimitedBy() != "" {
		s.zh += "，受限于 " + m.GetLimitedBy()
		s.en += ", limited by " + m.GetLimitedBy()
	}
	return s
}

func ticketWords(m *wirepb.Ticket) sentence {
	zh := fmt.Sprintf("参保地核验了使用人身份与凭证，许可 %s 就共济支付 %s 最多申请 %s 元，%s 前有效，可用共济关系：",
		m.GetVisitRegion(), m.GetPaymentId(), yuan(m.GetAmount()), moment(m.GetExpires()))
	en := fmt.Sprintf("the beneficiary's home has seen person and credential and lets %s ask for up to %s for payment %s "+
		"until %s, under the grants", m.GetVisitRegion(), yuan(m.GetAmount()), m.GetPaymentId(), moment(m.GetExpires()))
	var offers strings.Builder
	for _, o := range m.GetOffers() {
		offers.WriteString(" " + o.GetGrantId() + "@" + o.GetRegion())
	}
	return sentence{zh + offers.String(), en + offers.String()}
}

func otherWords(body *wirepb.Body) sentence {
	switch k := body.GetKind().(type) {
	case *wirepb.Body_Refund:
		m := k.Refund
		return sentence{
			fmt.Sprintf("请求将冻结 %s 已扣款中的 %s 元退回（退款 %s）", m.GetHoldId(), yuan(m.GetAmount()), m.GetRefundId()),
			fmt.Sprintf("asks to give back %s of what hold %s took (refund %s)", yuan(m.GetAmount()), m.GetHoldId(),
				m.GetRefundId()),
		}
	case *wirepb.Body_RefundAnswer:
		m := k.RefundAnswer
		s := sentence{
			fmt.Sprintf("退款 %s（冻结 %s）的状态为 %s", m.GetRefundId(), m.GetHoldId(), m.GetState()),
			fmt.Sprintf("refund %s of hold %s is %s", m.GetRefundId(), m.GetHoldId(), m.GetState()),
		}
		if m.GetCode() != "" {
			s.zh += "，原因 " + m.GetCode()
			s.en += ": " + m.GetCode()
		}
		return s
	case *wirepb.Body_GrantNotice:
		m := k.GrantNotice
		return sentence{
			fmt.Sprintf("共济关系 %s（%s，经 %s 渠道）现为 %s", m.GetGrantId(), m.GetRelation(), m.GetChannel(), m.GetStatus()),
			fmt.Sprintf("grant %s (%s, made through %s) is %s", m.GetGrantId(), m.GetRelation(), m.GetChannel(), m.GetStatus()),
		}
	case *wirepb.Body_MandateResult:
		m := k.MandateResult
		return sentence{
			fmt.Sprintf("代缴授权 %s 的 %d 年度结果为 %s，%s 元", m.GetMandateId(), m.GetYear(), m.GetStatus(), yuan(m.GetAmount())),
			fmt.Sprintf("the premium of %d under mandate %s is %s, %s", m.GetYear(), m.GetMandateId(), m.GetStatus(),
				yuan(m.GetAmount())),
		}
	}
	return sentence{Kind(body) + " " + Subject(body), Kind(body) + " about " + Subject(body)}
}
