package api_test

import (
	"errors"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/policy"
)

// TestOrderOfChecks: the first failing check answers (api.md section 1). Each body has all the faults; they are
// mended one after another, and each time the next check answers.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	type mend struct {
		code    policy.Code
		pointer string
		value   any
	}
	for name, c := range map[string]struct {
		method, target string
		body           document
		mends          []mend
	}{
		"payment": {
			"POST", "/v1/payments",
			paymentBody().set("/surplus", 1).set("/request_id", "used").set("/amount", 1).set("/beneficiary/region", "999999").
				set("/decide_within_seconds", 901).set("/credential/type", "kin_account").set("/purpose", "fitness"),
			[]mend{
				{policy.CodeInvalidRequest, "/surplus", remove{}},
				{policy.CodeConflict, "/request_id", "fresh"},
				{policy.CodeInvalidRegion, "/beneficiary/region", "350100"},
				{policy.CodeInvalidAmount, "/amount", "200.01"},
				{policy.CodeInvalidRequest, "/decide_within_seconds", 900},
				{policy.CodeKinAccount, "/credential/type", "e_credential"},
				{policy.CodePurposeForbidden, "/purpose", "outpatient"},
				{policy.CodeAmountExceedsSelfBorne, "/amount", "200.00"},
				{policy.CodeOwnAccountFirst, "", nil}, // the desk's
			},
		},
		"grant": {
			"POST", "/v1/grants",
			grantBody().set("/surplus", 1).set("/request_id", "used").set("/relation", "cousin").set("/payer/region", "310000"),
			[]mend{
				{policy.CodeInvalidRequest, "/surplus", remove{}},
				{policy.CodeConflict, "/request_id", "fresh"},
				{policy.CodeInvalidRelation, "/relation", "parent"},
				{policy.CodeNotHomeRegion, "/payer/region", region},
				{policy.CodeOwnAccountFirst, "", nil},
			},
		},
		"path": {
			"POST", "/v1/payments/a%20b/confirm",
			document{"request_id": "used", "surplus": 1, "amount": "0.00"},
			[]mend{
				{policy.CodeInvalidRequest, "/surplus", remove{}},
				{policy.CodeConflict, "/request_id", "fresh"},
				{policy.CodeInvalidAmount, "/amount", "1.00"},
				{policy.CodeNotFound, "", nil},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, nil)
			if r := e.call(t, e.leader, "POST", "/v1/payments/p1/cancel", `{"request_id":"used"}`); r.status != 200 {
				t.Fatal(r.status)
			}
			e.desk.fail = &api.Error{Code: policy.CodeOwnAccountFirst}
			for _, m := range c.mends {
				r := e.call(t, e.follower, c.method, c.target, c.body.String())
				if r.problem.Code != string(m.code) {
					t.Errorf("%s: got %d %s, want %s", c.body, r.status, r.body, m.code)
				}
				if m.pointer != "" {
					c.body.set(m.pointer, m.value)
				}
			}
		})
	}
}

// TestClient: the client and the face understand each other, signed, for every call.
func TestClient(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	suite := emm.New()
	e := newEnv(t, func(d *api.Deps) {
		d.UnsignedAllowed = false
		d.Keys = keysOf(k.platform(t, "hospital", api.RoleAll))
	})
	c, err := client.New(client.Options{
		Nodes: []string{e.follower.URL}, Clock: now,
		Sign: func(message []byte) (string, []byte, error) {
			sig, err := k.private.Sign(message)
			return k.id, sig, err
		},
		Hash: func(data []byte) [crypto.HashSize]byte { return suite.Sum(data) },
	})
	if err != nil {
		t.Fatal(err)
	}
	e.nameLeader(e.follower.URL)
	ctx := t.Context()
	payer := client.Person{IDType: "01", IDNumber: payerNumber, Name: payerName, Region: region}
	beneficiary := client.Person{IDType: "01", IDNumber: beneficiaryNumber, Name: beneficiaryName, Region: "350100"}
	consent := client.Consent{Version: "2026-01", Digest: "d", Signature: "AAAA"}
	payment := client.PaymentRequest{
		RequestID: client.NewRequestID(), Beneficiary: beneficiary,
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: beneficiaryNumber},
		Institution: client.Institution{Code: "H1", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: "v", VisitDate: "2026-11-20",
		Bill:   client.Bill{ID: "b", Total: "500.00", FundPaid: "300.00", SelfBorne: "200.00"},
		Amount: "200.00",
	}
	home := beneficiary
	home.Region = region
	for name, call := range map[string]func() error{
		"commitment": func() error { _, err := c.Commitment(ctx); return err },
		"rules":      func() error { _, err := c.Rules(ctx); return err },
		"create grant": func() error {
			_, err := c.CreateGrant(ctx, client.GrantRequest{
				RequestID: client.NewRequestID(), Payer: payer, Beneficiary: beneficiary, Relation: "parent",
				Channel: "portal",
				Consent: consent, ValidFrom: "2026-11-01",
			})
			return err
		},
		"grant":         func() error { _, err := c.Grant(ctx, "g1"); return err },
		"search grants": func() error { _, err := c.SearchGrants(ctx, client.GrantSearch{Payer: &payer}); return err },
		"patch": func() error {
			_, err := c.PatchGrant(ctx, "g1", client.GrantPatch{
				RequestID: client.NewRequestID(), AnnualLimit: client.Remove(), PerPaymentLimit: client.Set("5.00"),
			})
			return err
		},
		"revoke":   func() error { _, err := c.RevokeGrant(ctx, "g1", client.NewRequestID()); return err },
		"accept":   func() error { _, err := c.AcceptGrant(ctx, "g1", client.NewRequestID()); return err },
		"renounce": func() error { _, err := c.RenounceGrant(ctx, "g1", client.NewRequestID()); return err },
		"order": func() error {
			_, err := c.SetOrder(ctx, client.OrderRequest{RequestID: client.NewRequestID(), Beneficiary: home})
			return err
		},
		"payment":      func() error { _, err := c.CreatePayment(ctx, payment); return err },
		"quote":        func() error { _, err := c.Quote(ctx, payment); return err },
		"read payment": func() error { _, err := c.Payment(ctx, "p1"); return err },
		"search payments": func() error {
			_, err := c.SearchPayments(ctx, client.PaymentSearch{VisitID: "v", Limit: 5})
			return err
		},
		"confirm": func() error {
			_, err := c.Confirm(ctx, "p1", client.Confirmation{RequestID: client.NewRequestID(), Amount: "1.00"}, 0)
			return err
		},
		"statement": func() error {
			_, err := c.Statement(ctx, client.StatementRequest{
				Person: home, Role: client.RoleBeneficiary, From: "2026-01-01", To: "2026-12-31", AllowMissing: true,
			})
			return err
		},
		"quota": func() error { _, err := c.Quota(ctx, client.QuotaRequest{Person: home}); return err },
		"complete": func() error {
			_, err := c.Complete(ctx, "p1", client.Completion{RequestID: client.NewRequestID(), Grants: []string{"g1"}})
			return err
		},
		"cancel": func() error { _, err := c.Cancel(ctx, "p1", client.NewRequestID()); return err },
	} {
		if err := call(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	a, err := c.Do(ctx, client.Request{Method: "POST", Path: "/v1/payments", Body: payment})
	if err != nil || a.Status != 200 || !a.Replay {
		t.Errorf("repeat: %+v %v", a, err)
	}
	payment.Amount = "1.00"
	var problem *client.ProblemError
	if _, err := c.CreatePayment(ctx, payment); !errors.As(err, &problem) || problem.Problem.Code != "conflict" {
		t.Errorf("other content: %v", err)
	}
}
