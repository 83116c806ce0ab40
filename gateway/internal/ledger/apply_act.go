package ledger

import (
	"strconv"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/policy"
)

// Acts of two persons: the first one's call is written down, and carried out once when another one has approved exactly
// that call.

const (
	eventActProposed = "act_proposed"
	eventActApproved = "act_approved"
	eventActRejected = "act_rejected"
	eventActExpired  = "act_expired"
	eventActEnded    = "act_ended"
)

func (a *ActRecord) line(event, who, result string) auditlog.Line {
	return told(event, who, a.Act.Method+" "+a.Act.Target, result, attr("act", a.ID), attr("first", a.By),
		attr("second", a.Second))
}

// proposeAct writes an act down.
func (x *tx) proposeAct(now time.Time, c *ProposeAct) Outcome {
	if a := get(x, x.l.acts, c.ID); a != nil {
		return Outcome{ID: a.ID, Replay: true}
	}
	if !x.may(c.By, c.Needs) {
		return refuse(policy.CodeForbidden)
	}
	pending, all := 0, 0
	if err := each(x, keyAct, func(a *ActRecord) bool {
		all++
		if a.State == ActPending {
			pending++
		}
		return true
	}); err != nil {
		x.fail(err)
	}
	if pending >= ActsMax || all >= actsKeptMax {
		return refuse(policy.CodeRateLimited)
	}
	a := &ActRecord{
		ID: c.ID, Act: c.Act, Digest: c.Digest, Needs: c.Needs, State: ActPending, By: c.By, Proposed: now,
		Due: now.Add(ActWaits),
	}
	put(x, x.l.acts, a.ID, a)
	x.wake(dueOperator, dueAct+a.ID, time.Time{}, a.Due)
	x.note(now, a.line(eventActProposed, c.By, auditlog.ResultIntended))
	return Outcome{ID: a.ID}
}

// decideAct is another person's word, and later the result. An approval counts once: whoever is answered done carries
// the act out.
func (x *tx) decideAct(now time.Time, c *DecideAct) Outcome {
	a := get(x, x.l.acts, c.ID)
	if a == nil {
		return refuse(policy.CodeNotFound)
	}
	if c.Status != 0 {
		return x.endAct(now, a, c)
	}
	switch {
	case a.State == ActExpired || a.State == ActPending && !now.Before(a.Due):
		return refuse(policy.CodeExpired)
	case a.State != ActPending:
		return refuse(policy.CodeWrongState)
	case a.Digest != c.Digest:
		return refuse(policy.CodeConflict)
	case !x.may(c.By, a.Needs) || c.Approve && !x.both(a.By, c.By, a.Needs):
		return refuse(policy.CodeForbidden)
	}
	a.Second, a.Decided, a.State = c.By, now, ActRejected
	event := eventActRejected
	if c.Approve {
		a.State, event = ActApproved, eventActApproved
	}
	x.keepAct(a, now.Add(actKept))
	x.note(now, a.line(event, c.By, auditlog.ResultDone))
	return Outcome{ID: a.ID}
}

func (x *tx) endAct(now time.Time, a *ActRecord, c *DecideAct) Outcome {
	if a.State != ActApproved || a.Digest != c.Digest {
		return refuse(policy.CodeWrongState)
	}
	a.State, a.Status, a.Result = ActDone, c.Status, c.Result[:min(len(c.Result), resultMax)]
	put(x, x.l.acts, a.ID, a)
	result := auditlog.ResultDone
	if c.Status >= 400 { //nolint:mnd // HTTP's own border between done and refused
		result = auditlog.ResultRefused
	}
	l := a.line(eventActEnded, a.Second, result)
	l.Attrs = append(l.Attrs, attr("status", strconv.Itoa(c.Status)))
	x.note(now, l)
	return Outcome{ID: a.ID}
}

func (x *tx) keepAct(a *ActRecord, due time.Time) {
	x.wake(dueOperator, dueAct+a.ID, a.Due, due)
	a.Due = due
	put(x, x.l.acts, a.ID, a)
}

func (x *tx) expireAct(now, at time.Time, id string) bool {
	a := get(x, x.l.acts, id)
	if a == nil || !a.Due.Equal(at) {
		return false
	}
	if a.State != ActPending {
		x.wake(dueOperator, dueAct+id, a.Due, time.Time{})
		put(x, x.l.acts, id, nil)
		return true
	}
	a.State = ActExpired
	x.keepAct(a, now.Add(actKept))
	x.note(now, a.line(eventActExpired, "", auditlog.ResultRefused))
	return true
}

// Act finds an act of two persons.
func (v View) Act(id string) (*ActRecord, error) { return read[ActRecord](v.r, keyAct, id) }

// Acts visits all acts in the order of their ids.
func (v View) Acts(visit func(*ActRecord) bool) error { return each(v.r, keyAct, visit) }
