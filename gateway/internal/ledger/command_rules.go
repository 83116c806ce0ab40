package ledger

import (
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// SetRules puts a version of the regional rules into the state.
type SetRules struct{ Rules []byte }

// Kind and Walk make a SetRules a Command.
func (*SetRules) Kind() Kind { return KindSetRules }

// Walk walks over the fields.
func (s *SetRules) Walk(c *record.Coder) { c.Bytes(&s.Rules) }

// WithdrawRules takes back a version of the regional rules that is not yet in force.
type WithdrawRules struct{ From policy.Date }

// Kind and Walk make a WithdrawRules a Command.
func (*WithdrawRules) Kind() Kind { return KindWithdrawRules }

// Walk walks over the fields.
func (w *WithdrawRules) Walk(c *record.Coder) { record.Int(c, &w.From) }
