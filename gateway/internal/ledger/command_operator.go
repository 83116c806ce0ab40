package ledger

import (
	"time"

	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/record"
)

// The kinds of operators.
const (
	KindPutOperator   Kind = 78
	KindStateOperator Kind = 79
	KindLogin         Kind = 80
	KindUseSession    Kind = 81
	KindProposeAct    Kind = 82
	KindDecideAct     Kind = 83
	KindDoneBy        Kind = 84
)

func walkRegistration(c *record.Coder, r *operator.Registration) {
	record.Str(c, &r.Name)
	c.Bytes(&r.Public)
	c.Bytes(&r.Salt)
	record.Int(c, &r.Iterations)
	c.Bytes(&r.Hash)
	c.Bytes(&r.Signature)
}

// PutOperator makes somebody an operator, or gives an operator another role, key or passphrase. Two security officers
// do it. First is what the configuration names, for a region that has not two of them.
type PutOperator struct {
	Registration operator.Registration // the leader has checked its signature
	Role         operator.Role
	By           string
	Second       string
	First        bool
}

// Kind and Walk make a PutOperator a Command.
func (*PutOperator) Kind() Kind { return KindPutOperator }

// Walk walks over the fields.
func (p *PutOperator) Walk(c *record.Coder) {
	walkRegistration(c, &p.Registration)
	record.Str(c, &p.Role)
	record.Str(c, &p.By)
	record.Str(c, &p.Second)
	c.Bool(&p.First)
}

// StateOperator locks an operator, takes the lock off, or removes the operator for good. Sessions end at once.
type StateOperator struct {
	Name   string
	State  OperatorState
	By     string
	Second string // only to take a lock off
}

// Kind and Walk make a StateOperator a Command.
func (*StateOperator) Kind() Kind { return KindStateOperator }

// Walk walks over the fields.
func (s *StateOperator) Walk(c *record.Coder) {
	record.Str(c, &s.Name)
	record.Str(c, &s.State)
	record.Str(c, &s.By)
	record.Str(c, &s.Second)
}

// Login is what came of a login whose signature was good: the passphrase fitted or not.
type Login struct {
	Name    string
	Good    bool
	Changed time.Time // of the operator's record that the factors were held against
	Session [32]byte  // digest of the new session's token
	Node    string
}

// Kind and Walk make a Login a Command.
func (*Login) Kind() Kind { return KindLogin }

// Walk walks over the fields.
func (l *Login) Walk(c *record.Coder) {
	record.Str(c, &l.Name)
	c.Bool(&l.Good)
	c.Time(&l.Changed)
	c.Fixed(l.Session[:])
	record.Str(c, &l.Node)
}

// UseSession keeps a session awake, or ends it.
type UseSession struct {
	Session [32]byte
	End     bool
}

// Kind and Walk make a UseSession a Command.
func (*UseSession) Kind() Kind { return KindUseSession }

// Walk walks over the fields.
func (u *UseSession) Walk(c *record.Coder) {
	c.Fixed(u.Session[:])
	c.Bool(&u.End)
}

// ProposeAct is the first person's part of an act of two.
type ProposeAct struct {
	ID     string
	Act    operator.Act
	Digest [32]byte // of Act
	Needs  operator.Duty
	By     string
}

// Kind and Walk make a ProposeAct a Command.
func (*ProposeAct) Kind() Kind { return KindProposeAct }

// Walk walks over the fields.
func (p *ProposeAct) Walk(c *record.Coder) {
	record.Str(c, &p.ID)
	walkAct(c, &p.Act)
	c.Fixed(p.Digest[:])
	record.Str(c, &p.Needs)
	record.Str(c, &p.By)
}

func walkAct(c *record.Coder, a *operator.Act) {
	record.Str(c, &a.Method)
	record.Str(c, &a.Target)
	record.Str(c, &a.ContentType)
	c.Bytes(&a.Body)
}

// DecideAct is another person's word on an act, or, with a Status, what came of it.
type DecideAct struct {
	ID      string
	Digest  [32]byte
	Approve bool
	By      string
	Status  int // HTTP status of the act that was carried out; 0: this is a decision
	Result  string
}

// Kind and Walk make a DecideAct a Command.
func (*DecideAct) Kind() Kind { return KindDecideAct }

// Walk walks over the fields.
func (d *DecideAct) Walk(c *record.Coder) {
	record.Str(c, &d.ID)
	c.Fixed(d.Digest[:])
	c.Bool(&d.Approve)
	record.Str(c, &d.By)
	record.Int(c, &d.Status)
	record.Str(c, &d.Result)
}

// DoneBy is a command that an operator has caused: the audit log tells of it in the entry that does it.
type DoneBy struct {
	Line    auditlog.Line
	Command []byte // as EncodeCommand writes it; not another DoneBy
}

// Kind and Walk make a DoneBy a Command.
func (*DoneBy) Kind() Kind { return KindDoneBy }

// Walk walks over the fields.
func (d *DoneBy) Walk(c *record.Coder) {
	c.Sub(&d.Line)
	c.Bytes(&d.Command)
}
