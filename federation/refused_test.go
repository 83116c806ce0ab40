package federation_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest"
)

// forge signs and seals by hand what Pack would not: raw header bytes of from, and content sealed to to.
func (w *world) forge(t testing.TB, from, to federation.Region, header, content []byte) []byte {
	t.Helper()
	_, signature, err := w.Sealers[from].Sign(append([]byte("gongji-parcel-v1\x00"), header...))
	if err != nil {
		t.Fatal(err)
	}
	var wrapped, sealed []byte
	if content != nil {
		_, public := w.Sealers[to].SealKey()
		if wrapped, sealed, err = w.Sealers[from].Seal(public, content, slices.Concat(header, signature)); err != nil {
			t.Fatal(err)
		}
	}
	return envelopeOf(header, signature, wrapped, sealed)
}

func envelopeOf(header, signature, wrapped, sealed []byte) []byte {
	b := append(binary.BigEndian.AppendUint32(nil, uint32(len(header))), header...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(signature))), signature...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(wrapped))), wrapped...)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(sealed))), sealed...)
}

// parts takes a record apart, without checks: header, signature, wrapped key, sealed content.
func parts(record []byte) [4][]byte {
	take := func(width int) []byte {
		n := 0
		for _, c := range record[:width] {
			n = n<<8 | int(c)
		}
		out := record[width : width+n]
		record = record[width+n:]
		return out
	}
	return [4][]byte{take(4), take(2), take(2), take(4)}
}

// reopen returns header and content of a genuine parcel to Shanghai, to be changed and forged again.
func (w *world) reopen(t testing.TB, record []byte) ([]byte, []byte) {
	t.Helper()
	p := parts(record)
	id, _ := w.Sealers[shanghai].SealKey()
	content, err := w.Sealers[shanghai].Open(id, p[2], p[3], slices.Concat(p[0], p[1]))
	if err != nil {
		t.Fatal(err)
	}
	return p[0], content
}

// TestEveryByteCounts: no byte of a record may change, be cut off, or be added.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, n := range []int{0, 1, 5} {
		record := w.pack(t, w.content(shanghai, n))
		for i := range record {
			for _, bit := range []byte{0x01, 0x80} {
				bent := bytes.Clone(record)
				bent[i] ^= bit
				if _, err := w.unpack(beijing, shanghai, bent); !isRefused(err) {
					t.Fatalf("%d messages, byte %d: %v", n, i, err)
				}
			}
			if _, err := w.unpack(beijing, shanghai, record[:i]); !isRefused(err) {
				t.Fatalf("%d messages, cut at %d: %v", n, i, err)
			}
		}
		_, err := w.unpack(beijing, shanghai, append(bytes.Clone(record), 0))
		wantRefused(t, err, federation.RefusedMalformed)
	}
}

func isRefused(err error) bool {
	var refused *federation.RefusedError
	return errors.As(err, &refused)
}

func TestRefusedByTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := w.pack(t, w.content(shanghai, 3))
	for _, c := range []struct {
		name     string
		from, to federation.Region
		why      federation.Refusal
	}{
		{"another recipient's lane", beijing, fuzhou, federation.RefusedRecipient},
		{"another sender's lane", fuzhou, shanghai, federation.RefusedLane},
		{"reflected to the sender", shanghai, beijing, federation.RefusedReflected},
		{"on a foreign lane", fuzhou, away, federation.RefusedLane},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := w.unpack(c.from, c.to, record)
			wantRefused(t, err, c.why)
		})
	}
	t.Run("another's seal key", func(t *testing.T) {
		t.Parallel()
		header, content := w.reopen(t, record)
		bent := bytes.Replace(header, []byte("310000-seal"), []byte("350100-seal"), 1)
		_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, fuzhou, bent, content))
		wantRefused(t, err, federation.RefusedRecipient)
	})
	t.Run("sealed for another", func(t *testing.T) {
		t.Parallel()
		header, content := w.reopen(t, record)
		_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, fuzhou, header, content))
		wantRefused(t, err, federation.RefusedSeal)
	})
	t.Run("sender's signing key used to seal", func(t *testing.T) {
		t.Parallel()
		header, content := w.reopen(t, record)
		bent := bytes.Replace(header, []byte("310000-seal"), []byte("310000-sign"), 1)
		_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, bent, content))
		wantRefused(t, err, federation.RefusedRecipient)
	})
	t.Run("signed by another", func(t *testing.T) {
		t.Parallel()
		header, content := w.reopen(t, record)
		_, err := w.unpack(beijing, shanghai, w.forge(t, fuzhou, shanghai, header, content))
		wantRefused(t, err, federation.RefusedSignature)
	})
	t.Run("content of another parcel", func(t *testing.T) {
		t.Parallel()
		c := w.content(shanghai, 3)
		c.ParcelID = id(8)
		one, two := parts(record), parts(w.pack(t, c))
		_, err := w.unpack(beijing, shanghai, envelopeOf(one[0], one[1], two[2], two[3]))
		wantRefused(t, err, federation.RefusedSeal)
	})
	t.Run("unknown sender", func(t *testing.T) {
		t.Parallel()
		small := newWorld(t, func(d *federation.DirectoryData) {
			d.Members, d.Pairs = d.Members[1:], nil // without Beijing
		})
		_, err := small.unpack(beijing, shanghai, record)
		wantRefused(t, err, federation.RefusedSenderUnknown)
	})
}

// TestKeysOfTheDirectory: what the directory says of the sender's key decides.
func TestKeysOfTheDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := w.pack(t, w.content(shanghai, 2))
	withKey := func(change func(k *federation.Key)) *world {
		return newWorld(t, func(d *federation.DirectoryData) { change(&d.Members[0].Keys[0]) })
	}
	for _, c := range []struct {
		name   string
		change func(k *federation.Key)
		why    federation.Refusal
	}{
		{"unknown", func(k *federation.Key) { k.ID = "other" }, federation.RefusedKeyUnknown},
		{"for sealing only", func(k *federation.Key) { k.Use = federation.UseSeal }, federation.RefusedKeyUnknown},
		{"revoked", func(k *federation.Key) { k.Revoked = true }, federation.RefusedKeyRevoked},
		{"not yet valid", func(k *federation.Key) { k.NotBefore = w.now.Add(time.Second) }, federation.RefusedKeyNotYet},
		{"not valid any more", func(k *federation.Key) { k.NotAfter = w.now }, federation.RefusedKeyExpired},
		{
			"another key under that id",
			func(k *federation.Key) { k.Public = bytes.Repeat([]byte{4}, 32) }, federation.RefusedSignature,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bent := withKey(c.change)
			_, err := bent.unpack(beijing, shanghai, record)
			wantRefused(t, err, c.why)
			proof, err := w.unpack(beijing, shanghai, record)
			if err != nil {
				t.Fatal(err)
			}
			_, err = federation.VerifyProof(bent.dir, bent.Root, proof.Proof(federationtest.Hash, 0))
			wantRefused(t, err, c.why)
		})
	}
	t.Run("out of date by now", func(t *testing.T) {
		t.Parallel()
		lane := federation.Lane{From: beijing, To: shanghai}
		_, err := federation.Unpack(w.dir, w.Sealers[shanghai], lane, w.now.AddDate(2, 0, 0), record)
		wantRefused(t, err, federation.RefusedKeyExpired)
	})
	t.Run("an expired directory still opens parcels", func(t *testing.T) {
		t.Parallel()
		old := newWorld(t, func(d *federation.DirectoryData) { d.Expires = w.now.Add(-time.Hour) })
		if _, err := old.unpack(beijing, shanghai, record); err != nil || !old.dir.Expired(w.now) {
			t.Fatalf("%v, expired %v", err, old.dir.Expired(w.now))
		}
	})
}

// TestContentMustMatchTheRoot: a sender that signs one thing and sends another is caught, whatever it changes.
func TestContentMustMatchTheRoot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content(shanghai, 5)
	record := w.pack(t, c)
	header, content := w.reopen(t, record)
	contentOf := func(change func(m []federation.Message)) []byte {
		bent := c
		bent.Messages = slices.Clone(c.Messages)
		change(bent.Messages)
		_, raw := w.reopen(t, w.pack(t, bent))
		return raw
	}
	for name, bent := range map[string][]byte{
		"swapped bodies": contentOf(func(m []federation.Message) { m[0].Body, m[1].Body = m[1].Body, m[0].Body }),
		"reordered":      contentOf(func(m []federation.Message) { m[0], m[1] = m[1], m[0] }),
		"another body":   contentOf(func(m []federation.Message) { m[2].Body = []byte("message x") }),
		"another salt":   contentOf(func(m []federation.Message) { m[2].Salt[3] ^= 1 }),
		"another number": contentOf(func(m []federation.Message) { m[0].Number++ }),
		"another chain":  contentOf(func(m []federation.Message) { m[0].Chain[0] ^= 1 }),
		"another id":     contentOf(func(m []federation.Message) { m[1].ID[0] ^= 1 }),
		"another class":  contentOf(func(m []federation.Message) { m[1].Class = federation.Answer }),
		"other persons": contentOf(func(m []federation.Message) {
			m[3].Persons = []byte("person 9")
			m[3].PersonsDigest = federation.PersonsDigest(federationtest.Hash, m[3].PersonsSalt, m[3].Persons)
		}),
		"another salt of persons": contentOf(func(m []federation.Message) {
			m[3].PersonsSalt[0] ^= 1
			m[3].PersonsDigest = federation.PersonsDigest(federationtest.Hash, m[3].PersonsSalt, m[3].Persons)
		}),
		"persons left out": contentOf(func(m []federation.Message) {
			m[3].Persons, m[3].PersonsSalt, m[3].PersonsDigest = nil, [16]byte{}, digest{}
		}),
		"persons added": contentOf(func(m []federation.Message) {
			m[0].Persons = []byte("p")
			m[0].PersonsDigest = federation.PersonsDigest(federationtest.Hash, m[0].PersonsSalt, m[0].Persons)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, header, bent))
			wantRefused(t, err, federation.RefusedRoot)
		})
	}
	if _, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, header, content)); err != nil {
		t.Fatalf("the forger's control: %v", err)
	}
	_, four := w.reopen(t, w.pack(t, w.content(shanghai, 4)))
	_, six := w.reopen(t, w.pack(t, w.content(shanghai, 6)))
	for name, bent := range map[string][]byte{
		"fewer than counted": four, "more than counted": six, "a byte too many": append(bytes.Clone(content), 0),
		"a byte too few": content[:len(content)-1], "nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, header, bent))
			wantRefused(t, err, federation.RefusedMalformed)
		})
	}
}

// TestHeaderForm: a header with one field wrong is refused, though its signature is good.
func TestHeaderForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	header, content := w.reopen(t, w.pack(t, w.content(shanghai, 3)))
	empty := parts(w.pack(t, w.content(shanghai, 0)))[0]
	malformed := federation.RefusedMalformed
	at := func(h []byte, i int, b ...byte) []byte { return slices.Concat(h[:i], b, h[i+len(b):]) }
	timeAt := 2 + 1 + 12 + 8 + 16
	countAt := len(header) - 2 - 32 - 4
	for _, c := range []struct {
		name    string
		header  []byte
		content []byte
		why     federation.Refusal
	}{
		{"version 0", at(header, 0, 0, 0), content, federation.RefusedVersion},
		{"version 2", at(header, 0, 0, 2), content, federation.RefusedVersion},
		{"no suite", at(header, 2, 0), content, federation.RefusedAlgorithm},
		{"another suite", at(header, 2, 2), content, federation.RefusedAlgorithm},
		{"a letter in a region", at(header, 3, 'x'), content, malformed},
		{"no time", at(header, timeAt, 0, 0, 0, 0, 0, 0, 0, 0), content, malformed},
		{"a time before time", at(header, timeAt, 0xff), content, malformed},
		{"a time after time", at(header, timeAt, 0x7f), content, malformed},
		{"no signing key", slices.Concat(header[:timeAt+8], []byte{0}, header[timeAt+8+1+11:]), content, malformed},
		{
			"a space in a key id",
			bytes.Replace(header, []byte("110000-sign"), []byte("110000 sign"), 1), content, malformed,
		},
		{"too many", at(header, countAt, 0, 0, 2, 1), content, malformed},
		{"none, but a root", at(header, countAt, 0, 0, 0, 0), content, malformed},
		{"some, but no root", at(empty, len(empty)-38, 0, 0, 0, 1), content, malformed},
		{"trailing", append(bytes.Clone(header), 0), content, malformed},
		{"heartbeat with content", empty, content, malformed},
		{"no seal key", bytes.Replace(header, []byte("\x0b310000-seal"), []byte{0}, 1), content, federation.RefusedRecipient},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := w.unpack(beijing, shanghai, w.forge(t, beijing, shanghai, c.header, c.content))
			wantRefused(t, err, c.why)
		})
	}
}

// TestPackRefuses: what no receiver would take is not sent.
func TestPackRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(c *federation.Content){
		"to oneself":        func(c *federation.Content) { c.To = beijing },
		"to nobody":         func(c *federation.Content) { c.To = "31" },
		"no time":           func(c *federation.Content) { c.Time = time.Time{} },
		"no parcel id":      func(c *federation.Content) { c.ParcelID = [16]byte{} },
		"no class":          func(c *federation.Content) { c.Messages[0].Class = 0 },
		"number 0":          func(c *federation.Content) { c.Messages[0].Number = 0 },
		"number with id":    func(c *federation.Content) { c.Messages[0].ID[0] = 1 },
		"query with number": func(c *federation.Content) { c.Messages[1].Number = 4 },
		"answer with chain": func(c *federation.Content) { c.Messages[2].Chain[0] = 4 },
		"body":              func(c *federation.Content) { c.Messages[0].Body = make([]byte, federation.BodyMax+1) },
		"persons":           func(c *federation.Content) { c.Messages[3].Persons = make([]byte, federation.PersonsMax+1) },
		"persons digest":    func(c *federation.Content) { c.Messages[3].PersonsDigest[0] ^= 1 },
		"digest and nobody": func(c *federation.Content) { c.Messages[0].PersonsDigest[0] = 1 },
		"salt and nobody":   func(c *federation.Content) { c.Messages[0].PersonsSalt[0] = 1 },
		"too many": func(c *federation.Content) {
			c.Messages = make([]federation.Message, federation.ParcelMessagesMax+1)
		},
		"together too large": func(c *federation.Content) { tooLarge(c) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := w.content(shanghai, 4)
			change(&c)
			if _, err := federation.Pack(w.dir, w.Sealers[beijing], beijing, c); !errors.Is(err, federation.ErrContent) {
				t.Fatalf("got %v, want ErrContent", err)
			}
		})
	}
	t.Run("no seal key", func(t *testing.T) {
		t.Parallel()
		c := w.content("999999", 1)
		if _, err := federation.Pack(w.dir, w.Sealers[beijing], beijing, c); !errors.Is(err, federation.ErrNoKey) {
			t.Fatalf("got %v, want ErrNoKey", err)
		}
	})
	t.Run("own key revoked", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, func(d *federation.DirectoryData) { d.Members[0].Keys[0].Revoked = true })
		_, err := federation.Pack(w.dir, w.Sealers[beijing], beijing, w.content(shanghai, 1))
		if !errors.Is(err, federation.ErrNoKey) {
			t.Fatalf("got %v, want ErrNoKey", err)
		}
		wantRefused(t, err, federation.RefusedKeyRevoked)
	})
}

func tooLarge(c *federation.Content) {
	m := c.Messages[0]
	m.Body = make([]byte, federation.BodyMax)
	c.Messages = nil
	for range federation.ParcelBytesMax/federation.BodyMax + 1 {
		c.Messages = append(c.Messages, m)
	}
}

// TestFullestParcel: the most that Fits allows, in number and in bytes, is a record that the bus takes.
func TestFullestParcel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.content(shanghai, 4)
	tooLarge(&c)
	n := federation.Fits(c.Messages)
	if n != federation.ParcelBytesMax/federation.BodyMax {
		t.Fatalf("%d fit", n)
	}
	c.Messages = c.Messages[:n]
	if _, err := w.unpack(beijing, shanghai, w.pack(t, c)); err != nil {
		t.Fatal(err)
	}
	many := w.content(shanghai, federation.ParcelMessagesMax+10)
	for i := range many.Messages {
		many.Messages[i].Body = make([]byte, 1000)
	}
	if n := federation.Fits(many.Messages); n != federation.ParcelMessagesMax {
		t.Fatalf("%d fit", n)
	}
	if federation.Fits(nil) != 0 {
		t.Fatal("nothing does not fit")
	}
}

// TestKeyNamedAfterSigning: the Sealer may sign with a key other than the newest of the directory;
// the header names that one.
func TestKeyNamedAfterSigning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(d *federation.DirectoryData) {
		newer := d.Members[0].Keys[0]
		newer.ID, newer.Public, newer.NotBefore = "110000-newer", bytes.Repeat([]byte{5}, 32), federationtest.Start()
		d.Members[0].Keys = append(d.Members[0].Keys, newer)
	})
	o, err := w.unpack(beijing, shanghai, w.pack(t, w.content(shanghai, 1)))
	if err != nil || o.Header.SignKey != "110000-sign" {
		t.Fatalf("%+v, %v", o, err)
	}
}
