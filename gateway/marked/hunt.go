package marked

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// numberLength is that of an identity number; its first digits, without the check digit, are as good as all.
const numberLength = 18

// needle is one form of one text.
type needle struct {
	bytes []byte
	form  string
}

// Hunt looks for clear texts. Safe for concurrent use.
type Hunt struct {
	control []byte
	needles map[uint16][]needle // by their first two bytes
	first   [1 << 16]bool       // the keys of needles
	longest int

	mu     sync.Mutex
	looked int
	found  map[string]int // places where the control text stands
	clear  []string       // bounded by findingsMax
	hits   map[string]int // place → clear texts
}

// findingsMax bounds what is told; one is enough to fail.
const findingsMax = 50

// NewHunt looks for texts; of an identity number also for its first 17 digits. control is what has to stand where
// people are spoken of, a masked number.
func NewHunt(control string, texts ...string) *Hunt {
	h := &Hunt{
		control: []byte(control), needles: map[uint16][]needle{}, found: map[string]int{}, hits: map[string]int{},
	}
	for _, text := range texts {
		h.add(text)
		if len(text) == numberLength {
			h.add(text[:numberLength-1])
		}
	}
	return h
}

func (h *Hunt) add(text string) {
	for _, f := range Forms(text) {
		h.longest = max(h.longest, len(f.Bytes))
		first := pair(f.Bytes)
		h.needles[first] = append(h.needles[first], needle{f.Bytes, f.Name})
		h.first[first] = true
	}
}

func pair(b []byte) uint16 { return uint16(b[0])<<8 | uint16(b[1]) }

// Look looks into data as it is and into everything that is packed in it. what is told with a finding.
func (h *Hunt) Look(place, what string, data []byte) {
	h.look(place, what, data)
	for _, inner := range Unpacked(data) {
		h.look(place, what+" (decompressed)", inner)
	}
}

func (h *Hunt) look(place, what string, data []byte) {
	h.lookAt(place, what, data, func(int64) bool { return true })
}

func (h *Hunt) lookAt(place, what string, data []byte, counts func(at int64) bool) {
	hits := h.scan(data, counts)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked++
	if bytes.Contains(data, h.control) {
		h.found[place]++
	}
	h.hits[place] += len(hits)
	for _, hit := range hits {
		if len(h.clear) < findingsMax {
			around := data[max(0, hit.at-aroundBefore):min(len(data), hit.at+aroundBehind)]
			h.clear = append(h.clear, fmt.Sprintf("a clear identity (%s) in %s: %s, in %q", hit.form, place, what, around))
		}
	}
}

// Bytes that are told around a finding: the persons are synthetic, and whoever is told looks for the way they took.
const (
	aroundBefore = 64
	aroundBehind = 96
)

// hit is where a form stands.
type hit struct {
	form string
	at   int
}

// scan returns the forms that stand in data where it counts, each once.
func (h *Hunt) scan(data []byte, counts func(at int64) bool) []hit {
	var out []hit
	for i := 0; i+1 < len(data); i++ {
		p := uint16(data[i])<<8 | uint16(data[i+1])
		if !h.first[p] {
			continue
		}
		for _, n := range h.needles[p] {
			known := func(h hit) bool { return h.form == n.form }
			if bytes.HasPrefix(data[i:], n.bytes) && !slices.ContainsFunc(out, known) && counts(int64(i)) {
				out = append(out, hit{n.form, i})
			}
		}
	}
	return out
}

// chunk is how much of a stream is looked at in one piece, in bytes.
const chunk = 8 << 20

// Stream looks into what is too large for the memory, as it is, piece by piece; the pieces overlap. It counts as one
// place looked at for every piece.
func (h *Hunt) Stream(place, what string, r io.Reader) error {
	return h.stream(place, what, r, func(int64) bool { return true })
}

func (h *Hunt) stream(place, what string, r io.Reader, counts func(at int64) bool) error {
	overlap := max(h.longest, len(h.control)) - 1
	buffer := make([]byte, 0, chunk+overlap)
	for at := int64(0); ; { // of the first byte in the buffer
		n, err := io.ReadFull(r, buffer[len(buffer):len(buffer)+chunk])
		buffer = buffer[:len(buffer)+n]
		if n > 0 {
			h.lookAt(place, fmt.Sprintf("%s, from byte %d on", what, at), buffer, func(in int64) bool { return counts(at + in) })
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("marked: %s: %w", what, err)
		}
		at += int64(len(buffer) - overlap)
		buffer = buffer[:copy(buffer[:cap(buffer)], buffer[len(buffer)-overlap:])]
	}
}

// Findings are the clear texts that were found, with where.
func (h *Hunt) Findings() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.clear)
}

// Clear is how many clear texts were found in a place.
func (h *Hunt) Clear(place string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hits[place]
}

// Found is in how many pieces of a place the control text stands.
func (h *Hunt) Found(place string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.found[place]
}

// Looked is how many pieces were looked at.
func (h *Hunt) Looked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.looked
}
