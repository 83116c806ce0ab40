package rulebook

import (
	"fmt"
	"strconv"
	"strings"

	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// numbers are the figures of Facts.
type numbers struct {
	balance, holds, opening, credited, usedYear, usedVisit, usedGrant money.Amount
	paymentLimit, grantLimit, floor, visitLimit, given                money.Amount
	share                                                             money.Share
	allows                                                            map[string]money.Amount // of those in force
}

func (f *Facts) numbers() (numbers, error) {
	n := numbers{allows: map[string]money.Amount{}}
	for _, a := range []struct {
		text string
		into *money.Amount
	}{
		{f.Balance, &n.balance},
		{f.OpenHolds, &n.holds},
		{f.YearOpening, &n.opening},
		{f.Credited, &n.credited},
		{f.UsedYear, &n.usedYear},
		{f.UsedVisit, &n.usedVisit},
		{f.UsedGrant, &n.usedGrant},
		{f.PaymentLimit, &n.paymentLimit},
		{f.GrantAnnualLimit, &n.grantLimit},
		{f.RetainedFloor, &n.floor},
		{f.VisitLimit, &n.visitLimit},
		{f.Given, &n.given},
	} {
		v, err := money.Parse(a.text)
		if err != nil {
			return n, fmt.Errorf("amount %s", shownQuoted(a.text))
		}
		*a.into = v
	}
	share, err := money.ParseShare(f.AnnualShare)
	if err != nil {
		return n, fmt.Errorf("share %s", shownQuoted(f.AnnualShare))
	}
	n.share = share
	for _, l := range f.Limits {
		v, err := money.Parse(l.Allows)
		if err != nil || !policy.Code(l.Code).Valid() {
			return n, fmt.Errorf("limit %s %s", shownQuoted(l.Code), shownQuoted(l.Allows))
		}
		if l.InForce {
			n.allows[l.Code] = v
		}
	}
	return n, nil
}

// limits says each limit that was in force with its numbers.
func (d Decision) limits(e *Explanation, n numbers) {
	balance, balanceZH := "balance", "账户余额"
	if d.Facts.FromVirtualLimit {
		balance, balanceZH = "left of the virtual limit", "虚拟额度余额"
	}
	lines := []struct {
		code   policy.Code
		en, zh string
	}{
		{
			policy.CodeBalanceInsufficient, fmt.Sprintf("%s %s, held %s", balance, n.balance, n.holds),
			fmt.Sprintf("%s%s，已冻结%s", balanceZH, n.balance, n.holds),
		},
		{policy.CodeAnnualQuota, quota(n), quotaZH(n)},
		{policy.CodeRetainedFloor, fmt.Sprintf("%s must stay in the account", n.floor), fmt.Sprintf("最低留存%s", n.floor)},
		{
			policy.CodeVisitLimit, fmt.Sprintf("%s for one visit, used %s", n.visitLimit, n.usedVisit),
			fmt.Sprintf("单次就诊限额%s，本次就诊已用%s", n.visitLimit, n.usedVisit),
		},
		{
			policy.CodePaymentLimit, fmt.Sprintf("the payer's limit for one payment %s", n.paymentLimit),
			fmt.Sprintf("共济人设定的单笔限额%s", n.paymentLimit),
		},
		{
			policy.CodeGrantAnnualLimit, fmt.Sprintf("the payer's limit for the year %s, used %s", n.grantLimit, n.usedGrant),
			fmt.Sprintf("共济人设定的年度限额%s，已用%s", n.grantLimit, n.usedGrant),
		},
	}
	for _, l := range lines {
		allows, inForce := n.allows[string(l.code)]
		if !inForce {
			continue
		}
		mark, markZH := "", ""
		if string(l.code) == d.Facts.LimitedBy {
			mark, markZH = "  <- decides", "  ← 起决定作用"
		}
		e.say(fmt.Sprintf("- %s: %s, left %s%s", l.code, l.en, allows, mark),
			fmt.Sprintf("- %s，余%s%s", l.zh, allows, markZH))
	}
	d.notes(e, n)
}

// notes says what a reader could otherwise wonder about.
func (d Decision) notes(e *Explanation, n numbers) {
	if d.Facts.OpeningProvisional {
		e.say("The year-opening balance was not published yet: the balance at first touch stood for it.",
			"年初余额当时尚未公布，以首次使用时的余额代替。")
	}
	if d.Facts.CarriedOverOnly {
		e.say(fmt.Sprintf("Only the carried-over balance is shared: %s credited this year stays.", n.credited),
			fmt.Sprintf("仅限共济历年结余：本年划入的%s元不参与共济。", n.credited))
	}
	if d.LimitedBy != d.Facts.LimitedBy && d.LimitedBy != "" {
		e.say(fmt.Sprintf("The rules gave %s; the core system then placed %s.", n.given, d.Held),
			fmt.Sprintf("规则允许%s元，核心系统实际冻结%s元。", n.given, d.Held))
	}
}

func quota(n numbers) string {
	return fmt.Sprintf("year's quota %s × year-opening %s = %s, used %s", percent(n.share), n.opening,
		n.share.Of(n.opening), n.usedYear)
}

func quotaZH(n numbers) string {
	return fmt.Sprintf("年度可共济额度=%s×年初余额%s=%s，已用%s", percent(n.share), n.opening, n.share.Of(n.opening),
		n.usedYear)
}

// percent writes a share in ten-thousandths: 60%, 60.5%.
func percent(s money.Share) string {
	whole, rest := int(s)/100, int(s)%100
	if rest == 0 {
		return strconv.Itoa(whole) + "%"
	}
	return strings.TrimSuffix(fmt.Sprintf("%d.%02d", whole, rest), "0") + "%"
}
