package premium

import (
	"context"
	"errors"
	"log/slog"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/gateway/internal/desk"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

func (t *term) work(ctx context.Context) error {
	for {
		select {
		case key := <-t.queue:
			t.mu.Lock()
			delete(t.known, key) // from here on a change queues it anew
			t.mu.Unlock()
			if err := t.carryOut(ctx, key); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// carryOut does the leader's part for one premium. What brings no answer is tried again when the premium wakes.
func (t *term) carryOut(ctx context.Context, key string) error {
	o, err := t.read(ctx, key)
	if err != nil || o == nil {
		return err
	}
	switch report, failed := t.ask(ctx, o); {
	case failed != nil:
		t.c.Metrics.undecided()
		t.c.Logger.LogAttrs(ctx, slog.LevelDebug, "a premium is tried again",
			slog.String("state", o.Premium.State.String()), slog.String("error", failed.Error()))
	case report != nil:
		report.Key, report.Attempt = key, o.Premium.Attempt
		t.propose(ctx, ledger.EncodeCommand(report))
	}
	return nil
}

// read gathers what stands in the state about a premium that waits for the leader; nil if none waits any more.
func (t *term) read(ctx context.Context, key string) (*desk.PremiumOrder, error) {
	var o *desk.PremiumOrder
	var sealed []byte
	err := t.c.Log.ReadStale(func(r consensus.Reader) error {
		v := t.c.Ledger.View(r)
		rec, err := v.Premium(key)
		if err != nil || rec == nil || (rec.State != ledger.StateAsking && rec.State != ledger.StatePaying) {
			return err
		}
		p, err := v.Person(rec.Person)
		if err != nil || p == nil {
			return err
		}
		sealed, o = p.Sealed, &desk.PremiumOrder{Premium: *rec}
		o.Grants, err = v.PremiumGrants(rec.Purpose, rec.Person, t.c.Now())
		return err
	})
	if err != nil || o == nil {
		return nil, err
	}
	who, failed := t.c.Vault.Open(sealed)
	if failed != nil { // nothing can be done but wait for the keys
		t.c.Logger.LogAttrs(ctx, slog.LevelError, "an insured person cannot be opened")
		o = nil
	} else {
		o.Who = who
	}
	return o, nil
}

// ask finds out what a premium waits for. A nil report without an error: the log has it already.
func (t *term) ask(ctx context.Context, o *desk.PremiumOrder) (*ledger.PremiumReport, error) {
	if t.c.Core != nil && t.c.register == nil {
		return &ledger.PremiumReport{Word: ledger.PremiumBlocked, Code: policy.CodeNotSupported}, nil
	}
	if o.Premium.State == ledger.StatePaying {
		return t.pay(ctx, o)
	}
	if t.c.register != nil {
		report, err := t.paidBefore(ctx, o)
		if err != nil || report != nil {
			return report, err
		}
	}
	code, err := t.c.Desk.BeginPremium(ctx, *o)
	if err != nil || code == "" {
		return nil, err
	}
	return &ledger.PremiumReport{Word: ledger.PremiumBlocked, Code: code}, nil
}

// paidBefore asks the core whether the premium is paid already; nil if it is not.
func (t *term) paidBefore(ctx context.Context, o *desk.PremiumOrder) (*ledger.PremiumReport, error) {
	ctx, cancel := context.WithTimeout(ctx, coreCall)
	defer cancel()
	paid, err := t.c.register.PremiumPaid(ctx, person(o.Who), string(o.Premium.Purpose), o.Premium.Year)
	switch reason := adapters.ReasonOf(err); {
	case reason != "":
		return &ledger.PremiumReport{Word: ledger.PremiumBlocked, Code: codeOf(reason)}, nil
	case err != nil:
		return nil, err
	case paid:
		return &ledger.PremiumReport{Word: ledger.PremiumPaidBefore}, nil
	}
	return nil, nil //nolint:nilnil // it is not paid
}

// pay registers the premium as paid. The reference is the payment's, the same for every leader; an unknown outcome is
// no answer, and the same call is repeated until there is one, however long that takes.
func (t *term) pay(ctx context.Context, o *desk.PremiumOrder) (*ledger.PremiumReport, error) {
	ctx, cancel := context.WithTimeout(ctx, coreCall)
	defer cancel()
	p := &o.Premium
	err := t.c.register.PayPremium(ctx, adapters.Call{Ref: p.PaymentID}, person(o.Who), string(p.Purpose), p.Year,
		p.Amount.Fen())
	if err == nil {
		return &ledger.PremiumReport{Word: ledger.PremiumRegistered}, nil
	}
	refusal, ok := errors.AsType[*adapters.RefusedError](err)
	switch {
	case !ok:
		return nil, err
	case refusal.Reason == adapters.ReasonPaid:
		return &ledger.PremiumReport{Word: ledger.PremiumPaidBefore}, nil
	}
	return &ledger.PremiumReport{Word: ledger.PremiumDenied, Code: codeOf(refusal.Reason)}, nil
}

func person(who vault.Identity) adapters.Person {
	return adapters.Person{IDType: who.IDType, Number: who.Number, Name: who.Name}
}

// codeOf is what the payers' homes are told of a core's refusal: the insured person is none, or the core is at fault.
func codeOf(r adapters.Reason) policy.Code {
	switch r {
	case adapters.ReasonUnknownPerson, adapters.ReasonIdentity, adapters.ReasonStatus, adapters.ReasonScheme:
		return policy.CodeBeneficiaryNotInsured
	case adapters.ReasonBalance, adapters.ReasonClosed, adapters.ReasonReleased, adapters.ReasonCaptured,
		adapters.ReasonNotHeld, adapters.ReasonAbove, adapters.ReasonLate, adapters.ReasonConflict,
		adapters.ReasonInvalid, adapters.ReasonPaid:
	}
	return policy.CodeCoreUnavailable
}
