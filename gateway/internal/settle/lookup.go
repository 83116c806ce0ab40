package settle

import (
	"context"
	"fmt"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// offersMax is how many grants a look-up offers: more than a payment ever asks.
const offersMax = 32

// Facts asks the region's Book or core about a person. Known is false for a number that the region does not know, or
// knows under another name. no is the person number, empty for a person whom the state does not know. Errors:
// adapters.ErrUnavailable and ErrUnknown.
func (s *Settler) Facts(ctx context.Context, who vault.Identity) (string, ledger.Facts, error) {
	no, f, _, err := s.facts(ctx, who)
	return no, f, err
}

// facts are Facts, and whether the number itself is unknown to the core system, under any name.
//
//nolint:revive // the fourth result is what only a look-up asks for
func (s *Settler) facts(ctx context.Context, who vault.Identity) (string, ledger.Facts, bool, error) {
	var no string
	var f ledger.Facts
	err := s.Vault.Finding(who, func(tokens ledger.Tokens) error {
		return s.Log.Read(ctx, func(r consensus.Reader) error {
			v := s.Ledger.View(r)
			found, failed := v.Find(tokens)
			if failed != nil || found.Person == nil {
				return failed
			}
			no = found.No
			if s.Core != nil || !found.Named {
				return nil
			}
			f, _, failed = v.Account(no)
			return failed
		})
	})
	if err != nil || s.Core == nil {
		return no, f, false, err
	}
	f, reason, err := s.coreFacts(ctx, who)
	return no, f, reason == adapters.ReasonUnknownPerson, err
}

// coreFacts asks a core outside. A refusal gives facts of nobody, and its reason.
func (s *Settler) coreFacts(ctx context.Context, who vault.Identity) (ledger.Facts, adapters.Reason, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timing.CoreCall)
	defer cancel()
	a, err := s.Core.Person(ctx, corePerson(who))
	if refused(err) {
		return ledger.Facts{}, adapters.ReasonOf(err), nil
	}
	if err != nil {
		return ledger.Facts{}, "", fmt.Errorf("settle: the core was asked about a person: %w", err)
	}
	return factsOf(a), "", nil
}

// endInsurance has the grants to a beneficiary end whose insurance here has ended, as a look-up has just found.
// A look-up that finds nothing to end writes nothing; one that cannot write leaves it to the next one, or to the sweep.
func (t *term) endInsurance(ctx context.Context, no string) error {
	ends := false
	err := t.s.Log.Read(ctx, func(r consensus.Reader) error {
		var err error
		ends, err = t.s.Ledger.View(r).EndsNow(no, t.s.Now())
		return err
	})
	if err != nil || !ends {
		return err
	}
	_ = t.propose(ctx, &ledger.EndInsurance{Person: no})
	return nil
}

func corePerson(who vault.Identity) adapters.Person {
	return adapters.Person{IDType: who.IDType, Number: who.Number, Name: who.Name}
}

func factsOf(a adapters.Account) ledger.Facts {
	return ledger.Facts{
		Known: true, Scheme: a.Scheme, Status: a.Status, Balance: money.Amount(a.Balance), Held: money.Amount(a.Held),
		Year: a.Year, Opening: money.Amount(a.Opening), Provisional: a.Provisional, Credited: money.Amount(a.Credited),
	}
}

// lookUp is the beneficiary's home's part of a payment: identity, insured status, credential, own account, and the
// grants in order (design 5). What it answers is signed, and is the ticket that payers' homes ask for.
func (t *term) lookUp(
	ctx context.Context, from federation.Region, q *wirepb.LookUp, who vault.Identity,
) (*wirepb.Ticket, error) {
	ticket := &wirepb.Ticket{
		PaymentId: q.GetPaymentId(), VisitRegion: string(from), Amount: q.GetAmount(), Expires: q.GetExpires(),
	}
	if who.Region != string(t.s.Self) {
		ticket.Code = string(policy.CodeIdentityMismatch)
		return ticket, nil
	}
	if from != t.s.Self && q.GetCredential() != "e_credential" && !q.GetRemoteUse() {
		ticket.Code = string(policy.CodeRemoteUseRequired)
		return ticket, nil
	}
	no, f, unknown, err := t.s.facts(ctx, who)
	if err != nil {
		return nil, err
	}
	// A wrong name proves nothing about the number's owner; the core's word on the number does.
	if no != "" && (unknown || f.Known && f.Standing().BeneficiaryGone()) {
		if err = t.endInsurance(ctx, no); err != nil {
			return nil, err
		}
	}
	if err = grant.CheckBeneficiary(f.Standing()); err != nil {
		ticket.Code = string(policy.CodeOf(err))
		return ticket, nil
	}
	rules, err := t.s.Ledger.InForce().Rules.At(policy.Day(t.s.Now()))
	if err != nil {
		rules = nil // a region without rules: the own account pays along
	}
	err = rules.CheckOwnAccount(
		f.Balance.Less(f.Held), money.Amount(q.GetSelfBorne()), money.Amount(q.GetOwnAccountPaid()))
	if err != nil {
		ticket.Code = string(policy.CodeOf(err))
		return ticket, nil
	}
	return ticket, t.offer(ctx, no, q, ticket)
}

// offer writes the grants that may be asked into the ticket, in the order of use, and those that may not with the
// reason.
func (t *term) offer(ctx context.Context, no string, q *wirepb.LookUp, ticket *wirepb.Ticket) error {
	day := policy.Day(t.s.Now())
	var ordered []ledger.IndexRecord
	err := t.s.Log.Read(ctx, func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		var err error
		if q.GetNamed() {
			ordered, err = named(v, no, q.GetGrants(), ticket)
			return err
		}
		if no != "" {
			ordered, err = v.InOrder(no, day)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range ordered {
		e, home := ordered[i].Entry, ordered[i].PayerRegion
		switch e.Disposition(day) {
		case grant.Ask:
			if len(ticket.Offers) < offersMax {
				ticket.Offers = append(ticket.Offers, &wirepb.Offer{GrantId: e.ID, Region: home})
			}
		case grant.Decline:
			ticket.Declines = append(ticket.Declines, &wirepb.GrantDecline{
				GrantId: e.ID, Region: home, Code: string(policy.CodeGrantNotActive),
			})
		case grant.PassOver:
		}
	}
	return nil
}

// named keeps the grants that a payment names, in that order; what is not this person's is declined as unknown.
func named(v ledger.View, no string, ids []string, ticket *wirepb.Ticket) ([]ledger.IndexRecord, error) {
	var out []ledger.IndexRecord
	for _, id := range ids {
		rec, err := v.Indexed(id)
		if err != nil {
			return nil, err
		}
		if rec != nil && rec.Beneficiary == no {
			out = append(out, *rec)
			continue
		}
		ticket.Declines = append(ticket.Declines, &wirepb.GrantDecline{GrantId: id, Code: string(policy.CodeNotFound)})
	}
	return out, nil
}

// quote says what a payer's home would hold.
func (t *term) quote(
	ctx context.Context, from federation.Region, q *wirepb.Quote, who vault.Identity,
) (*wirepb.QuoteAnswer, error) {
	facts, err := t.payerFacts(ctx, q.GetGrantId())
	if err != nil {
		return nil, err
	}
	var out ledger.Quoted
	err = t.s.Vault.Finding(who, func(tokens ledger.Tokens) error {
		return t.s.Log.Read(ctx, func(r consensus.Reader) error {
			var failed error
			out, failed = t.s.Ledger.View(r).Quote(t.s.Now(), ledger.Wanted{
				Origin: from, GrantID: q.GetGrantId(), Amount: money.Amount(q.GetAmount()),
				Purpose: policy.Purpose(q.GetPurpose()), Institution: q.GetInstitution(), VisitID: q.GetVisitId(),
				Beneficiary: tokens,
			}, facts, t.s.Ledger.InForce())
			return failed
		})
	})
	return &wirepb.QuoteAnswer{
		Amount: out.Amount.Fen(), LimitedBy: string(out.LimitedBy), Code: string(out.Code),
		Payer: out.Payer, PayerName: out.PayerName,
	}, err
}

// payerFacts asks a core outside about the payer of a grant; nil with a Book.
func (t *term) payerFacts(ctx context.Context, grantID string) (*ledger.Facts, error) {
	if t.s.Core == nil {
		return nil, nil //nolint:nilnil // the Book is in the state
	}
	var sealed []byte
	err := t.s.Log.Read(ctx, func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		g, err := v.Grant(grantID)
		if err != nil || g == nil {
			return err
		}
		p, err := v.Person(string(g.Payer))
		if p != nil {
			sealed = p.Sealed
		}
		return err
	})
	if err != nil || sealed == nil {
		return &ledger.Facts{}, err
	}
	who, err := t.s.Vault.Open(sealed)
	if err != nil {
		return nil, err
	}
	f, _, err := t.s.coreFacts(ctx, who)
	return &f, err
}

// checkPerson says whether a person is known here and insured, for a grant made elsewhere.
func (t *term) checkPerson(ctx context.Context, who vault.Identity) (*wirepb.CheckPersonAnswer, error) {
	a := &wirepb.CheckPersonAnswer{}
	if who.Region != string(t.s.Self) {
		return a, nil
	}
	_, f, err := t.s.Facts(ctx, who)
	if err != nil {
		return nil, err
	}
	a.Known = f.Known
	a.Scheme, a.Status = int32(f.Scheme), int32(f.Status) //nolint:gosec // dictionary words of three digits
	return a, nil
}
