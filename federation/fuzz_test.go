package federation_test

import (
	"bytes"
	"testing"

	"gongji/federation"
	"gongji/federation/federationtest"
)

// FuzzUnpack: no record makes Unpack panic; what passes is genuine, since nobody can forge here: so its messages
// packed again say the same.
func FuzzUnpack(f *testing.F) {
	w := newWorld(f)
	for _, n := range []int{0, 1, 4} {
		record := w.pack(f, w.content(shanghai, n))
		f.Add(record)
		f.Add(record[:len(record)/2])
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		o, err := w.unpack(beijing, shanghai, record)
		if err != nil {
			if !isRefused(err) {
				t.Fatal(err)
			}
			return
		}
		if len(o.Messages) != int(o.Header.Count) || len(o.Leaves) != len(o.Messages) {
			t.Fatalf("%d messages, %d counted", len(o.Messages), o.Header.Count)
		}
	})
}

// FuzzContent: any header and content, signed and sealed by a member, open or are refused; what
// opens is the one form of what it says.
func FuzzContent(f *testing.F) {
	w := newWorld(f)
	for _, n := range []int{1, 4} {
		header, content := w.reopen(f, w.pack(f, w.content(shanghai, n)))
		f.Add(header, content)
	}
	f.Fuzz(func(t *testing.T, header, content []byte) {
		if len(header) > 1<<16-1 || len(content) > federation.RecordMax {
			return
		}
		o, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, header, content))
		if err != nil {
			if !isRefused(err) {
				t.Fatal(err)
			}
			return
		}
		c := federation.Content{
			To: o.Header.To, Epoch: o.Header.Epoch, Ack: o.Header.Ack, Time: o.Header.Time,
			ParcelID: o.Header.ParcelID, Protocol: o.Header.Protocol, Messages: o.Messages,
		}
		record, err := federation.Pack(w.dir, w.Sealers[beijing], beijing, c)
		if err != nil {
			return // a zero parcel id, or a time at which no key is valid
		}
		againHeader, againContent := w.reopen(t, record)
		if !bytes.Equal(againHeader, header) || !bytes.Equal(againContent, content) {
			t.Fatalf("two forms:\n%x\n%x\n%x\n%x", header, againHeader, content, againContent)
		}
	})
}

// FuzzProof: what decodes encodes to the same bytes.
func FuzzProof(f *testing.F) {
	w := newWorld(f)
	o := w.opened(f, 7)
	for i := range o.Messages {
		f.Add(federation.EncodeProof(o.Proof(federationtest.Hash, i)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := federation.DecodeProof(raw)
		if err != nil {
			if !isRefused(err) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(federation.EncodeProof(p), raw) {
			t.Fatalf("two forms of %+v", p)
		}
		if _, err := federation.VerifyProof(w.dir, w.Root, p); err != nil && !isRefused(err) {
			t.Fatal(err)
		}
	})
}

// FuzzDirectory: whatever body the root signs is refused, or has one form and look-ups that hold.
func FuzzDirectory(f *testing.F) {
	w := newWorld(f)
	f.Add(w.dir.Signed())
	f.Add([]byte(`{"directory":"e30=","signatures":[]}`))
	f.Fuzz(func(t *testing.T, signed []byte) {
		d, err := federation.LoadDirectory(federationtest.Hash, signed)
		if err != nil {
			if !isRefused(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := federation.SignDirectory(d.Data())
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := federation.LoadDirectory(federationtest.Hash, again)
		if err != nil || loaded.Digest() != d.Digest() {
			t.Fatalf("two forms: %v", err)
		}
		for _, m := range d.Members() {
			for _, k := range m.Keys {
				if got, ok := d.Key(m.Code, k.ID); !ok || got.ID != k.ID {
					t.Fatalf("key %s of %s is not found", k.ID, m.Code)
				}
			}
			d.Lanes(m.Code)
		}
	})
}
