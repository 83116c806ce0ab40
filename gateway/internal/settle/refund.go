package settle

import (
	"context"
	"errors"

	"gongji/adapters"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/refund"
)

// carryBack makes the call that a return waits for and brings the answer to the log. As with holds, an unknown outcome
// is no answer: the return wakes, and the same call is repeated with the same reference.
func (t *term) carryBack(ctx context.Context, r *ledger.ReturnRecord) {
	if r.Calls() == 0 {
		return
	}
	callCtx, cancel := context.WithTimeout(ctx, t.s.Timing.CoreCall)
	defer cancel()
	done := t.s.Metrics.stage("core")
	result, err := t.askBack(callCtx, r)
	done()
	if err != nil {
		t.s.Metrics.coreUndecided()
		return
	}
	_ = t.propose(ctx, result) // fails only when leadership ends; the next leader repeats the call
}

// askBack asks the core. A refusal is final if the core remembers it; the log decides what follows from the other kind.
func (t *term) askBack(ctx context.Context, r *ledger.ReturnRecord) (*ledger.ReturnResult, error) {
	result := &ledger.ReturnResult{
		HoldID: r.HoldID, RefundID: r.RefundID, Call: r.Calls(), Final: t.s.Core.Capabilities().RemembersRefusals,
	}
	var err error
	switch result.Call {
	case refund.CallRefund:
		call := adapters.Call{Ref: r.Ref(), NotAfter: r.Asked.AddDate(1, 0, 0)} // repeated for a year, as decisions are
		err = t.s.Core.Refund(ctx, call, r.HoldID, r.Amount.Fen())
	case refund.CallVoid:
		err = t.s.Core.Void(ctx, adapters.Call{Ref: r.VoidRef()}, r.Ref())
	case refund.Tell, refund.Alarm:
		return nil, errQuery
	}
	if refusal, ok := errors.AsType[*adapters.RefusedError](err); ok {
		result.Refused = string(refusal.Reason)
		return result, nil
	}
	return result, err
}
