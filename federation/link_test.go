package federation_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gongji/federation"
	"gongji/federation/federationtest"
)

// sentMessage is what travels in the model: no parcel, only what a link looks at.
type sentMessage struct {
	epoch, number  uint64
	content, chain digest
	body           string
}

// linkModel is a sender and a receiver with a channel between them that does everything a bus may do.
type linkModel struct {
	out      federation.Out
	sent     []string // bodies in the order of their numbers: what the receiver must apply
	outbox   []sentMessage
	in       federation.In
	applied  []string
	there    []sentMessage
	back     []federation.Ack
	oldBacks []federation.Ack
}

func (m *linkModel) send(body string) {
	content := federation.ContentDigest(federationtest.Hash, []byte(body), digest{})
	m.out = m.out.Next(federationtest.Hash, content)
	m.sent = append(m.sent, body)
	m.outbox = append(m.outbox, sentMessage{
		epoch: m.out.Epoch, number: m.out.Last, content: content, chain: m.out.Chain, body: body,
	})
}

// resend is go-back-N: everything from ack+1.
func (m *linkModel) resend() {
	for _, s := range m.outbox {
		if s.number > m.out.Acked {
			m.there = append(m.there, s)
		}
	}
}

func (m *linkModel) deliver(t *rapid.T, s sentMessage) federation.Verdict {
	before := m.in
	next, verdict := m.in.Offer(federationtest.Hash, s.epoch, s.number, s.content, s.chain)
	m.in = next
	switch verdict {
	case federation.Apply:
		if s.number != before.Applied+1 {
			t.Fatalf("%d applied after %d", s.number, before.Applied)
		}
		m.applied = append(m.applied, s.body)
	case federation.Repeat, federation.Gap, federation.OldEpoch, federation.NewEpoch:
		if m.in != before {
			t.Fatalf("verdict %d changed the link", verdict)
		}
	case federation.Fork:
	}
	m.back = append(m.back, m.in.Ack())
	return verdict
}

func (m *linkModel) ack(t *rapid.T, a federation.Ack) {
	next, ok := m.out.Ack(a)
	if ok != (a.Epoch == m.out.Epoch && a.Number > m.out.Acked && a.Number <= m.out.Last) {
		t.Fatalf("ack %+v on %+v: %v", a, m.out, ok)
	}
	m.out = next
}

func (m *linkModel) check(t *rapid.T) {
	if len(m.applied) > len(m.sent) || !slices.Equal(m.applied, m.sent[:len(m.applied)]) {
		t.Fatalf("applied %v is no prefix of %v", m.applied, m.sent)
	}
	if m.out.Acked > m.in.Applied {
		t.Fatalf("acked %d, applied %d", m.out.Acked, m.in.Applied)
	}
	if m.out.Waiting() != m.out.Last-m.out.Acked {
		t.Fatal("waiting")
	}
	if m.in.Forked {
		t.Fatal("forked without a fork")
	}
}

func pick[T any](t *rapid.T, from *[]T) (T, bool) {
	var zero T
	if len(*from) == 0 {
		return zero, false
	}
	i := rapid.IntRange(0, len(*from)-1).Draw(t, "which")
	v := (*from)[i]
	*from = slices.Delete(*from, i, i+1)
	return v, true
}

// TestLinkOverAnyChannel: whatever the channel drops, repeats, keeps back and turns round, what is applied is
// always a prefix of what was sent, and when the channel is fair again it is all of it.
func TestLinkOverAnyChannel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &linkModel{}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"send":    func(*rapid.T) { m.send(fmt.Sprint(len(m.sent))) },
			"resend":  func(*rapid.T) { m.resend() },
			"forget":  func(*rapid.T) { m.there, m.back = nil, nil },
			"receive": func(t *rapid.T) { deliverAny(t, m, false) },
			"repeat":  func(t *rapid.T) { deliverAny(t, m, true) },
			"drop":    func(t *rapid.T) { pick(t, &m.there) },
			"ack": func(t *rapid.T) {
				if a, ok := pick(t, &m.back); ok {
					m.ack(t, a)
					m.oldBacks = append(m.oldBacks, a)
				}
			},
			"old ack": func(t *rapid.T) {
				if a, ok := pick(t, &m.oldBacks); ok {
					m.ack(t, a)
				}
			},
			"forged ack": func(t *rapid.T) {
				m.ack(t, federation.Ack{Number: m.out.Last + 1 + rapid.Uint64Range(0, 9).Draw(t, "beyond")})
				m.ack(t, federation.Ack{Epoch: 1, Number: m.out.Last})
			},
		})
		m.there = nil
		m.resend()
		for _, s := range m.there {
			m.deliver(t, s)
		}
		m.ack(t, federation.Ack{Epoch: m.in.Epoch, Number: m.in.Applied})
		if !slices.Equal(m.applied, m.sent) || m.out.Waiting() != 0 {
			t.Fatalf("applied %v of %v, %d waiting", m.applied, m.sent, m.out.Waiting())
		}
	})
}

func deliverAny(t *rapid.T, m *linkModel, again bool) {
	if s, ok := pick(t, &m.there); ok {
		m.deliver(t, s)
		if again {
			m.there = append(m.there, s)
		}
	}
}

// TestForks: the same place with another content stops the link for good, however it shows.
func TestForks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "n")
		at := rapid.IntRange(1, n).Draw(t, "at")
		truth, other := &linkModel{}, &linkModel{}
		for i := range n {
			truth.send(fmt.Sprint(i))
			if i+1 == at {
				other.send("another")
			} else {
				other.send(fmt.Sprint(i))
			}
		}
		seen := rapid.IntRange(at, n).Draw(t, "seen")
		for _, s := range truth.outbox[:seen] {
			truth.deliver(t, s)
		}
		// The other history shows at the place of the receiver, or at the next one: the chain
		// covers all that came before.
		show := seen
		if seen < n && rapid.Bool().Draw(t, "next") {
			show = seen + 1
		}
		if v := truth.deliver(t, other.outbox[show-1]); v != federation.Fork || !truth.in.Forked {
			t.Fatalf("verdict %d", v)
		}
		applied := truth.in.Applied
		for _, s := range append(slices.Clone(truth.outbox), other.outbox...) {
			if v := truth.deliver(t, s); v != federation.Fork || truth.in.Applied != applied {
				t.Fatalf("after the fork: verdict %d", v)
			}
		}
	})
}

// TestChainCoversTheContent: a next message whose body is not the one that the sender chained is a fork.
func TestChainCoversTheContent(t *testing.T) {
	t.Parallel()
	m := &linkModel{}
	m.send("a")
	s := m.outbox[0]
	body := federation.ContentDigest(federationtest.Hash, []byte("b"), digest{})
	persons := federation.ContentDigest(federationtest.Hash, []byte("a"), digest{1})
	for _, content := range []digest{body, persons} {
		in, v := federation.In{}.Offer(federationtest.Hash, 0, 1, content, s.chain)
		if v != federation.Fork || !in.Forked || in.Applied != 0 {
			t.Errorf("verdict %d, %+v", v, in)
		}
	}
}

func TestEpochs(t *testing.T) {
	t.Parallel()
	in := federation.In{Epoch: 5, Applied: 3, Chain: digest{7}}
	for _, c := range []struct {
		epoch uint64
		want  federation.Verdict
	}{{0, federation.OldEpoch}, {4, federation.OldEpoch}, {6, federation.NewEpoch}, {1 << 63, federation.NewEpoch}} {
		for _, number := range []uint64{1, 3, 4, 9} {
			next, v := in.Offer(federationtest.Hash, c.epoch, number, digest{}, digest{})
			if v != c.want || next != in {
				t.Errorf("epoch %d, number %d: verdict %d, %+v", c.epoch, number, v, next)
			}
		}
	}
}
