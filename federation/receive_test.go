package federation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest"
)

// receiver is Shanghai at Beijing's lane.
func (w *world) receiver() *federation.Receiver {
	return &federation.Receiver{
		Directory: w.dir, Sealer: w.Sealers[shanghai], Lane: federation.Lane{From: beijing, To: shanghai}, Now: w.now,
	}
}

// TestDowngrade: a member that the directory knows to speak a protocol is not heard in a lower one.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *federation.DirectoryData) { d.Members[0].Protocol = 3 })
	for protocol, refused := range map[uint16]bool{1: true, 2: true, 3: false, 4: false} {
		c := w.content(shanghai, 1)
		c.Protocol = protocol
		_, err := w.unpack(beijing, shanghai, w.pack(t, c))
		switch {
		case refused:
			wantRefused(t, err, federation.RefusedDowngrade)
		case err != nil:
			t.Errorf("protocol %d: %v", protocol, err)
		}
	}
}

// TestClockSkew: a parcel from the future is refused, one from the past is not: it has waited out an outage.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for ahead, refused := range map[time.Duration]bool{
		federation.ClockSkewMax + time.Microsecond: true, time.Hour: true,
		federation.ClockSkewMax: false, 0: false, -20 * time.Hour: false,
	} {
		c := w.content(shanghai, 1)
		c.Time = w.now.Add(ahead)
		_, err := w.unpack(beijing, shanghai, w.pack(t, c))
		switch {
		case refused:
			wantRefused(t, err, federation.RefusedClockSkew)
		case err != nil:
			t.Errorf("%s ahead: %v", ahead, err)
		}
	}
}

// TestWrongEpoch: a parcel of a link that is over is refused; a newer epoch is for the link to judge.
func TestWrongEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := w.pack(t, w.content(shanghai, 2)) // of epoch 3
	for epoch, refused := range map[uint64]bool{0: false, 2: false, 3: false, 4: true} {
		r := w.receiver()
		r.Epoch = epoch
		_, err := r.Unpack(record)
		switch {
		case refused:
			wantRefused(t, err, federation.RefusedEpoch)
		case err != nil:
			t.Errorf("at epoch %d: %v", epoch, err)
		}
	}
}

// TestReplay: a parcel that was taken is refused when it comes again, before its signature costs anything.
func TestReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &counting{Sealer: w.Sealers[shanghai]}
	r := w.receiver()
	r.Sealer, r.Seen = s, new(federation.Seen)
	record := w.pack(t, w.content(shanghai, 2))
	o, err := r.Unpack(record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = r.Unpack(record); err != nil {
		t.Fatalf("a parcel that was not taken yet: %v", err)
	}
	checks := s.verified.Load()
	if age := r.Seen.Note(&o.Header, w.now); age != federation.Newer {
		t.Fatalf("age %d", age)
	}
	for range 3 {
		_, err = r.Unpack(record)
		wantRefused(t, err, federation.RefusedReplayed)
	}
	if s.verified.Load() != checks {
		t.Error("a replay cost a signature check")
	}
	again := w.content(shanghai, 2) // the same messages, in a parcel of their own
	again.ParcelID = id(77)
	if _, err = r.Unpack(w.pack(t, again)); err != nil {
		t.Fatalf("a resend: %v", err)
	}
}

func header(n uint64, at time.Time) *federation.Header {
	h := &federation.Header{Time: at}
	binary.BigEndian.PutUint64(h.ParcelID[:], n)
	return h
}

// TestAge: only a parcel newer than all before it, and dated about now, shows that its sender lives. What is older than
// everything that is remembered is told apart, and the memory has a bound.
func TestAge(t *testing.T) {
	t.Parallel()
	now := federationtest.Start()
	var s federation.Seen
	for i, step := range []struct {
		off  time.Duration
		want federation.Age
	}{
		{-time.Hour, federation.Late},
		{-time.Second, federation.Newer},
		{-time.Second, federation.Late},
		{-2 * time.Second, federation.Late},
		{-time.Millisecond, federation.Newer},
		{federation.LiveWindow + time.Microsecond, federation.Late},
		{0, federation.Newer},
		{-federation.LiveWindow - time.Microsecond, federation.Late},
	} {
		if got := s.Note(header(uint64(i+1), now.Add(step.off)), now); got != step.want {
			t.Errorf("step %d: %d, want %d", i, got, step.want)
		}
	}
	for i := range federation.SeenMax {
		s.Note(header(uint64(1000+i), now.Add(time.Duration(i+1)*time.Microsecond)), now)
	}
	if got := s.Note(header(1, now.Add(-time.Hour)), now); got != federation.Old {
		t.Errorf("one that was forgotten: %d", got)
	}
	if got := s.Note(header(9, now.Add(time.Second)), now); got != federation.Newer {
		t.Errorf("the next one: %d", got)
	}
}

// torn is a Sealer whose two engines do not agree.
type torn struct{ federation.Sealer }

func (torn) Verify(_, _, _ []byte) error { return fmt.Errorf("engine: %w", federation.ErrDisagreement) }

// TestDisagreement: when the engines disagree the parcel and the proof are refused with a reason
// of its own, so that nothing is acknowledged and nothing refused for good.
func TestDisagreement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.receiver()
	r.Sealer = torn{w.Sealers[shanghai]}
	_, err := r.Unpack(w.pack(t, w.content(shanghai, 2)))
	wantRefused(t, err, federation.RefusedDisagreement)
	proof := w.opened(t, 2).Proof(federationtest.Hash, 0)
	_, err = federation.VerifyProof(w.dir, r.Sealer, proof)
	wantRefused(t, err, federation.RefusedDisagreement)
	cache := federation.NewRootCache(r.Sealer, 2)
	for range 2 {
		_, err = cache.VerifyProof(w.dir, proof)
		wantRefused(t, err, federation.RefusedDisagreement)
	}
	if cache.Len() != 0 {
		t.Error("a disagreement is remembered as good")
	}
}

// TestProofOfAnotherTree: a proof is of one leaf at one place of one tree. Neighbours' paths, the last leaf once more,
// and another parcel's root prove nothing.
func TestProofOfAnotherTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{2, 3, 5, 7, 8} {
		o := w.opened(t, n)
		c := w.content(shanghai, n)
		c.ParcelID = id(3)
		c.Messages[0].Body = []byte("another message")
		other, err := w.unpack(beijing, shanghai, w.pack(t, c))
		if err != nil {
			t.Fatal(err)
		}
		refused := func(name string, p federation.Proof, why federation.Refusal) {
			t.Helper()
			_, err := federation.VerifyProof(w.dir, w.Root, p)
			var r *federation.RefusedError
			if !errors.As(err, &r) || r.Why != why {
				t.Errorf("%s of %d: %v, want %s", name, n, err, why)
			}
		}
		for i := range n {
			p := o.Proof(federationtest.Hash, i)
			next := o.Proof(federationtest.Hash, (i+1)%n)
			q := p
			q.Path = next.Path
			refused("the neighbour's path", q, federation.RefusedProof)
			q = p
			q.Index = next.Index
			refused("the neighbour's place", q, federation.RefusedProof)
			q = p
			q.Header, q.Signature = other.Raw, other.Signature
			refused("another parcel's root", q, federation.RefusedProof)
			q = p
			q.Count--
			if q.Index < q.Count {
				refused("one leaf less", q, federation.RefusedProof)
			}
			q = p
			q.Salt[federation.SaltSize-1] ^= 1
			refused("another salt", q, federation.RefusedProof)
			if len(p.Path) > 0 {
				q = p
				q.Path = append([]digest(nil), p.Path...)
				q.Path[len(q.Path)-1][31] ^= 0x80
				refused("another sibling", q, federation.RefusedProof)
			}
		}
		// A tree that doubles its odd last node (CVE-2012-2459) would take the last leaf at one place more.
		last := o.Proof(federationtest.Hash, n-1)
		last.Index, last.Count = uint32(n), uint32(n+1)
		refused("the last leaf twice", last, federation.RefusedProof)
		last.Path = append([]digest{o.Leaves[n-1]}, last.Path...)
		refused("the last leaf as its own sibling", last, federation.RefusedProof)
		if doubled := append(append([]digest(nil), o.Leaves...), o.Leaves[n-1]); bytes.Equal(
			rootOf(doubled), rootOf(o.Leaves)) {
			t.Errorf("%d leaves have the root of %d", n+1, n)
		}
	}
}

func rootOf(leaves []digest) []byte {
	root := federation.Root(federationtest.Hash, leaves)
	return root[:]
}
