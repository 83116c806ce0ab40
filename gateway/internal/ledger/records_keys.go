package ledger

import (
	"slices"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/record"
)

// KeyUse is what a key at rest is for, as crypto.Use names it.
type KeyUse string

// The uses of keys at rest.
const (
	KeyToken    KeyUse = "token"    // tokens of persons
	KeyData     KeyUse = "data"     // sealed persons
	KeyEvidence KeyUse = "evidence" // salts of leaves
)

// Valid reports whether it is one of them.
func (u KeyUse) Valid() bool { return u == KeyToken || u == KeyData || u == KeyEvidence }

// RotationStage is how far a rotation is. The numbers stand in the state and are never reused.
type RotationStage uint8

// The stages.
const (
	RotationPreparing RotationStage = 1 // the old key is in force; every node says that it has the new one
	RotationMoving    RotationStage = 2 // the new key is in force; what the old one made is made anew, page by page
	RotationDone      RotationStage = 3 // nothing of the old key is left
	RotationCancelled RotationStage = 4 // given up while it was being prepared
)

// String is the stage's word.
func (s RotationStage) String() string {
	words := [...]string{"", "preparing", "moving", "done", "cancelled"}
	if int(s) < len(words) {
		return words[s]
	}
	return ""
}

// WalkStep is the kind of record that a rotation goes through. The numbers stand in the state and are never reused.
type WalkStep uint8

// The steps. What a record may be copied from comes before what it is copied to: messages in the outboxes are last.
const (
	StepTokens   WalkStep = 1 // the index of tokens
	StepPersons  WalkStep = 2
	StepPayments WalkStep = 3
	StepGrants   WalkStep = 4
	StepOutbox   WalkStep = 5
)

// String is the step's word.
func (s WalkStep) String() string {
	words := [...]string{"", "tokens", "persons", "payments", "grants", "outbox"}
	if int(s) < len(words) {
		return words[s]
	}
	return ""
}

// prefix is where the step's records stand; those of StepTokens stand under a generation.
func (s WalkStep) prefix() byte {
	switch s {
	case StepPersons:
		return keyPerson
	case StepPayments:
		return keyPayment
	case StepGrants:
		return keyGrant
	case StepOutbox:
		return keyOut
	case StepTokens:
	}
	return 0
}

// RotationRecord is a rotation that is under way, or was the last.
type RotationRecord struct {
	Number    uint64
	Use       KeyUse
	Old, New  string // ids of keys
	Probe     []byte // proves that a node's key of the new id is the same key
	Stage     RotationStage
	Confirmed []string // nodes that have the new key
	Step      WalkStep // zero: nothing to walk through
	After     []byte   // the walk goes on behind this key
	Seen      int64    // records looked at
	Changed   int64    // of them, made anew
	Operator  string
	Started   time.Time
	Begun     time.Time // the new key came into force
	Moved     time.Time // the last page
	Ended     time.Time
}

// Walk is the record.Record of a RotationRecord.
func (r *RotationRecord) Walk(c *record.Coder) {
	c.U64(&r.Number)
	record.Str(c, &r.Use)
	record.Str(c, &r.Old)
	record.Str(c, &r.New)
	c.Bytes(&r.Probe)
	record.Int(c, &r.Stage)
	record.Strs(c, &r.Confirmed)
	record.Int(c, &r.Step)
	c.Bytes(&r.After)
	c.I64(&r.Seen)
	c.I64(&r.Changed)
	record.Str(c, &r.Operator)
	c.Time(&r.Started)
	c.Time(&r.Begun)
	c.Time(&r.Moved)
	c.Time(&r.Ended)
}

// KeysRecord says which keys are in force. The state says it and not the ring: so all nodes go by the same key, from
// one entry of the log to the next. Empty ids: nobody has said so yet, and the newest key of the ring is used.
type KeysRecord struct {
	Token, Data, Evidence string
	Generation            uint64 // of the index of tokens
	// Resealed: every sealed person outside the evidence is under Data, so that older data keys may be destroyed.
	Resealed bool
	Rotation RotationRecord // the newest; its Number is 0 before the first
}

// Walk is the record.Record of a KeysRecord.
func (k *KeysRecord) Walk(c *record.Coder) {
	record.Str(c, &k.Token)
	record.Str(c, &k.Data)
	record.Str(c, &k.Evidence)
	c.U64(&k.Generation)
	c.Bool(&k.Resealed)
	c.Sub(&k.Rotation)
}

// InForce is the key of a use; empty when nobody has said it yet.
func (k *KeysRecord) InForce(use KeyUse) string {
	switch use {
	case KeyToken:
		return k.Token
	case KeyData:
		return k.Data
	case KeyEvidence:
		return k.Evidence
	}
	return ""
}

func (k *KeysRecord) setInForce(use KeyUse, id string) {
	switch use {
	case KeyToken:
		k.Token = id
	case KeyData:
		k.Data = id
	case KeyEvidence:
		k.Evidence = id
	}
}

// UnderWay returns the rotation that is under way, if one is.
func (k *KeysRecord) UnderWay() (RotationRecord, bool) {
	s := k.Rotation.Stage
	return k.Rotation, s == RotationPreparing || s == RotationMoving
}

// OtherToken is the key under which tokens are made beside the one in force: the coming one, which the others may not
// have yet, or the leaving one (true), which nobody can do without. Empty: none.
func (k *KeysRecord) OtherToken() (string, bool) {
	r, on := k.UnderWay()
	switch {
	case !on || r.Use != KeyToken:
		return "", false
	case r.Stage == RotationMoving:
		return r.Old, true
	}
	return r.New, false
}

// clone shares nothing that is changed later.
func (k *KeysRecord) clone() KeysRecord {
	c := *k
	c.Rotation.Confirmed = slices.Clone(c.Rotation.Confirmed)
	return c
}

func readKeys(r consensus.Reader) (KeysRecord, error) {
	var k KeysRecord
	data, ok := r.Get([]byte{keyKeys})
	if !ok {
		return k, nil
	}
	err := record.Decode(data, &k)
	return k, err
}
