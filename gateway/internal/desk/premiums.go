package desk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gongji/consensus"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

// premiumWithin is how long a premium's money may be held: as long as a core system that takes the premium may be away.
const premiumWithin = 12 * time.Hour

// PremiumOrder is one attempt to have a premium paid.
type PremiumOrder struct {
	Premium ledger.PremiumRecord
	Who     vault.Identity
	Grants  []string // those with a mandate, in the order of use
}

// BeginPremium begins the payment of a premium at this region, the insured person's home. It returns why nothing was
// begun, as a code that the payers' homes are told; what the record then waits for is in the log. An error means that
// it is not known yet whether one can be begun.
func (d *Desk) BeginPremium(ctx context.Context, o PremiumOrder) (policy.Code, error) {
	if len(o.Grants) == 0 {
		return policy.CodeGrantNotActive, nil
	}
	_, f, err := d.Settle.Facts(ctx, o.Who)
	if err != nil {
		return "", err
	}
	resident := o.Premium.Purpose == policy.PurposeResidentPremium
	insured := f.Known && policy.InsuredStatus(f.Status) == policy.StatusNormal
	if !insured || (resident && policy.Scheme(f.Scheme) != policy.SchemeResident) {
		return policy.CodeBeneficiaryNotInsured, nil
	}
	form, err := d.premiumForm(o)
	if err != nil {
		return whyNot(err)
	}
	a, err := d.begin(ctx, form)
	if err != nil {
		return whyNot(err)
	}
	a.within = premiumWithin
	id := d.Vault.TimedID("p-"+string(d.Self), d.Now())
	ticket, proof, err := d.lookUp(ctx, &a, id)
	if err != nil {
		return whyNot(err)
	}
	c, err := d.payment(&a, api.RequestKey{}, id, ticket, proof)
	if err != nil {
		return "", err
	}
	c.Request, c.Premium = ledger.PremiumRequest(&o.Premium), o.Premium.Key()
	if _, err = d.propose(ctx, c); err == nil {
		return "", nil
	}
	code, err := whyNot(err)
	if code == policy.CodeWrongState {
		return "", nil // the log has gone on without this attempt
	}
	return code, err
}

// whyNot sorts an error: a refusal stands until the next attempt, everything else is tried again at once.
func whyNot(err error) (policy.Code, error) {
	if r, ok := policy.AsRefusal(err); ok {
		return r.Code, nil
	}
	e, ok := errors.AsType[*api.Error](err)
	if !ok || e.Code.Retryable() {
		return "", err
	}
	return e.Code, nil
}

// premiumForm is the payment as a platform would ask for it: at the region's tax office, for a bill of its own. The
// bill's name is made from person and year, and shows neither the person nor their number.
func (d *Desk) premiumForm(o PremiumOrder) (client.PaymentRequest, error) {
	rules, err := d.rules()
	if err != nil {
		return client.PaymentRequest{}, consensus.ErrNoLeader
	}
	p := o.Premium
	institution := ""
	for _, i := range rules.Institutions {
		if rules.Designated(i.Code, policy.KindTax, p.Purpose) {
			institution = i.Code
			break
		}
	}
	if institution == "" {
		return client.PaymentRequest{}, policy.Refuse(policy.CodeInstitutionNotDesignated, "")
	}
	whole := false
	amount := p.Amount.String()
	digest := d.Vault.Hash([]byte("premium"), []byte(p.Key()))
	bill := fmt.Sprintf("%s-%d-%s", p.Purpose, p.Year, hex.EncodeToString(digest[:10]))
	return client.PaymentRequest{
		Beneficiary: client.Person{IDType: o.Who.IDType, IDNumber: o.Who.Number, Name: o.Who.Name, Region: o.Who.Region},
		Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: o.Who.Number},
		Institution: client.Institution{Code: institution, Kind: string(policy.KindTax)},
		Purpose:     string(p.Purpose), VisitID: bill, VisitDate: policy.Day(d.Now()).String(),
		Bill:   client.Bill{ID: bill, Total: amount, FundPaid: "0.00", SelfBorne: amount, OwnAccountPaid: "0.00"},
		Amount: amount, AllowPartial: &whole, Confirm: client.ConfirmManual, Grants: o.Grants,
	}, nil
}
