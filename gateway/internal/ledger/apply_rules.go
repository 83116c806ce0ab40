package ledger

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/policy"
)

// replacedMax bounds the versions that were in force and were replaced on the very day from which they held.
const replacedMax = 500

// readRules reads the rule book from the state.
func readRules(r consensus.Reader) (policy.RuleBook, error) {
	versions, err := rulesUnder(r, metaRules)
	if err != nil || len(versions) == 0 {
		return policy.RuleBook{}, err
	}
	return policy.NewRuleBook(versions...)
}

func rulesUnder(r consensus.Reader, name string) ([]policy.Rules, error) {
	var versions []policy.Rules
	var failed error
	lo := stateKey(keyMeta, name)
	r.Scan(lo, prefixEnd(lo), func(_, value []byte) bool {
		rules, err := policy.DecodeRules(value)
		if err != nil {
			failed = err
			return false
		}
		versions = append(versions, rules)
		return true
	})
	return versions, failed
}

// setRules puts a version of the rules into force from its day: never from a day that is over, once any rules are in
// force. A region that begins has none, and may begin in the past. What was in force for a part of today and is
// replaced today is kept beside the book, so that the history has no gap; the same version again changes nothing.
func (x *tx) setRules(now time.Time, c *SetRules) Outcome {
	rules, err := policy.DecodeRules(c.Rules)
	if err != nil {
		return Outcome{Code: policy.CodeInvalidRequest, Detail: err.Error()}
	}
	if rules.Region != string(x.l.cfg.Self) {
		return refuse(policy.CodeInvalidRegion)
	}
	data, err := policy.EncodeRules(rules) // one form in the state, however the document was written
	if err != nil {
		return Outcome{Code: policy.CodeInvalidRequest, Detail: err.Error()}
	}
	day := rules.EffectiveFrom.String()
	key := stateKey(keyMeta, metaRules+day)
	old, known := x.Get(key)
	if known && string(old) == string(data) {
		return Outcome{ID: day, Replay: true}
	}
	today := policy.Day(now)
	since := today
	if _, none := x.l.rules.At(today); none != nil {
		since = rules.EffectiveFrom
	}
	book, err := x.l.rules.With(rules, since)
	if err != nil {
		return pastRules(err)
	}
	if known && rules.EffectiveFrom <= today {
		if !x.keepReplaced(now, day, old) {
			return refuse(policy.CodeRateLimited)
		}
	}
	x.l.rules, x.l.changed = book, true
	x.Set(key, data)
	return Outcome{ID: day}
}

func pastRules(err error) Outcome {
	out := Outcome{Code: policy.CodeInvalidRequest, Field: "/effective_from", Detail: err.Error()}
	if errors.Is(err, policy.ErrPast) {
		out.Detail = "The rules may not change for days that are over."
		out.DetailZH = "规则不得溯及既往。"
	}
	return out
}

// keepReplaced writes a version that was in force into the history; false if the history is full.
func (x *tx) keepReplaced(now time.Time, day string, data []byte) bool {
	n := 0
	lo := stateKey(keyMeta, metaReplaced)
	x.Scan(lo, prefixEnd(lo), func(_, _ []byte) bool {
		n++
		return n < replacedMax
	})
	if n >= replacedMax {
		return false
	}
	x.Set(stateKey(keyMeta, metaReplaced+day+"/"+strconv.FormatInt(now.UnixMicro(), 10)), slices.Clone(data))
	return true
}

// withdrawRules takes back a version that is not yet in force.
func (x *tx) withdrawRules(now time.Time, c *WithdrawRules) Outcome {
	key := stateKey(keyMeta, metaRules+c.From.String())
	_, known := x.Get(key)
	switch {
	case !c.From.Valid() || !known:
		return refuse(policy.CodeNotFound)
	case c.From <= policy.Day(now):
		return refuse(policy.CodeWrongState)
	}
	left := slices.DeleteFunc(x.l.rules.Versions(), func(r policy.Rules) bool { return r.EffectiveFrom == c.From })
	book, err := policy.NewRuleBook(left...)
	if err != nil {
		x.fail(err)
		return Outcome{}
	}
	x.l.rules, x.l.changed = book, true
	x.Delete(key)
	return Outcome{ID: c.From.String()}
}

// ReplacedRules are the versions that were in force and were replaced on their own day, oldest first.
func (v View) ReplacedRules() ([]policy.Rules, error) { return rulesUnder(v.r, metaReplaced) }
