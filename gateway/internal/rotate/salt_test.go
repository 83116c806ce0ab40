package rotate_test

import (
	"encoding/binary"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestSaltsUnderKeyInForce (R-28, design 6): the salts of leaves are made with the evidence key that the state says is
// in force. A newer one that somebody put into the leader's ring is not used, nor the old one after the rotation.
func TestSaltsUnderKeyInForce(t *testing.T) {
	t.Parallel()
	with(t, 1, regiontest.Config{}, func(t *testing.T, w *world) {
		r := w.Regions[beijing]
		_, n := leader(t, r)
		if _, err := n.Ring.Generate(crypto.UseEvidence); err != nil {
			t.Fatal(err)
		}
		lane := federation.Lane{From: beijing, To: shanghai}
		for i, when := range []string{"before", "after"} {
			if i > 0 {
				w.moved(r, ledger.KeyEvidence)
			}
			passes(time.Second)
			seen := len(w.Bus.Records(lane))
			if err := w.pay(t.Context(), w.Regions[shanghai], w.people[1], when); err != nil {
				t.Fatal(err)
			}
			_, n = leader(t, r)
			key, err := n.Vault.InForce(crypto.UseEvidence)
			if err != nil {
				t.Fatal(err)
			}
			if newest, err := n.Ring.Current(crypto.UseEvidence); err != nil || (newest == key) != (i > 0) {
				t.Fatalf("%s: in force is %s, newest %s, %v", when, key, newest, err)
			}
			if salts := w.salted(lane, seen, n, key); salts == 0 {
				t.Errorf("%s the rotation no message came", when)
			}
		}
	})
}

// salted checks the salts of the numbered messages on a lane from a record on, and returns how many there are.
func (w *world) salted(lane federation.Lane, from int, n *regiontest.Node, key string) int {
	w.t.Helper()
	parcels, err := w.Unpack(lane, from)
	if err != nil {
		w.t.Fatal(err)
	}
	salts := 0
	for _, o := range parcels {
		for i := range o.Messages {
			m := &o.Messages[i]
			if m.Class != federation.Numbered {
				continue
			}
			var place [16]byte
			binary.BigEndian.PutUint64(place[:8], o.Header.Epoch)
			binary.BigEndian.PutUint64(place[8:], m.Number)
			want, err := n.Ring.MAC(key, []byte(lane.From), []byte(lane.To), place[:])
			if err != nil {
				w.t.Fatal(err)
			}
			salts++
			if m.Salt != [federation.SaltSize]byte(want[:federation.SaltSize]) {
				w.t.Errorf("the salt of message %d is not made with %s", m.Number, key)
			}
		}
	}
	return salts
}
