package evidence

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gongji/federation"
)

// Format names the form of a bundle. Another form gets another name.
const Format = "gongji-evidence-v1"

// Bounds of a bundle, so that a reader of somebody else's file is not overrun.
const (
	BundleMax   = 64 << 20 // bytes of the file
	proofsMax   = 1 << 14
	receiptsMax = 1 << 14
	wordsMax    = 1 << 12
	missingMax  = 1 << 12
)

const bundleContext = "gongji-evidence-v1\x00"

// ErrBundle: what was read is no whole bundle. The text says what is wrong with it.
var ErrBundle = errors.New("evidence: not a good bundle")

// Bundle is everything that proves what regions told each other about one payment, grant or mandate, put together by
// one of them. Its JSON has one form, and the whole is signed by the region that made it, so no byte can be changed and
// nothing be left out afterwards. What the region itself claims stands apart (OwnWord): nobody else vouches for it.
type Bundle struct {
	Format    string    `json:"format"`
	Subject   string    `json:"subject"`
	Region    string    `json:"region"`
	Prepared  time.Time `json:"prepared"`
	Proofs    [][]byte  `json:"proofs"`   // federation.EncodeProof: what others signed, oldest first
	Receipts  []Receipt `json:"receipts"` // what this region sent, as far as the receivers signed for it
	OwnWord   []Word    `json:"own_word"`
	Requests  []Request `json:"requests,omitempty"` // what platforms asked of this region, oldest first
	Missing   []string  `json:"missing,omitempty"`  // archives that were not there when it was made
	KeyID     string    `json:"key_id"`
	Signature []byte    `json:"signature"`
}

// Receipt proves that the signer of the header has the messages of Contents in its log, in this order and with this
// content: from the chain before them they lead to the chain in the header's ack.
type Receipt struct {
	Header    []byte    `json:"header"`
	Signature []byte    `json:"signature"`
	First     uint64    `json:"first"`  // number of the first content
	Before    []byte    `json:"before"` // the chain before it
	Contents  []Content `json:"contents"`
}

// Content is one message of a receipt: whole where it is about the bundle's subject, by its digest where it is about
// something else.
type Content struct {
	Digest  []byte `json:"digest,omitempty"`
	Body    []byte `json:"body,omitempty"`
	Persons []byte `json:"persons,omitempty"` // digest of the persons, where there are any
}

// Word is one line of what the region says of itself.
type Word struct {
	Time time.Time `json:"time"`
	Node string    `json:"node"`
	What string    `json:"what"`
	From string    `json:"from_state"`
	To   string    `json:"to_state"`
}

// Add puts a proof in, without the salt of its persons unless opening is wanted.
func (b *Bundle) Add(p federation.Proof, opening bool) {
	if !opening {
		p = p.Blind()
	}
	if data := federation.EncodeProof(p); data != nil {
		b.Proofs = append(b.Proofs, data)
	}
}

// Sign puts the bundle in order and signs it, at b.Prepared.
func (b *Bundle) Sign(s federation.Sealer) ([]byte, error) {
	b.Format, b.Prepared, b.Signature = Format, b.Prepared.UTC().Truncate(time.Microsecond), []byte{}
	if b.Proofs == nil {
		b.Proofs = [][]byte{}
	}
	if b.Receipts == nil {
		b.Receipts = []Receipt{}
	}
	if b.OwnWord == nil {
		b.OwnWord = []Word{}
	}
	slices.SortFunc(b.Proofs, compareProofs)
	b.Proofs = slices.CompactFunc(b.Proofs, bytes.Equal)
	slices.SortFunc(b.Receipts, compareReceipts)
	for range 3 { // the key is named only after it has signed, and may change between two signatures
		message, err := b.message()
		if err != nil {
			return nil, err
		}
		id, signature, err := s.Sign(message)
		if err != nil {
			return nil, fmt.Errorf("evidence: sign: %w", err)
		}
		if id == b.KeyID {
			b.Signature = signature
			return json.Marshal(b)
		}
		b.KeyID = id
	}
	return nil, fmt.Errorf("%w: the signing key changes", ErrBundle)
}

// message is what is signed: the bundle without its signature.
func (b *Bundle) message() ([]byte, error) {
	plain := *b
	plain.Signature = []byte{}
	data, err := json.Marshal(&plain)
	return append([]byte(bundleContext), data...), err
}

// compareProofs orders by the time at which they were signed, then by their bytes.
func compareProofs(a, b []byte) int {
	return cmp.Or(proofTime(a).Compare(proofTime(b)), bytes.Compare(a, b))
}

func proofTime(data []byte) time.Time {
	p, err := federation.DecodeProof(data)
	if err != nil {
		return time.Time{}
	}
	h, err := federation.DecodeHeader(p.Header)
	if err != nil {
		return time.Time{}
	}
	return h.Time
}

func compareReceipts(a, b Receipt) int {
	x, errX := federation.DecodeHeader(a.Header)
	y, errY := federation.DecodeHeader(b.Header)
	if errX != nil || errY != nil {
		return bytes.Compare(a.Header, b.Header)
	}
	return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.Ack.Epoch, y.Ack.Epoch), cmp.Compare(a.First, b.First),
		cmp.Compare(x.Ack.Number, y.Ack.Number), bytes.Compare(a.Header, b.Header))
}

// Decode reads a bundle in its one form; a line feed may follow it. It checks no signature. Error: ErrBundle.
func Decode(data []byte) (*Bundle, error) {
	data = bytes.TrimSuffix(data, []byte("\n"))
	if len(data) > BundleMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrBundle, len(data))
	}
	var b Bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("%w: not JSON of a bundle", ErrBundle)
	}
	again, err := json.Marshal(&b)
	switch {
	case err != nil || !bytes.Equal(again, data):
		return nil, fmt.Errorf("%w: not in the form in which a bundle is written", ErrBundle)
	case b.Format != Format:
		return nil, fmt.Errorf("%w: of the form %q, this program reads %s", ErrBundle, b.Format, Format)
	case b.Proofs == nil || b.Receipts == nil || b.OwnWord == nil || len(b.Proofs) > proofsMax ||
		len(b.Receipts) > receiptsMax || len(b.OwnWord) > wordsMax || len(b.Requests) > requestsMax ||
		len(b.Missing) > missingMax:
		return nil, fmt.Errorf("%w: lists missing or too long", ErrBundle)
	case !slices.IsSortedFunc(b.Proofs, compareProofs) || !slices.IsSortedFunc(b.Receipts, compareReceipts):
		return nil, fmt.Errorf("%w: not in order", ErrBundle)
	}
	return &b, nil
}
