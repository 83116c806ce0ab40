package story_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/story"
)

// region is one region that answers as the story expects, unless a test spoils it.
type region struct {
	code      string
	duplicate bool   // the grants exist already
	declined  bool   // nothing is left
	generous  bool   // nobody refuses anything
	capture   string // status of a confirm
	bound     bool   // an earlier grant to the child pays at once
	mandated  bool   // the mandate exists
	premium   string // status of the premium
	refused   bool   // the refund fails
	later     bool   // refund and premium take a while
	forgiving bool   // a revoked grant pays on
	revoked   bool
	listed    *[]client.Grant
	asked     []client.PaymentRequest
}

func (r *region) Commitment(context.Context) (client.Commitment, error) {
	return client.Commitment{Version: "2026-01", Digest: "d"}, nil
}

func (r *region) CreateGrant(_ context.Context, q client.GrantRequest) (client.Grant, error) {
	if r.duplicate {
		return client.Grant{}, problem("duplicate_grant")
	}
	g := client.Grant{GrantID: "g-" + q.Payer.Region, Status: client.GrantActive}
	*r.listed = append(*r.listed, g)
	return g, nil
}

func (r *region) Rules(context.Context) (client.Rules, error) {
	return client.Rules{
		AnnualShare: "0.70", RetainedFloor: "2000.00", VisitLimits: map[string]string{"outpatient": "500.00"},
	}, nil
}

func (r *region) RevokeGrant(_ context.Context, id, _ string) (client.Grant, error) {
	r.revoked = true
	return client.Grant{GrantID: id, Status: client.GrantRevoked}, nil
}

func (r *region) Complete(_ context.Context, id string, _ client.Completion) (client.Payment, error) {
	if r.declined {
		return client.Payment{PaymentID: id, Status: client.PaymentDeclined}, nil
	}
	return client.Payment{
		PaymentID: id, Status: r.capture, Captured: "320.00", CashDue: "0.00",
		Legs: []client.Leg{{GrantID: "g-310000", Region: "310000", Status: "captured", Captured: "320.00"}},
	}, nil
}

func (r *region) CreateRefund(_ context.Context, _ string, q client.RefundRequest) (client.Refund, error) {
	out := client.Refund{
		RefundID: "r-1", Status: client.RefundDone, Amount: q.Amount,
		Legs: []client.RefundLeg{{GrantID: "g-110000", Region: "110000", Amount: q.Amount, Status: client.RefundDone}},
	}
	if r.later {
		out.Status = client.RefundRequested
	}
	if r.refused {
		out.Status, out.Code = client.RefundFailed, "account_closed"
	}
	return out, nil
}

func (r *region) Refund(context.Context, string, string) (client.Refund, error) {
	return client.Refund{RefundID: "r-1", Status: client.RefundDone, Amount: "86.50"}, nil
}

func (r *region) CreateMandate(_ context.Context, id string, _ client.MandateRequest) (client.Mandate, error) {
	if r.mandated {
		return client.Mandate{}, problem("conflict")
	}
	return client.Mandate{MandateID: "m-1", GrantID: id, Status: client.MandateActive}, nil
}

func (r *region) Mandates(context.Context, string) (client.MandateList, error) {
	m := client.Mandate{MandateID: "m-1", Status: client.MandateActive}
	if !r.later {
		m.Results = []client.PremiumResult{{Year: 2027, Status: r.premium, Amount: "400.00", PaymentID: "p-350100-1"}}
	}
	r.later = false
	return client.MandateList{Mandates: []client.Mandate{m}}, nil
}

func (r *region) SearchGrants(_ context.Context, q client.GrantSearch) (client.GrantList, error) {
	if q.Payer != nil {
		g := client.Grant{GrantID: "g-" + q.Payer.Region, Status: client.GrantActive}
		*r.listed = append(*r.listed, g)
		return client.GrantList{Grants: []client.Grant{{GrantID: "old", Status: client.GrantRevoked}, g}}, nil
	}
	return client.GrantList{Grants: *r.listed}, nil
}

func (r *region) SetOrder(_ context.Context, q client.OrderRequest) (client.Order, error) {
	return client.Order{Grants: q.Grants}, nil
}

func (r *region) CreatePayment(_ context.Context, q client.PaymentRequest) (client.Payment, error) {
	r.asked = append(r.asked, q)
	switch {
	case r.generous:
	case q.Credential.Type == client.CredentialKinAccount:
		return client.Payment{}, problem("kin_account")
	case q.Purpose == "fitness":
		return client.Payment{}, problem("purpose_forbidden")
	}
	if child := q.Beneficiary.Region == "310000"; child && !r.bound && q.Purpose == "emergency" {
		return client.Payment{
			PaymentID: "p-110000-e", Status: client.PaymentDeclined, Amount: q.Amount, Held: "0.00", CashDue: q.Amount,
			CompletableUntil: "2026-12-05T00:00:00+08:00",
		}, nil
	}
	if r.declined || (r.revoked && !r.forgiving && q.Purpose == "drug") {
		return client.Payment{
			PaymentID: "p", Status: client.PaymentDeclined, Amount: q.Amount, Held: "0.00", CashDue: q.Amount,
		}, nil
	}
	return client.Payment{
		PaymentID: "p", Status: client.PaymentHeld, Amount: q.Amount, Held: q.Amount, CashDue: "0.00",
		Legs: []client.Leg{
			{GrantID: "g-110000", Region: "110000", Amount: q.Amount, LimitedBy: "payment_limit"},
			{GrantID: "g-310000", Region: "310000", Amount: q.Amount, LimitedBy: "visit_limit"},
			{GrantID: "g-310000", Region: "310000", Amount: q.Amount, LimitedBy: "annual_quota"},
		},
		Declines: []client.Decline{{GrantID: "g-350100", Region: "350100", Code: "retained_floor"}},
	}, nil
}

func (r *region) Payment(context.Context, string) (client.Payment, error) {
	return client.Payment{PaymentID: "p", Status: client.PaymentCaptured, Captured: "1.00"}, nil
}

func (r *region) Confirm(context.Context, string, client.Confirmation, time.Duration) (client.Payment, error) {
	return client.Payment{
		PaymentID: "p", Status: r.capture, Captured: "1.00",
		Legs: []client.Leg{{GrantID: "g-110000", Region: "110000", Status: "captured", Captured: "1.00"}},
	}, nil
}

func (r *region) Cancel(context.Context, string, string) (client.Payment, error) {
	return client.Payment{PaymentID: "p", Status: client.PaymentReleased}, nil
}

func problem(code string) error {
	return &client.ProblemError{Problem: client.Problem{Code: code, Origin: "310000", Title: "no", TitleZH: "不"}}
}

func tell(t *testing.T, month time.Month, spoil func(r *region)) (story.Told, string, error) {
	t.Helper()
	regions := story.Regions{}
	var listed []client.Grant
	for _, code := range []string{"110000", "310000", "350100"} {
		r := &region{code: code, capture: client.PaymentCaptured, premium: client.PremiumPaid, listed: &listed}
		spoil(r)
		regions[code] = r
	}
	var out bytes.Buffer
	told, err := story.Tell(t.Context(), regions, &out, time.Date(2026, month, 20, 4, 0, 0, 0, time.UTC))
	return told, out.String(), err
}

// TestTell: the story is told to its end, also on data of an earlier telling.
func TestTell(t *testing.T) {
	november := time.November
	for name, c := range map[string]struct {
		spoil func(r *region)
		month time.Month
		says  string
	}{
		"first telling":   {func(*region) {}, november, "taken from 林建国's account (payment p-350100-1)"},
		"told again":      {func(r *region) { r.duplicate, r.mandated = true, true }, november, "was made before"},
		"still bound":     {func(r *region) { r.bound = true }, november, "under a grant of before"},
		"capture later":   {func(r *region) { r.capture = client.PaymentCapturing }, november, "captured"},
		"all of it later": {func(r *region) { r.later = true }, november, "refund r-1 of 86.50 is done"},
		"premium waits":   {func(r *region) { r.premium = client.PremiumWaiting }, november, "for 2027 is waiting"},
		"out of season":   {func(r *region) { r.premium = "" }, time.May, "nothing is taken before September"},
		"all is used up":  {func(r *region) { r.declined = true }, november, "there is nothing to give back"},
	} {
		t.Run(name, func(t *testing.T) {
			told, text, err := tell(t, c.month, c.spoil)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			refusals := strings.Join(told.Refusals, " ")
			if len(told.Grants) != 3 || len(told.Payments) != 5 || refusals != "kin_account purpose_forbidden" {
				t.Errorf("told %+v", told)
			}
			words := []string{"林秀兰", "林雨桐", "北京", "上海", "福州", "亲情账户", "撤销授权", c.says}
			if name != "all is used up" {
				words = append(words, "冻结", "give at most 500.00", "allows no more for one payment", "share 0.70")
			}
			for _, word := range words {
				if !strings.Contains(text, word) {
					t.Errorf("%s is not told:\n%s", word, text)
				}
			}
		})
	}
}

func TestTellNoticesWhatIsOtherwise(t *testing.T) {
	for name, spoil := range map[string]func(r *region){
		"nobody refuses":          func(r *region) { r.generous = true },
		"a confirm that ends":     func(r *region) { r.capture = client.PaymentReleased },
		"a refund that fails":     func(r *region) { r.refused = true },
		"a premium of no word":    func(r *region) { r.premium = "lost" },
		"a revoked grant pays on": func(r *region) { r.forgiving = true },
	} {
		t.Run(name, func(t *testing.T) {
			if _, text, err := tell(t, time.November, spoil); !errors.Is(err, story.ErrOther) {
				t.Errorf("err %v\n%s", err, text)
			}
		})
	}
}
