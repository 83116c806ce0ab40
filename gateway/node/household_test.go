package node_test

import (
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/config"
)

// household is a payer and a beneficiary in two regions, and a payer where the beneficiary lives.
type household struct {
	payer, remote, child client.Person
	bj, sh               *client.Client
	nodes                []*place
}

func person(code federation.Region, p config.Person) client.Person {
	return client.Person{IDType: client.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: string(code)}
}

// grant makes a grant at the payer's home.
func (m *household) grant(t testing.TB, at *client.Client, payer client.Person) string {
	t.Helper()
	text, err := at.Commitment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g, err := at.CreateGrant(t.Context(), client.GrantRequest{
		RequestID: client.NewRequestID(), Payer: payer, Beneficiary: m.child, Relation: "child", Channel: "portal",
		Consent:   client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c2lnbmF0dXJl"},
		Proofs:    []client.Proof{},
		ValidFrom: time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly),
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.GrantID
}

func (m *household) bill(visit string) client.PaymentRequest {
	return client.PaymentRequest{
		RequestID: client.NewRequestID(), Beneficiary: m.child,
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: m.child.IDNumber},
		Institution: client.Institution{Code: "H31000000001", Kind: "hospital"}, Purpose: "outpatient",
		VisitID: visit, VisitDate: time.Now().In(time.FixedZone("", 8*60*60)).Format(time.DateOnly),
		Bill:   client.Bill{ID: visit, Total: "6000.00", FundPaid: "0.00", SelfBorne: "6000.00"},
		Amount: "300.00",
	}
}

// live makes grants, an order, quotes and payments, captured and released.
func (m *household) live(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	m.grant(t, m.sh, m.payer)
	second := m.grant(t, m.bj, m.remote)
	_, err := m.bj.SetOrder(ctx, client.OrderRequest{
		RequestID: client.NewRequestID(), Beneficiary: m.child, Grants: []string{second},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 {
		f := m.bill(fmt.Sprint("visit-", i))
		if _, err := m.sh.Quote(ctx, f); err != nil {
			t.Fatal(err)
		}
		p, err := m.sh.CreatePayment(ctx, f)
		if err != nil || p.Status != client.PaymentHeld {
			t.Fatalf("%+v, %v", p, err)
		}
		if i%2 == 0 {
			p, err = m.sh.Confirm(ctx, p.PaymentID, client.Confirmation{RequestID: client.NewRequestID()}, 0)
		} else {
			p, err = m.sh.Cancel(ctx, p.PaymentID, client.NewRequestID())
		}
		if err != nil {
			t.Fatalf("%+v, %v", p, err)
		}
	}
}
