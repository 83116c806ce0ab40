package ledger_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/record"
)

// tokenedBy are the tokens of somebody under a key.
func tokenedBy(key string, s someone) ledger.Tokened {
	return ledger.Tokened{
		Key: key, Token: hash([]byte(key), []byte(s.number)), Name: hash([]byte(key), []byte(s.number), []byte(s.name)),
	}
}

// madeBy is somebody as a leader makes them whose state says k.
func madeBy(k *ledger.KeysRecord, s someone, no string) ledger.Person {
	p := ledger.Person{
		New: no, Masked: "1***", Called: "x*", Region: string(s.home),
		Sealed: record.Encode(&ledger.Envelope{Key: k.Data, Sealed: s.clear()}),
	}
	tokens := ledger.Tokens{tokenedBy(k.Token, s)}
	if other, _ := k.OtherToken(); other != "" {
		tokens = append(tokens, tokenedBy(other, s))
	}
	p.SetTokens(tokens)
	return p
}

// turning is a region whose keys are rotated while leaders of all ages speak.
type turning struct {
	*fed

	humans  []someone
	numbers map[string]string    // of those taken in
	views   []ledger.KeysRecord  // what leaders have seen; commands are made by any of them
	pages   []*ledger.RotatePage // pages that were made; any of them may come at any time
	keys    int
}

func (u *turning) see() ledger.KeysRecord {
	k, err := u.view(beijing).Keys()
	if err != nil {
		u.t.Fatal(err)
	}
	u.views = append(u.views, k)
	return k
}

// takeIn proposes somebody, as made by a leader of any age.
func (u *turning) takeIn(t *rapid.T) {
	s := rapid.SampledFrom(u.humans).Draw(t, "who")
	k := rapid.SampledFrom(u.views).Draw(t, "made by")
	p := madeBy(&k, s, u.id("n", beijing))
	out := u.apply(beijing, &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: p, Facts: resident()}}})
	switch {
	case out.Code == ledger.CodeStaleKeys:
	case out.Code != "":
		t.Fatalf("%+v", out)
	case u.numbers[s.number] == "":
		u.numbers[s.number] = p.New
	}
}

func (u *turning) start(t *rapid.T) {
	u.keys++
	use := rapid.SampledFrom([]ledger.KeyUse{ledger.KeyToken, ledger.KeyToken, ledger.KeyData}).Draw(t, "use")
	u.apply(beijing, &ledger.StartRotation{Use: use, New: fmt.Sprintf("%s-%d", use, u.keys+1), Operator: "li"})
}

func (u *turning) confirm(t *rapid.T) {
	k := u.see()
	u.apply(beijing, &ledger.ConfirmKey{
		Rotation: k.Rotation.Number, Node: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "node"),
	})
}

func (u *turning) stage(t *rapid.T) {
	k := rapid.SampledFrom(u.views).Draw(t, "seen")
	out := u.apply(beijing, &ledger.StageRotation{
		Rotation: k.Rotation.Number, Nodes: []string{"a", "b"}, Cancel: rapid.IntRange(0, 9).Draw(t, "cancel") == 0,
	})
	now := u.see()
	if out.Code == "" && now.Rotation.Stage == ledger.RotationMoving &&
		!slices.Contains(now.Rotation.Confirmed, "a") {
		t.Fatal("a key came into force that a node does not have")
	}
}

// make reads a page, for now or for later.
func (u *turning) make(t *rapid.T) {
	k := u.see()
	if k.Rotation.Stage != ledger.RotationMoving {
		return
	}
	page, err := u.view(beijing).WalkPage(&k, rapid.IntRange(1, 4).Draw(t, "limit"))
	if err != nil {
		t.Fatal(err)
	}
	c := &ledger.RotatePage{
		Rotation: k.Rotation.Number, Step: k.Rotation.Step, After: k.Rotation.After, Next: page.Next, Last: page.Last,
		Seen: page.Seen,
	}
	open := func(sealed []byte) someone {
		var e ledger.Envelope
		if err := record.Decode(sealed, &e); err != nil {
			t.Fatal(err)
		}
		return parsePerson(u.t, e.Sealed)
	}
	for _, i := range page.Tokens {
		fresh := tokenedBy(k.Rotation.New, open(i.Sealed))
		c.Tokens = append(c.Tokens, ledger.MovedToken{Old: i.Token, New: fresh.Token, Name: fresh.Name})
	}
	for _, i := range page.Sealed {
		c.Sealed = append(c.Sealed, ledger.Resealed{
			Key: i.Key, Place: i.Place, Old: hash(i.Sealed),
			New: record.Encode(&ledger.Envelope{Key: k.Rotation.New, Sealed: open(i.Sealed).clear()}),
		})
	}
	u.pages = append(u.pages, c)
}

// turn proposes a page: the newest mostly, any that was ever made sometimes.
func (u *turning) turn(t *rapid.T) {
	u.make(t)
	if len(u.pages) == 0 {
		return
	}
	c := u.pages[len(u.pages)-1]
	if rapid.IntRange(0, 3).Draw(t, "late") == 0 {
		c = rapid.SampledFrom(u.pages).Draw(t, "page")
	}
	u.apply(beijing, c)
}

// check: one human has one number, which every leader of now finds, and no token of a key that is gone stands anywhere.
func (u *turning) check(t *rapid.T) {
	k := u.see()
	persons, left := 0, 0
	n := u.regions[beijing].nodes[0]
	var old [][]byte
	under, on := k.UnderWay()
	for i := 1; i <= u.keys+1; i++ {
		key := fmt.Sprintf("token-%d", i)
		if key == k.Token || on && key == under.Old {
			continue
		}
		for _, s := range u.humans {
			tokens := tokenedBy(key, s)
			old = append(old, tokens.Token[:], tokens.Name[:])
		}
	}
	n.txn.Scan(nil, nil, func(key, value []byte) bool {
		if key[0] == 'n' {
			persons++
		}
		whole := slices.Concat(key, value)
		for _, x := range old {
			if bytes.Contains(whole, x) {
				left++
			}
		}
		return true
	})
	if persons != len(u.numbers) {
		t.Fatalf("%d humans are %d persons", len(u.numbers), persons)
	}
	if left > 0 {
		t.Fatalf("%d old tokens are left (%+v)", left, k)
	}
	for _, s := range u.humans {
		asked := madeBy(&k, s, "")
		f, err := u.view(beijing).Find(asked.Tokens())
		if err != nil || f.No != u.numbers[s.number] || f.Named != (f.No != "") {
			t.Fatalf("%s is %+v (%v), want %q", s.number, f, err, u.numbers[s.number])
		}
	}
}

// TestOneHumanOneNumber: commands of leaders of any age, made with the keys of their time, and pages of any walk
// come in any order around rotations of the token key and the data key. At every moment one human has one number.
func TestOneHumanOneNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		u := &turning{fed: federationOf(t, beijing), numbers: map[string]string{}}
		for i := range 6 {
			u.humans = append(u.humans, someone{fmt.Sprint("11010119900101", i), "name", beijing})
		}
		u.keys = 0
		u.done(beijing, &ledger.NameKeys{Token: "token-1", Data: "data-1", Evidence: "evidence-1"})
		u.see()
		rt.Repeat(map[string]func(*rapid.T){
			"": u.check, "take in": u.takeIn, "take in too": u.takeIn, "start": u.start, "confirm": u.confirm,
			"confirm too": u.confirm, "stage": u.stage, "turn": u.turn, "turn too": u.turn, "make": u.make,
		})
	})
}

// TestRotationIsOrdered: a key comes into force only when every member has confirmed it, a page counts once and only
// where the walk stands, and a seal under another key than the new one is not taken.
func TestRotationIsOrdered(t *testing.T) {
	t.Parallel()
	f := federationOf(t, beijing)
	f.refused(beijing, &ledger.StartRotation{Use: ledger.KeyToken, New: "token-2"}, "invalid_request")
	f.done(beijing, &ledger.NameKeys{Token: "token-1", Data: "data-1", Evidence: "evidence-1"})
	f.done(beijing, &ledger.NameKeys{Token: "token-9", Data: "data-9", Evidence: "evidence-9"})
	k, err := f.view(beijing).Keys()
	if err != nil || k.Token != "token-1" || k.Data != "data-1" || k.Evidence != "evidence-1" {
		t.Fatalf("named twice: %+v, %v", k, err)
	}
	s := someone{"110101199001010011", "name", beijing}
	f.done(beijing, &ledger.OpenAccounts{Accounts: []ledger.NewAccount{{Person: madeBy(&k, s, "n-1"), Facts: resident()}}})
	f.done(beijing, &ledger.StartRotation{Use: ledger.KeyData, New: "data-2"})
	f.refused(beijing, &ledger.StartRotation{Use: ledger.KeyToken, New: "token-2"}, "wrong_state")
	stage := &ledger.StageRotation{Rotation: 1, Nodes: []string{"a", "b"}}
	f.done(beijing, &ledger.ConfirmKey{Rotation: 1, Node: "a"})
	f.refused(beijing, stage, "wrong_state")
	f.refused(beijing, &ledger.StageRotation{Rotation: 1}, "wrong_state")
	f.refused(beijing, &ledger.ConfirmKey{Rotation: 2, Node: "b"}, "wrong_state")
	f.done(beijing, &ledger.ConfirmKey{Rotation: 1, Node: "b"})
	f.done(beijing, stage)
	f.refused(beijing, stage, "wrong_state")
	f.refused(beijing, &ledger.StageRotation{Rotation: 1, Cancel: true}, "wrong_state")
	old := madeBy(&k, s, "n-2")
	f.refused(beijing, &ledger.SetStanding{Person: old, Scheme: 390, Status: 1}, ledger.CodeStaleKeys)
	k, err = f.view(beijing).Keys()
	if err != nil {
		t.Fatal(err)
	}
	page, err := f.view(beijing).WalkPage(&k, 10)
	if err != nil || len(page.Sealed) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	item := ledger.Resealed{Key: page.Sealed[0].Key, Old: hash(page.Sealed[0].Sealed), New: page.Sealed[0].Sealed}
	c := &ledger.RotatePage{
		Rotation: 1, Step: ledger.StepPersons, Next: page.Next, Seen: 1, Sealed: []ledger.Resealed{item},
	}
	f.refused(beijing, &ledger.RotatePage{Rotation: 1, Step: ledger.StepGrants, Last: true}, "wrong_state")
	f.refused(beijing, &ledger.RotatePage{Rotation: 1, Step: ledger.StepPersons}, "wrong_state")
	f.done(beijing, c) // under the old key: looked at, not taken
	if k, err = f.view(beijing).Keys(); err != nil || k.Rotation.Changed != 0 || k.Rotation.Seen != 1 {
		t.Errorf("%+v, %v", k.Rotation, err)
	}
	f.refused(beijing, c, "wrong_state")
}
