package settle

import (
	"context"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// Bounds of one question for a statement. An answer has to go into one message.
const (
	StatementGrantsMax = 256 // grants asked about at once
	StatementDaysMax   = 400 // days of one statement: as long as request ids are kept
	statementPage      = 128 // entries of one answer
	statementBytes     = 40 << 10
)

// statement answers the beneficiary's home with movements under grants from this region's payers. Only the home
// of the person may ask, and only about grants to that person; what else is asked about is as if it did not exist.
func (t *term) statement(
	ctx context.Context, from federation.Region, ask *wirepb.StatementAsk, who vault.Identity,
) (*wirepb.StatementAnswer, error) {
	first, err := policy.ParseDate(ask.GetFrom())
	last, err2 := policy.ParseDate(ask.GetTo())
	bad := err != nil || err2 != nil || last < first || last-first >= StatementDaysMax ||
		len(ask.GetGrants()) > StatementGrantsMax || ask.GetAfter() != "" && !ledger.ValidMovementKey(ask.GetAfter())
	if bad || who.Region != string(from) {
		return &wirepb.StatementAnswer{}, nil
	}
	limit := statementPage
	if n := ask.GetLimit(); n > 0 && n < statementPage {
		limit = int(n)
	}
	var lines []ledger.StatementLine
	var next string
	err = t.s.Vault.Finding(who, func(tokens ledger.Tokens) error {
		return t.s.Log.Read(ctx, func(r consensus.Reader) error {
			var failed error
			lines, next, failed = t.s.Ledger.View(r).StatementOf(tokens, string(from), ask.GetGrants(), ledger.StatementAsk{
				From: first, To: last, After: ask.GetAfter(), Limit: limit,
			})
			return failed
		})
	})
	answer := &wirepb.StatementAnswer{Next: next}
	size := 0
	for i := range lines {
		e := t.entry(&lines[i])
		size += len(e.GetPaymentId()) + len(e.GetHoldId()) + len(e.GetCounterparty()) + len(e.GetCounterpartyName()) +
			len(e.GetInstitution()) + len(e.GetPurpose()) + len(e.GetKey()) + statementPage
		if size > statementBytes && i > 0 {
			answer.Next = lines[i-1].Key
			break
		}
		answer.Entries = append(answer.Entries, e)
	}
	return answer, err
}

// entry is a movement as the beneficiary's home is told of it: the counterparty is the payer.
func (t *term) entry(l *ledger.StatementLine) *wirepb.StatementEntry {
	return &wirepb.StatementEntry{
		Time: l.At.UnixMicro(), PaymentId: l.Hold.PaymentID, HoldId: l.Hold.ID, Counterparty: l.Hold.Payer,
		CounterpartyName: l.Hold.PayerName, CounterpartyRegion: string(t.s.Self), Institution: l.Hold.Institution,
		Purpose: string(l.Hold.Purpose), Kind: l.Kind.String(), Amount: l.Amount.Fen(), Status: l.Hold.State.API(),
		Key: l.Key,
	}
}
