package federation

import (
	"container/list"
	"sync"
)

// Proof makes the proof of message i. For an i outside the parcel it is empty, and proves nothing.
func (o *Opened) Proof(h Hash, i int) Proof {
	if i < 0 || i >= len(o.Messages) || len(o.Leaves) != len(o.Messages) {
		return Proof{}
	}
	m := &o.Messages[i]
	return Proof{
		Header: cloneBytes(o.Raw), Signature: cloneBytes(o.Signature),
		Index: uint32(i), Count: o.Header.Count, Path: Path(h, o.Leaves, i),
		Class: m.Class, Number: m.Number, Chain: m.Chain, ID: m.ID, Salt: m.Salt, Body: cloneBytes(m.Body),
		PersonsSalt: m.PersonsSalt, PersonsDigest: m.PersonsDigest,
	}
}

// Blind returns the proof without the salt of the persons, for a third region: with the salt
// somebody could guess an identity number and hold it against the digest. It proves as much as
// before.
func (p Proof) Blind() Proof {
	p.PersonsSalt = [SaltSize]byte{}
	return p
}

// VerifyProof checks that a region signed the message in p: form, the sender's key in the directory
// (known, not revoked, valid at the header's time), signature, and the path from the leaf. It
// returns the header, whose From is who signed and whose To is whom they told. Error:
// *RefusedError.
func VerifyProof(dir *Directory, s Sealer, p Proof) (Header, error) {
	return verifyProof(dir, s, nil, p)
}

func verifyProof(dir *Directory, s Sealer, cache *RootCache, p Proof) (Header, error) {
	if !validProof(&p) {
		return Header{}, refuse(RefusedMalformed, "proof")
	}
	h, err := DecodeHeader(p.Header)
	if err != nil {
		return Header{}, err
	}
	if _, ok := dir.Member(h.From); !ok {
		return Header{}, refuse(RefusedSenderUnknown, string(h.From))
	}
	key, err := signerOf(dir, &h)
	if err != nil {
		return Header{}, err
	}
	// The path costs a few hashes, the signature a hundred times that: the cheap check first.
	m := p.message()
	if p.Count != h.Count || !VerifyPath(s.Hash, Leaf(s.Hash, &m), p.Index, p.Count, p.Path, h.Root) {
		return Header{}, refuse(RefusedProof, string(h.From))
	}
	if err := signedBy(cache.verify(s, key.Public, p.Header, p.Signature), &h); err != nil {
		return Header{}, err
	}
	return h, nil
}

// RootCache remembers which headers' signatures were found good, so that many proofs from one
// parcel cost one signature check. It is keyed by the digest of public key, header and signature,
// filled only after success, and bounded: the least recently used goes. The directory is asked
// every time, so a key revoked later is refused at once. Safe for concurrent use.
type RootCache struct {
	s     Sealer
	limit int

	mu   sync.Mutex
	seen map[[HashSize]byte]*list.Element
	used *list.List // front: last used
}

// NewRootCache makes a cache of at most limit headers (at least 1), about 150 bytes each.
func NewRootCache(s Sealer, limit int) *RootCache {
	return &RootCache{s: s, limit: max(limit, 1), seen: map[[HashSize]byte]*list.Element{}, used: list.New()}
}

// VerifyProof is VerifyProof with the signature checked through the cache.
func (c *RootCache) VerifyProof(dir *Directory, p Proof) (Header, error) {
	return verifyProof(dir, c.s, c, p)
}

// Len is how many headers are remembered.
func (c *RootCache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used.Len()
}

// verify checks the signature of header under public; c may be nil.
func (c *RootCache) verify(s Sealer, public, header, signature []byte) error {
	if c == nil {
		return s.Verify(public, signed(header), signature)
	}
	// Every part is hashed alone first, so that no byte can move from one part to the next.
	k, a, b := s.Hash(public), s.Hash(header), s.Hash(signature)
	key := s.Hash(k[:], a[:], b[:])
	if c.has(key) {
		return nil
	}
	if err := s.Verify(public, signed(header), signature); err != nil {
		return err
	}
	c.add(key)
	return nil
}

func (c *RootCache) has(key [HashSize]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.seen[key]
	if ok {
		c.used.MoveToFront(e)
	}
	return ok
}

func (c *RootCache) add(key [HashSize]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.seen[key]; ok {
		return
	}
	c.seen[key] = c.used.PushFront(key)
	for c.used.Len() > c.limit {
		last := c.used.Back()
		c.used.Remove(last)
		if k, ok := last.Value.([HashSize]byte); ok {
			delete(c.seen, k)
		}
	}
}

// VerifyHeader checks that a region signed a header: form, the sender's key in the directory (known, not revoked, valid
// at the header's time), signature. A header with an ack is a receipt. Error: *RefusedError.
func VerifyHeader(dir *Directory, s Sealer, header, signature []byte) (Header, error) {
	h, err := DecodeHeader(header)
	if err != nil {
		return Header{}, err
	}
	if _, ok := dir.Member(h.From); !ok {
		return Header{}, refuse(RefusedSenderUnknown, string(h.From))
	}
	key, err := signerOf(dir, &h)
	if err != nil {
		return Header{}, err
	}
	if err := signedBy(s.Verify(key.Public, signed(header), signature), &h); err != nil {
		return Header{}, err
	}
	return h, nil
}
