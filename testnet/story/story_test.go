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
	if r.declined {
		return client.Payment{
			PaymentID: "p", Status: client.PaymentDeclined, Amount: q.Amount, Held: "0.00", CashDue: q.Amount,
		}, nil
	}
	return client.Payment{
		PaymentID: "p", Status: client.PaymentHeld, Amount: q.Amount, Held: q.Amount, CashDue: "0.00",
		Legs:     []client.Leg{{GrantID: "g-110000", Region: "110000", Amount: q.Amount, LimitedBy: "payment_limit"}},
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

func tell(t *testing.T, spoil func(r *region)) (story.Told, string, error) {
	t.Helper()
	regions := story.Regions{}
	var listed []client.Grant
	for _, code := range []string{"110000", "310000", "350100"} {
		r := &region{code: code, capture: client.PaymentCaptured, listed: &listed}
		spoil(r)
		regions[code] = r
	}
	var out bytes.Buffer
	told, err := story.Tell(t.Context(), regions, &out, time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC))
	return told, out.String(), err
}

func TestTell(t *testing.T) {
	for name, spoil := range map[string]func(r *region){
		"first telling":  func(*region) {},
		"told again":     func(r *region) { r.duplicate = true },
		"capture later":  func(r *region) { r.capture = client.PaymentCapturing },
		"all is used up": func(r *region) { r.declined = true },
	} {
		t.Run(name, func(t *testing.T) {
			told, text, err := tell(t, spoil)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			refusals := strings.Join(told.Refusals, " ")
			if len(told.Grants) != 2 || len(told.Payments) != 2 || refusals != "kin_account purpose_forbidden" {
				t.Errorf("told %+v", told)
			}
			for _, word := range []string{"林秀兰", "北京", "上海", "福州", "冻结", "亲情账户"} {
				if word == "冻结" && name == "all is used up" {
					continue
				}
				if !strings.Contains(text, word) {
					t.Errorf("%s is not told:\n%s", word, text)
				}
			}
		})
	}
}

func TestTellNoticesWhatIsOtherwise(t *testing.T) {
	for name, spoil := range map[string]func(r *region){
		"nobody refuses":      func(r *region) { r.generous = true },
		"a confirm that ends": func(r *region) { r.capture = client.PaymentReleased },
	} {
		t.Run(name, func(t *testing.T) {
			if _, text, err := tell(t, spoil); !errors.Is(err, story.ErrOther) {
				t.Errorf("err %v\n%s", err, text)
			}
		})
	}
}
