package federation_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest"
)

const (
	beijing  = federationtest.Beijing
	shanghai = federationtest.Shanghai
	fuzhou   = federationtest.Fuzhou
	away     = federationtest.Away
)

type world struct {
	*federationtest.Federation
	dir *federation.Directory
	now time.Time
}

func newWorld(t testing.TB, change ...func(*federation.DirectoryData)) *world {
	t.Helper()
	f, err := federationtest.NewFederation()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&f.Data)
	}
	dir, err := f.Directory()
	if err != nil {
		t.Fatal(err)
	}
	return &world{Federation: f, dir: dir, now: federationtest.Start()}
}

func id(n byte) [federation.IDSize]byte { return [federation.IDSize]byte{n, 0xee} }

// content is n messages of all classes, some with persons, chained as a link does.
func (w *world) content(to federation.Region, n int) federation.Content {
	h := federation.Hash(federationtest.Hash)
	c := federation.Content{
		To: to, Epoch: 3, Ack: federation.Ack{Epoch: 2, Number: 7, Chain: digest{7}},
		Time: w.now, ParcelID: id(9), Protocol: 4,
	}
	out := federation.Out{Epoch: 3}
	for i := range n {
		m := federation.Message{Body: fmt.Appendf(nil, "message %d", i), Salt: [federation.SaltSize]byte{byte(i), 1}}
		switch i % 4 {
		case 0, 3:
			m.Class = federation.Numbered
			if i%4 == 3 {
				m.Persons = fmt.Appendf(nil, "person %d", i)
				m.PersonsSalt = [federation.SaltSize]byte{byte(i), 2}
				m.PersonsDigest = federation.PersonsDigest(h, m.PersonsSalt, m.Persons)
			}
			out = out.Next(h, federation.ContentDigest(h, m.Body, m.PersonsDigest))
			m.Number, m.Chain = out.Last, out.Chain
		case 1:
			m.Class, m.ID = federation.Query, id(byte(i))
		case 2:
			m.Class, m.ID = federation.Answer, id(byte(i))
		}
		c.Messages = append(c.Messages, m)
	}
	return c
}

// pack packs c as Beijing does.
func (w *world) pack(t testing.TB, c federation.Content) []byte {
	t.Helper()
	record, err := federation.Pack(w.dir, w.Sealers[beijing], beijing, c)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func (w *world) unpack(from, to federation.Region, record []byte) (*federation.Opened, error) {
	return federation.Unpack(w.dir, w.Sealers[to], federation.Lane{From: from, To: to}, w.now, record)
}

func wantRefused(t testing.TB, err error, why federation.Refusal) {
	t.Helper()
	var refused *federation.RefusedError
	if !errors.As(err, &refused) || refused.Why != why {
		t.Fatalf("got %v, want refused: %s", err, why)
	}
}

// TestParcelCarriesEverything: what is signed and sealed comes out again as it went in.
func TestParcelCarriesEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{0, 1, 2, 3, 7, 64, federation.ParcelMessagesMax} {
		c := w.content(shanghai, n)
		o, err := w.unpack(beijing, shanghai, w.pack(t, c))
		if err != nil {
			t.Fatalf("%d messages: %v", n, err)
		}
		h := o.Header
		if h.From != beijing || h.To != shanghai || h.Epoch != 3 || h.Ack != c.Ack || h.ParcelID != c.ParcelID ||
			!h.Time.Equal(c.Time) || h.Count != uint32(n) || h.Protocol != 4 || h.Version != federation.Version {
			t.Fatalf("header %+v", h)
		}
		if len(o.Messages) != n || len(o.Leaves) != n {
			t.Fatalf("%d messages and %d leaves of %d", len(o.Messages), len(o.Leaves), n)
		}
		for i, m := range o.Messages {
			want := c.Messages[i]
			if !bytes.Equal(m.Body, want.Body) || !bytes.Equal(m.Persons, want.Persons) {
				t.Fatalf("message %d: %+v", i, m)
			}
			m.Body, m.Persons, want.Body, want.Persons = nil, nil, nil, nil
			if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", want) {
				t.Fatalf("message %d: %+v, want %+v", i, m, want)
			}
		}
	}
}
