package regiontest

import (
	"context"
	"fmt"

	"gongji/adapters"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

// Person is a synthetic person with an account.
type Person struct {
	client.Person
	Facts ledger.Facts
}

// Number is a synthetic identity number with its check digit, of a person born in 1970 in an area: n is 0 to 999.
func Number(area string, n int) string {
	weights := [...]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	body := fmt.Sprintf("%s19700101%03d", area, n)
	sum := 0
	for i, w := range weights {
		sum += int(body[i]-'0') * w
	}
	return body + string("10X98765432"[sum%11])
}

// Employee is an insured employee of a region with a balance in fen, opened with all of it.
func Employee(region, name string, n int, balance money.Amount) Person {
	return Person{
		Person: client.Person{IDType: client.IDTypeResident, IDNumber: Number(region, n), Name: name, Region: region},
		Facts: ledger.Facts{
			Known: true, Scheme: adapters.SchemeEmployee, Status: adapters.StatusNormal, Balance: balance, Opening: balance,
		},
	}
}

// Resident is a person insured as a resident, who has no personal account.
func Resident(region, name string, n int) Person {
	p := Employee(region, name, n, 0)
	p.Facts.Scheme = adapters.SchemeResident
	return p
}

// Identity is the person as settle and the vault take it.
func (p Person) Identity() vault.Identity {
	return vault.Identity{IDType: p.IDType, Number: p.IDNumber, Name: p.Name, Region: p.Region}
}

// Key is the key of a request of one test platform; equal ids have equal digests.
func Key(id string) api.RequestKey {
	k := api.RequestKey{Platform: "test", ID: id}
	copy(k.Digest[:], id)
	return k
}

// GrantRequest is a good request for a grant at the payer's home, valid from today.
func (r *Region) GrantRequest(ctx context.Context, payer, beneficiary Person) (client.GrantRequest, error) {
	text, err := r.Desk.Commitment(ctx)
	if err != nil {
		return client.GrantRequest{}, err
	}
	return client.GrantRequest{
		Payer: payer.Person, Beneficiary: beneficiary.Person, Relation: "parent", Channel: "national_app",
		Consent:   client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c2lnbmF0dXJl"},
		Proofs:    []client.Proof{},
		ValidFrom: policy.Day(r.clock()).String(),
	}, nil
}

// Grant makes a grant at the payer's home, this region, as change leaves the request, and returns its id.
func (r *Region) Grant(
	ctx context.Context, payer, beneficiary Person, change ...func(*client.GrantRequest),
) (string, error) {
	f, err := r.GrantRequest(ctx, payer, beneficiary)
	if err != nil {
		return "", err
	}
	for _, c := range change {
		c(&f)
	}
	g, _, err := r.Desk.CreateGrant(ctx, Key("g-"+r.Vault.NewNo()), f)
	return g.GrantID, err
}

// PaymentRequest is a good request for a payment of an outpatient bill at this region's hospital: the whole bill is
// self-borne and asked for. visit names bill and visit.
func (r *Region) PaymentRequest(beneficiary Person, visit, amount string) client.PaymentRequest {
	remote, partial := true, true
	within := 900
	return client.PaymentRequest{
		Beneficiary: beneficiary.Person,
		Credential: client.Credential{
			Type: client.CredentialECredential, HolderIDNumber: beneficiary.IDNumber, RemoteUse: &remote,
		},
		Institution: client.Institution{Code: "H" + string(r.Code) + "00001", Kind: "hospital"},
		Purpose:     "outpatient", VisitID: visit, VisitDate: policy.Day(r.clock()).String(),
		Bill:   client.Bill{ID: visit, Total: amount, FundPaid: "0.00", SelfBorne: amount, OwnAccountPaid: "0.00"},
		Amount: amount, AllowPartial: &partial, Confirm: client.ConfirmManual, DecideWithinSeconds: &within,
	}
}

// Pay makes a payment at this region, as change leaves the request.
func (r *Region) Pay(
	ctx context.Context, beneficiary Person, visit, amount string, change ...func(*client.PaymentRequest),
) (client.Payment, error) {
	f := r.PaymentRequest(beneficiary, visit, amount)
	for _, c := range change {
		c(&f)
	}
	p, _, err := r.Desk.CreatePayment(ctx, Key("p-"+r.Vault.NewNo()), f)
	return p, err
}
