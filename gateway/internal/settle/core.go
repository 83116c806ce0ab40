package settle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gongji/adapters"
	"gongji/consensus"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/vault"
)

// call queues a hold or return whose call to the core is under way. A full queue drops it: it wakes, and is queued
// again.
func (t *term) call(id string) {
	if t.s.Core == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calling[id] {
		return
	}
	select {
	case t.calls <- id:
		t.calling[id] = true
	default:
	}
}

// takeUpCalls queues what an earlier leader left under way. Any leader may repeat a call with the same reference.
func (t *term) takeUpCalls(ctx context.Context) error {
	var ids []string
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		ids = t.s.Ledger.View(r).Calls()
		return nil
	})
	for _, id := range ids {
		if ctx.Err() != nil {
			break
		}
		t.call(id)
	}
	return err
}

func (t *term) callCore(ctx context.Context) error {
	for {
		select {
		case id := <-t.calls:
			t.mu.Lock()
			delete(t.calling, id) // from here on a change of the hold queues it anew
			t.mu.Unlock()
			if err := t.carryOut(ctx, id); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// carryOut makes the call that a hold waits for and brings the answer to the log. An unknown outcome is no answer:
// the hold wakes, and the same call is repeated with the same reference.
func (t *term) carryOut(ctx context.Context, id string) error {
	var h *ledger.HoldRecord
	var back *ledger.ReturnRecord
	var sealed []byte
	err := t.s.Log.ReadStale(func(r consensus.Reader) error {
		v := t.s.Ledger.View(r)
		var err error
		if back, err = v.Return(id); err != nil || back != nil {
			return err
		}
		if h, err = v.Hold(id); err != nil || h == nil {
			return err
		}
		p, err := v.Person(h.Account)
		if p != nil {
			sealed = p.Sealed
		}
		return err
	})
	if err == nil && back != nil {
		t.carryBack(ctx, back)
		return nil
	}
	if err != nil || h == nil || h.Calls() == 0 {
		return err
	}
	who := vault.Identity{}
	if sealed != nil {
		if who, err = t.s.Vault.Open(sealed); err != nil {
			t.s.Logger.LogAttrs(ctx, slog.LevelError, "a payer cannot be opened", slog.String("hold", id))
			return nil
		}
	}
	callCtx, cancel := context.WithTimeout(ctx, t.s.Timing.CoreCall)
	defer cancel()
	done := t.s.Metrics.stage("core")
	result, err := t.ask(callCtx, h, who)
	done()
	if err != nil {
		t.s.Metrics.coreUndecided()
		return nil // unknown or unavailable: the hold wakes and the call is repeated
	}
	_ = t.propose(ctx, result) // fails only when leadership ends; the next leader repeats the call
	return nil
}

func (t *term) ask(ctx context.Context, h *ledger.HoldRecord, who vault.Identity) (*ledger.CoreResult, error) {
	result := &ledger.CoreResult{HoldID: h.ID, Call: h.Calls()}
	var err error
	switch result.Call {
	case hold.CallPerson:
		var a adapters.Account
		if a, err = t.s.Core.Person(ctx, corePerson(who)); err == nil {
			result.Facts = factsOf(a)
		}
	case hold.CallHold:
		err = t.askHold(ctx, h, who, result)
	case hold.CallCapture:
		err = t.s.Core.Capture(ctx, adapters.Call{Ref: h.ID + "/c", NotAfter: far(h)}, h.ID, h.Take.Fen())
	case hold.CallRelease:
		err = t.askRelease(ctx, h, who)
	case hold.TellAnswer, hold.TellOutcome, hold.TellForced, hold.AskOrigin, hold.Free:
		return nil, errQuery
	}
	if refusal, ok := errors.AsType[*adapters.RefusedError](err); ok {
		result.Refused = string(refusal.Reason)
		if refusal.Captured > 0 {
			result.Amount = money.Amount(refusal.Captured)
		}
		return result, nil
	}
	return result, err
}

// askHold places a hold. A core that does not remember its refusals is told to release before a refusal is believed:
// only then is the reference dead.
func (t *term) askHold(ctx context.Context, h *ledger.HoldRecord, who vault.Identity, result *ledger.CoreResult) error {
	held, err := t.s.Core.Hold(ctx, adapters.Call{Ref: h.ID, NotAfter: h.DecideBy}, corePerson(who), h.Amount.Fen(),
		h.Floor().Fen())
	if err == nil {
		result.Amount = money.Amount(held)
		return nil
	}
	if !refused(err) || t.s.Core.Capabilities().RemembersRefusals {
		return err
	}
	if t.s.Core.Release(ctx, adapters.Call{Ref: h.ID + "/r", NotAfter: far(h)}, h.ID) != nil {
		return adapters.ErrUnknown
	}
	return err
}

// askRelease gives back. A core whose release does not bind a hold that comes later is first asked for the hold until
// it answers: then nothing can come later.
func (t *term) askRelease(ctx context.Context, h *ledger.HoldRecord, who vault.Identity) error {
	if h.State == hold.Abandoning && !t.s.Core.Capabilities().ReleaseIsFinal {
		_, err := t.s.Core.Hold(ctx, adapters.Call{Ref: h.ID, NotAfter: h.DecideBy}, corePerson(who), h.Amount.Fen(),
			h.Floor().Fen())
		if err != nil && !refused(err) {
			return err
		}
	}
	return t.s.Core.Release(ctx, adapters.Call{Ref: h.ID + "/r", NotAfter: far(h)}, h.ID)
}

func refused(err error) bool {
	_, ok := errors.AsType[*adapters.RefusedError](err)
	return ok
}

// far is the end of the time in which a decision may be carried out: it is repeated until it is answered, for a year.
func far(h *ledger.HoldRecord) time.Time { return h.DecideBy.AddDate(1, 0, 0) }
