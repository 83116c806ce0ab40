package ledger

import (
	"bytes"
	"slices"
	"time"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Rotation of the keys at rest. The state says which key is in force; a rotation is prepared until every node has the
// new key, then one entry puts it in force, and the leader's walk makes anew what the old key made. Commands made
// before that entry and applied after it are stale (tokens.go).

// nodesMax bounds the nodes that confirm a key: more than a group ever has.
const nodesMax = 64

// dispatchKeys gives the commands of this file their meaning.
func (x *tx) dispatchKeys(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *NameKeys:
		x.nameKeys(c)
		return Outcome{}, true
	case *StartRotation:
		return x.startRotation(now, c), true
	case *ConfirmKey:
		return x.confirmKey(c), true
	case *StageRotation:
		return x.stageRotation(now, c), true
	case *RotatePage:
		return x.rotatePage(now, c), true
	case *DestroyKey:
		return x.destroyKey(now, c), true
	case *KeyDestroyed:
		return x.keyDestroyed(now, c), true
	}
	return Outcome{}, false
}

func (x *tx) keepKeys(k KeysRecord) {
	x.l.rest, x.l.changed = k, true
	x.Set([]byte{keyKeys}, record.Encode(&k))
}

func (x *tx) nameKeys(c *NameKeys) {
	k := x.l.rest.clone()
	for _, n := range []struct {
		use KeyUse
		id  string
	}{{KeyToken, c.Token}, {KeyData, c.Data}, {KeyEvidence, c.Evidence}} {
		if k.InForce(n.use) == "" && short(idMax, n.id) && x.l.gone[n.id] == nil {
			k.setInForce(n.use, n.id)
		}
	}
	x.keepKeys(k)
}

func (x *tx) startRotation(now time.Time, c *StartRotation) Outcome {
	k := x.l.rest.clone()
	if _, on := k.UnderWay(); on {
		return refuse(policy.CodeWrongState)
	}
	old := k.InForce(c.Use)
	if !c.Use.Valid() || c.New == "" || c.New == old || old == "" || !short(idMax, c.New) || x.l.gone[c.New] != nil {
		return refuse(policy.CodeInvalidRequest)
	}
	k.Rotation = RotationRecord{
		Number: k.Rotation.Number + 1, Use: c.Use, Old: old, New: c.New, Probe: c.Probe, Operator: c.Operator,
		Stage: RotationPreparing, Started: now,
	}
	x.keepKeys(k)
	return Outcome{ID: c.New}
}

// rotation is the rotation that a command speaks of, if it is in that stage.
func (x *tx) rotation(number uint64, stage RotationStage) (KeysRecord, bool) {
	k := x.l.rest.clone()
	return k, k.Rotation.Number == number && k.Rotation.Stage == stage
}

func (x *tx) confirmKey(c *ConfirmKey) Outcome {
	k, ok := x.rotation(c.Rotation, RotationPreparing)
	if !ok {
		return refuse(policy.CodeWrongState)
	}
	if slices.Contains(k.Rotation.Confirmed, c.Node) {
		return Outcome{Replay: true}
	}
	if len(k.Rotation.Confirmed) >= nodesMax || !short(idMax, c.Node) {
		return refuse(policy.CodeInvalidRequest)
	}
	k.Rotation.Confirmed = append(k.Rotation.Confirmed, c.Node)
	x.keepKeys(k)
	return Outcome{}
}

func (x *tx) stageRotation(now time.Time, c *StageRotation) Outcome {
	k, ok := x.rotation(c.Rotation, RotationPreparing)
	if !ok {
		return refuse(policy.CodeWrongState)
	}
	r := &k.Rotation
	if c.Cancel {
		r.Stage, r.Ended = RotationCancelled, now
		x.keepKeys(k)
		return Outcome{}
	}
	if len(c.Nodes) == 0 || slices.ContainsFunc(c.Nodes, func(n string) bool { return !slices.Contains(r.Confirmed, n) }) {
		return refuse(policy.CodeWrongState)
	}
	k.setInForce(r.Use, r.New)
	r.Stage, r.Begun, r.Moved = RotationMoving, now, now
	switch r.Use {
	case KeyToken:
		k.Generation++
		r.Step = StepTokens
	case KeyData:
		k.Resealed = false
		r.Step = StepPersons
	case KeyEvidence: // what was salted stays as it is
		r.Stage, r.Ended = RotationDone, now
	}
	x.keepKeys(k)
	return Outcome{}
}

// rotatePage takes one page of the walk.
func (x *tx) rotatePage(now time.Time, c *RotatePage) Outcome {
	k, ok := x.rotation(c.Rotation, RotationMoving)
	r := &k.Rotation
	goesOn := c.Last || bytes.Compare(c.Next, c.After) > 0
	if !ok || c.Step != r.Step || !bytes.Equal(c.After, r.After) || !goesOn {
		return refuse(policy.CodeWrongState)
	}
	for i := range c.Tokens {
		if x.moveToken(&k, &c.Tokens[i]) {
			r.Changed++
		}
	}
	for i := range c.Sealed {
		if x.reseal(r, &c.Sealed[i]) {
			r.Changed++
		}
	}
	r.Seen += c.Seen
	r.Moved, r.After = now, c.Next
	if c.Last {
		x.stepOn(now, &k)
	}
	x.keepKeys(k)
	return Outcome{}
}

// stepOn ends a step, and the rotation behind the last one. The index of tokens must be empty then; if it is not, the
// walk begins anew.
func (x *tx) stepOn(now time.Time, k *KeysRecord) {
	r := &k.Rotation
	r.After = nil
	if r.Step == StepTokens && x.tokensLeft(k.Generation-1) {
		return
	}
	if r.Step == StepTokens || r.Step == StepOutbox {
		k.Resealed = k.Resealed || r.Use == KeyData
		r.Step, r.Stage, r.Ended = 0, RotationDone, now
		return
	}
	r.Step++
}

// tokensLeft reports whether somebody still stands in an old index.
func (x *tx) tokensLeft(n uint64) bool {
	letter, in := generation(n)
	lo := stateKey(letter, in)
	left := false
	var keys [][32]byte
	x.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		if len(key) == len(lo)+32 {
			keys = append(keys, [32]byte(key[len(lo):]))
		}
		return len(keys) <= PageMax // those that this very command has moved are still in the state
	})
	for _, token := range keys {
		left = left || x.tokened(n, token) != ""
	}
	return left
}

// moveToken moves one person from the old index to the new one. Whoever has moved already stays.
func (x *tx) moveToken(k *KeysRecord, m *MovedToken) bool {
	no := x.tokened(k.Generation-1, m.Old)
	if no == "" {
		return false
	}
	p := get(x, x.l.persons, no)
	if p == nil {
		return false
	}
	table, key := x.indexOf(k.Generation, m.New)
	if t := get(x, table, key); t != nil && t.Person != no {
		// Never: nobody is taken in under the new key who stands in the old index. The number that is known longer stays.
		x.alarm(AlarmPersonTwice, no)
	}
	put(x, table, key, &tokenRecord{Person: no})
	old, oldKey := x.indexOf(k.Generation-1, m.Old)
	put(x, old, oldKey, nil)
	p.Name = m.Name
	put(x, x.l.persons, no, p)
	return true
}

// reseal puts one sealed person under the new key, if what the leader read still stands there.
func (x *tx) reseal(r *RotationRecord, c *Resealed) bool {
	if SealedUnder(c.New) != r.New {
		return false
	}
	swap := func(at *[]byte) bool {
		if len(*at) == 0 || x.l.cfg.Hash(*at) != c.Old {
			return false
		}
		*at = c.New
		return true
	}
	key := string(c.Key)
	switch r.Step {
	case StepPersons:
		return resealIn(x, x.l.persons, key, c.Place, swap, func(p *PersonRecord) []*[]byte { return p.sealed() })
	case StepPayments:
		return resealIn(x, x.l.payments, key, c.Place, swap, func(p *PaymentRecord) []*[]byte { return p.sealed() })
	case StepGrants:
		return resealIn(x, x.l.grants, key, c.Place, swap, func(g *GrantRecord) []*[]byte { return g.sealed() })
	case StepOutbox:
		return x.resealMessage(c.Key, swap)
	case StepTokens:
	}
	return false
}

func resealIn[T any, P interface {
	*T
	record.Record
}](x *tx, t *table[T, P], key string, place int, swap func(*[]byte) bool, of func(*T) []*[]byte) bool {
	v := get(x, t, key)
	if v == nil {
		return false
	}
	at := of(v)
	if place < 0 || place >= len(at) || !swap(at[place]) {
		return false
	}
	put(x, t, key, v)
	return true
}

func (x *tx) resealMessage(key []byte, swap func(*[]byte) bool) bool {
	at := stateKey(keyOut, string(key))
	data, ok := x.Get(at)
	if !ok {
		return false // acked meanwhile
	}
	m := new(OutMessage)
	if err := record.Decode(data, m); err != nil {
		x.fail(err)
		return false
	}
	if m.Persons == nil || !swap(&m.Persons.Sealed) {
		return false
	}
	x.Set(at, record.Encode(m))
	return true
}

// The sealed persons of each kind of record, in an order that never changes.

func (p *PersonRecord) sealed() []*[]byte { return []*[]byte{&p.Sealed} }

func (p *PaymentRecord) sealed() []*[]byte {
	return []*[]byte{&p.Beneficiary.Sealed, &p.Persons.Sealed}
}
func (g *GrantRecord) sealed() []*[]byte { return []*[]byte{&g.Persons.Sealed} }
