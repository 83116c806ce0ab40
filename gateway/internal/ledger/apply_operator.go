package ledger

import (
	"slices"
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// Names of lines of the audit log that the state machine writes itself.
const (
	eventOperatorPut    = "operator_put"
	eventOperatorState  = "operator_state"
	eventLogin          = "login"
	eventLoginRefused   = "login_refused"
	eventLockedOut      = "operator_locked_out"
	eventLogout         = "logout"
	eventSessionExpired = "session_expired"
)

func told(event, who, object, result string, attrs ...auditlog.Attr) auditlog.Line {
	return auditlog.Line{Event: event, Operator: who, Object: object, Result: result, Attrs: attrs}
}

func attr(name, value string) auditlog.Attr { return auditlog.Attr{Name: name, Value: value} }

// operators visits all operators, as they stood before the command.
func (x *tx) operators(visit func(*OperatorRecord) bool) {
	if err := each(x, keyOperator, visit); err != nil {
		x.fail(err)
	}
}

// officers counts the security officers who may come in.
func (x *tx) officers() int {
	n := 0
	x.operators(func(o *OperatorRecord) bool {
		if o.Role == operator.RoleSecurity && o.State == OperatorActive {
			n++
		}
		return true
	})
	return n
}

// may tells whether a name is that of an operator who may come in and has a duty.
func (x *tx) may(name string, d operator.Duty) bool {
	o := get(x, x.l.operators, name)
	return o != nil && o.State == OperatorActive && o.Role.Has(d)
}

// both tells whether two names are those of two persons, with a key each, who have a duty. A region that knows no
// operators asks nobody who he is: a testnet.
func (x *tx) both(one, two string, d operator.Duty) bool {
	a, b := get(x, x.l.operators, one), get(x, x.l.operators, two)
	if a == nil || b == nil {
		known := false
		x.operators(func(*OperatorRecord) bool {
			known = true
			return false
		})
		return !known
	}
	return string(a.Registration.Public) != string(b.Registration.Public) && x.may(one, d) && x.may(two, d)
}

// putOperator takes an operator in, or changes one. Nobody gives himself anything, two officers agree, one key is one
// person; the first ones come from the configuration, and only names that were never known.
func (x *tx) putOperator(now time.Time, c *PutOperator) Outcome {
	name := c.Registration.Name
	known := get(x, x.l.operators, name)
	if code := x.mayPut(c, known); code != "" {
		return refuse(code)
	}
	n, taken := 0, false
	x.operators(func(o *OperatorRecord) bool {
		n++
		taken = taken || o.Registration.Name != name && string(o.Registration.Public) == string(c.Registration.Public)
		return true
	})
	switch {
	case taken:
		return Outcome{
			Code: policy.CodeConflict, Detail: "Another operator has this key.", DetailZH: "该密钥已属于其他操作员。",
		}
	case known == nil && n >= OperatorsMax:
		return refuse(policy.CodeRateLimited)
	}
	if known != nil {
		x.endSessions(known)
	}
	put(x, x.l.operators, name, &OperatorRecord{
		Registration: c.Registration, Role: c.Role, State: OperatorActive, Changed: now, By: c.By,
	})
	by := c.By
	if c.First {
		by = "configuration"
	}
	x.note(now, told(eventOperatorPut, by, name, auditlog.ResultDone, attr("role", string(c.Role)),
		attr("second", c.Second)))
	return Outcome{ID: name}
}

func (x *tx) mayPut(c *PutOperator, known *OperatorRecord) policy.Code {
	name := c.Registration.Name
	switch {
	case !operator.ValidName(name) || !c.Role.Valid():
		return policy.CodeInvalidRequest
	case c.First && (known != nil || x.officers() >= 2):
		return policy.CodeWrongState
	case c.First:
		return ""
	case known != nil && known.State == OperatorRemoved:
		return policy.CodeWrongState
	case c.By == name || c.Second == name || c.By == c.Second:
		return policy.CodeForbidden
	case !x.may(c.By, operator.Secure) || !x.may(c.Second, operator.Secure):
		return policy.CodeForbidden
	}
	return ""
}

// stateOperator locks or removes at one officer's word, since that only takes rights away, and takes a lock off at the
// word of two. Nobody does it to himself.
func (x *tx) stateOperator(now time.Time, c *StateOperator) Outcome {
	o := get(x, x.l.operators, c.Name)
	if o == nil {
		return refuse(policy.CodeNotFound)
	}
	one := c.State == OperatorLocked || c.State == OperatorRemoved
	two := c.State == OperatorActive && c.Second != c.By && c.Second != c.Name && x.may(c.Second, operator.Secure)
	switch {
	case c.By == c.Name || !x.may(c.By, operator.Secure) || !one && !two:
		return refuse(policy.CodeForbidden)
	case o.State == OperatorRemoved:
		return refuse(policy.CodeWrongState)
	}
	x.endSessions(o)
	o.State, o.Changed, o.By, o.Failures, o.LockedUntil = c.State, now, c.By, 0, time.Time{}
	put(x, x.l.operators, c.Name, o)
	x.note(now, told(eventOperatorState, c.By, c.Name, auditlog.ResultDone, attr("state", string(c.State)),
		attr("second", c.Second)))
	return Outcome{ID: c.Name}
}

// endSessions ends all sessions of an operator, who is put afterwards.
func (x *tx) endSessions(o *OperatorRecord) {
	for _, digest := range o.Sessions {
		x.dropSession(digest)
	}
	o.Sessions = nil
}

func (x *tx) dropSession(digest string) {
	if s := get(x, x.l.sessions, digest); s != nil {
		x.wake(dueOperator, dueSession+digest, s.Ends, time.Time{})
		put(x, x.l.sessions, digest, nil)
	}
}

// login ends a login whose signature was good. Five wrong passphrases in a row lock the operator out for half an hour,
// whichever nodes they came to; the right one does not help meanwhile.
func (x *tx) login(now time.Time, c *Login) Outcome {
	o := get(x, x.l.operators, c.Name)
	switch {
	case o == nil || o.State != OperatorActive || !o.Changed.Equal(c.Changed):
		return refuse(policy.CodeUnauthenticated)
	case now.Before(o.LockedUntil):
		return refuse(policy.CodeForbidden)
	case !c.Good:
		return x.failedLogin(now, o)
	}
	digest := string(c.Session[:])
	for len(o.Sessions) >= SessionsMax {
		x.dropSession(o.Sessions[0])
		o.Sessions = slices.Delete(o.Sessions, 0, 1)
	}
	o.Failures, o.LockedUntil = 0, time.Time{}
	o.Sessions = append(o.Sessions, digest)
	put(x, x.l.operators, c.Name, o)
	s := &SessionRecord{Name: c.Name, Begun: now, Seen: now, Ends: now.Add(SessionEnds)}
	put(x, x.l.sessions, digest, s)
	x.wake(dueOperator, dueSession+digest, time.Time{}, s.Ends)
	x.note(now, told(eventLogin, c.Name, string(o.Role), auditlog.ResultDone, attr("node", c.Node)))
	return Outcome{ID: c.Name}
}

func (x *tx) failedLogin(now time.Time, o *OperatorRecord) Outcome {
	name := o.Registration.Name
	o.Failures++
	x.note(now, told(eventLoginRefused, name, "", auditlog.ResultRefused, attr("reason", "passphrase")))
	if o.Failures >= FailuresMax {
		o.Failures, o.LockedUntil = 0, now.Add(LockedFor)
		x.note(now, told(eventLockedOut, name, "", auditlog.ResultDone))
	}
	put(x, x.l.operators, name, o)
	return refuse(policy.CodeUnauthenticated)
}

// useSession keeps a session awake or ends it.
func (x *tx) useSession(now time.Time, c *UseSession) Outcome {
	digest := string(c.Session[:])
	s := get(x, x.l.sessions, digest)
	if s == nil || !s.Good(now) {
		return refuse(policy.CodeUnauthenticated)
	}
	if !c.End {
		s.Seen = now
		put(x, x.l.sessions, digest, s)
		return Outcome{ID: s.Name}
	}
	x.forgetSession(digest, s.Name)
	x.note(now, told(eventLogout, s.Name, "", auditlog.ResultDone))
	return Outcome{ID: s.Name}
}

func (x *tx) forgetSession(digest, name string) {
	x.dropSession(digest)
	if o := get(x, x.l.operators, name); o != nil {
		o.Sessions = slices.DeleteFunc(o.Sessions, func(s string) bool { return s == digest })
		put(x, x.l.operators, name, o)
	}
}

// doneBy does a command and tells of it in the same entry.
func (x *tx) doneBy(now time.Time, c *DoneBy) Outcome {
	cmd, err := DecodeCommand(c.Command)
	if err != nil {
		x.fail(err)
		return Outcome{}
	}
	if cmd.Kind() == KindDoneBy {
		return refuse(policy.CodeInvalidRequest)
	}
	out := x.dispatch(now, cmd)
	line := c.Line
	line.Result = auditlog.ResultDone
	if out.Code != "" {
		line.Result = auditlog.ResultRefused
		line.Attrs = append(slices.Clone(line.Attrs), attr("code", string(out.Code)))
	}
	x.note(now, line)
	return out
}

// What stands behind dueOperator.
const (
	dueSession = "s" // and the digest of its token
	dueAct     = "a" // and its id
)

// expireOperator ends a session, an act that nobody approved, or the memory of one that is over.
func (x *tx) expireOperator(now time.Time, item dueItem) bool {
	kind, id := item.id[:1], item.id[1:]
	if kind == dueAct {
		return x.expireAct(now, item.at, id)
	}
	s := get(x, x.l.sessions, id)
	if s == nil || !s.Ends.Equal(item.at) {
		return false
	}
	x.forgetSession(id, s.Name)
	x.note(now, told(eventSessionExpired, s.Name, "", auditlog.ResultDone))
	return true
}

// Operator finds an operator by name.
func (v View) Operator(name string) (*OperatorRecord, error) {
	return read[OperatorRecord](v.r, keyOperator, name)
}

// Operators visits all operators in the order of their names.
func (v View) Operators(visit func(*OperatorRecord) bool) error { return each(v.r, keyOperator, visit) }

// Session finds a session by the digest of its token.
func (v View) Session(digest [32]byte) (*SessionRecord, error) {
	return read[SessionRecord](v.r, keySession, string(digest[:]))
}
