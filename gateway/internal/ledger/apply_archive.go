package ledger

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/wire"
)

// Evidence leaves the state by way of archives: a cut names what belongs to one, every node writes it to a file, the
// leader signs the file's digest into the log, and a while later the state forgets what the archive has. What was
// cut never changes, so the file can be written at any time until then.

// dropMax is how many records one DropArchive takes out of the state.
const dropMax = 1024

func archiveKey(no uint64) string { return string(binary.BigEndian.AppendUint64([]byte{'a'}, no)) }

const cutKey = "p"

func (x *tx) applyArchive(now time.Time, cmd Command) (Outcome, bool) {
	switch c := cmd.(type) {
	case *Led:
		return x.led(now, c), true
	case *CutArchive:
		return x.cutArchive(now, c), true
	case *SealArchive:
		return x.sealArchive(c), true
	case *DropArchive:
		return x.dropArchive(c), true
	case *HoldArchives:
		return x.holdArchives(c), true
	}
	return Outcome{}, false
}

// loaded reads a record outside of the hot tables.
func loaded[T any, P interface {
	*T
	record.Record
}](x *tx, prefix byte, key string) *T {
	v, err := read[T, P](x.Txn, prefix, key)
	if err != nil {
		x.fail(err)
	}
	return v
}

// cutArchive closes archive No, if the one before is sealed: then at most one is being written.
func (x *tx) cutArchive(now time.Time, c *CutArchive) Outcome {
	last := loaded[cutRecord](x, keyArchive, cutKey)
	if last == nil {
		last = new(cutRecord)
	}
	if x.err != nil || c.No != last.No+1 {
		return refuse(policy.CodeWrongState)
	}
	if last.No > 0 {
		if before := loaded[ArchiveRecord](x, keyArchive, archiveKey(last.No)); before == nil || !before.Sealed() {
			return refuse(policy.CodeWrongState)
		}
	}
	spans, next := x.spans(last.Spans)
	if x.err != nil || len(spans) == 0 {
		return refuse(policy.CodeWrongState)
	}
	a := &ArchiveRecord{No: c.No, Since: last.Cut, Cut: now, Spans: spans}
	x.Set(stateKey(keyArchive, archiveKey(a.No)), record.Encode(a))
	x.Set(stateKey(keyArchive, cutKey), record.Encode(&cutRecord{No: c.No, Cut: now, Spans: next}))
	return Outcome{}
}

// spans are what every link has more than at the last cut, received before sent, peers in the order of their codes; and
// where the next cut begins.
func (x *tx) spans(last []Span) ([]Span, []Span) {
	begin := map[string]Span{}
	for _, s := range last {
		begin[spanName(&s)] = s
	}
	var out, next []Span
	add := func(to Span) {
		before := begin[spanName(&to)]
		to.FromEpoch, to.FromLast = before.ToEpoch, before.ToLast
		next = append(next, to)
		if !to.empty() {
			out = append(out, to)
		}
	}
	lo := []byte{keyLink}
	x.Scan(lo, prefixEnd(lo), func(key, _ []byte) bool {
		peer := federation.Region(key[1:])
		link := get(x, x.l.links, string(peer))
		if x.err != nil || link == nil {
			return x.err == nil
		}
		for _, to := range []Span{
			{Peer: peer, ToEpoch: link.In.Epoch, ToLast: link.In.Applied},
			{Peer: peer, Sent: true, ToEpoch: link.Out.Epoch, ToLast: link.Out.Acked},
		} {
			add(to)
		}
		return true
	})
	asked, err := lastAsked(x.Txn)
	if err != nil {
		x.fail(err)
	}
	if asked > 0 {
		add(askedSpan(x.l.cfg.Self, asked))
	}
	return out, next
}

// sealArchive takes the leader's checkpoint, once.
func (x *tx) sealArchive(c *SealArchive) Outcome {
	a := loaded[ArchiveRecord](x, keyArchive, archiveKey(c.No))
	if x.err != nil || a == nil || a.Sealed() || c.KeyID == "" {
		return refuse(policy.CodeWrongState)
	}
	a.Entries, a.Digest, a.Time, a.KeyID, a.Signature = c.Entries, c.Digest, c.Time, c.KeyID, c.Signature
	x.Set(stateKey(keyArchive, archiveKey(a.No)), record.Encode(a))
	return Outcome{}
}

// dropArchive forgets the first dropMax records of a sealed archive that are still there.
func (x *tx) dropArchive(c *DropArchive) Outcome {
	a := loaded[ArchiveRecord](x, keyArchive, archiveKey(c.No))
	if x.err != nil || a == nil || !a.Sealed() || a.Gone || x.holders(a.No) < c.Need {
		return refuse(policy.CodeWrongState)
	}
	a.Dropping = true
	x.Set(stateKey(keyArchive, archiveKey(a.No)), record.Encode(a))
	left := dropMax
	for i := range a.Spans {
		left = x.drop(&a.Spans[i], left)
		if left == 0 || x.err != nil {
			return Outcome{}
		}
	}
	a.Gone, a.Spans = true, nil
	x.Set(stateKey(keyArchive, archiveKey(a.No)), record.Encode(a))
	return Outcome{}
}

// holdersMax bounds the nodes that are remembered: a region has at most a handful, and each was a member once.
const holdersMax = 64

// holdArchives takes down how far a node's disk has come.
func (x *tx) holdArchives(c *HoldArchives) Outcome {
	if c.Node == "" || len(c.Node) > idMax {
		return refuse(policy.CodeInvalidRequest)
	}
	if all := x.holdersOf(0); x.err == nil && len(all) >= holdersMax && !slices.Contains(all, c.Node) {
		return refuse(policy.CodeRateLimited)
	}
	x.Set(stateKey(keyArchive, holderKey+c.Node), record.Encode(&heldRecord{c.Through}))
	return Outcome{}
}

// holderKey stands before a node's name under keyArchive.
const holderKey = "n"

// holders is how many nodes have an archive on their disks.
func (x *tx) holders(no uint64) int { return len(x.holdersOf(no)) }

func (x *tx) holdersOf(no uint64) []string {
	all, err := holders(x.Txn)
	if err != nil {
		x.fail(err)
	}
	var out []string
	for _, node := range slices.Sorted(maps.Keys(all)) {
		if all[node] >= no {
			out = append(out, node)
		}
	}
	return out
}

func holders(r consensus.Reader) (map[string]uint64, error) {
	out := map[string]uint64{}
	var failed error
	lo := stateKey(keyArchive, holderKey)
	r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		var h heldRecord
		failed = record.Decode(value, &h)
		out[string(key[len(lo):])] = h.Through
		return failed == nil
	})
	return out, failed
}

// ArchiveHolders is how far each node said that its disk has come.
func (v View) ArchiveHolders() (map[string]uint64, error) { return holders(v.r) }

// drop forgets records of one span, at most left, and returns how many more may be forgotten.
func (x *tx) drop(s *Span, left int) int {
	for _, prefix := range s.prefixes() {
		var keys [][]byte
		lo, hi := s.bounds(prefix)
		if prefix == keyOut {
			// The last one stays: the receipts behind it begin with its chain.
			hi = stateKey(prefix, numbered(s.Peer, s.ToEpoch, s.ToLast))
		}
		x.Scan(lo, hi, func(key, value []byte) bool {
			keys = append(keys, append([]byte(nil), key...))
			keys = append(keys, x.leading(prefix, s.Peer, key, value)...)
			left--
			return left > 0 && x.err == nil
		})
		for _, k := range keys {
			x.Delete(k)
		}
		if left == 0 || x.err != nil {
			return left
		}
	}
	return left
}

// leading are the keys of the index that lead to a record.
func (x *tx) leading(prefix byte, peer federation.Region, key, value []byte) [][]byte {
	numbers := key[1+len(peer):]
	place := Place{Peer: peer, Epoch: binary.BigEndian.Uint64(numbers), Number: binary.BigEndian.Uint64(numbers[8:])}
	var keys [][]byte
	about := func(p Place, body []byte) {
		if b, err := wire.Decode(body); err == nil && Subject(b) != "" {
			keys = append(keys, p.key(Subject(b)))
		}
	}
	switch prefix {
	case keyOut:
		var m OutMessage
		if err := record.Decode(value, &m); err != nil {
			x.fail(err)
			return nil
		}
		place.Sent = true
		about(place, m.Body)
	case keyAsked:
		var a AskedRecord
		if err := record.Decode(value, &a); err != nil {
			x.fail(err)
			return nil
		}
		place.Asked = true
		keys = append(keys, place.key(a.Subject))
	case keyEvidence:
		var e Evidence
		if err := record.Decode(value, &e); err != nil {
			x.fail(err)
			return nil
		}
		for i := range e.Parcel.Messages {
			place.Number = e.Parcel.Messages[i].Number
			about(place, e.Parcel.Messages[i].Body)
		}
	}
	return keys
}

// prefixes are the records that a span has, in the order of the file.
func (s *Span) prefixes() []byte {
	switch {
	case s.Asked:
		return []byte{keyAsked}
	case s.Sent:
		return []byte{keyOut, keyReceipt}
	}
	return []byte{keyEvidence}
}

func (s *Span) bounds(prefix byte) ([]byte, []byte) {
	return stateKey(prefix, numbered(s.Peer, s.FromEpoch, s.FromLast+1)),
		stateKey(prefix, numbered(s.Peer, s.ToEpoch, s.ToLast+1))
}

// Archived is one record of an archive: exactly one of the pointers is set.
type Archived struct {
	Peer          federation.Region
	Epoch, Number uint64 // of the message, of the first message of a parcel, or that a receipt acks
	Received      *Evidence
	Sent          *OutMessage
	Receipt       *Receipt
	Asked         *AskedRecord // a platform's request; Number counts them, Peer is the region itself
}

// Archived visits what belongs to an archive, in the order of its file, until visit returns an error.
func (v View) Archived(a *ArchiveRecord, visit func(Archived) error) error {
	var failed error
	for i := range a.Spans {
		s := &a.Spans[i]
		for _, prefix := range s.prefixes() {
			lo, hi := s.bounds(prefix)
			v.r.Scan(lo, hi, func(key, value []byte) bool {
				numbers := key[1+len(s.Peer):]
				out := Archived{
					Peer: s.Peer, Epoch: binary.BigEndian.Uint64(numbers), Number: binary.BigEndian.Uint64(numbers[8:]),
				}
				var r record.Record
				switch prefix {
				case keyEvidence:
					out.Received = new(Evidence)
					r = out.Received
				case keyOut:
					out.Sent = new(OutMessage)
					r = out.Sent
				case keyReceipt:
					out.Receipt = new(Receipt)
					r = out.Receipt
				case keyAsked:
					out.Asked = new(AskedRecord)
					r = out.Asked
				}
				if failed = record.Decode(value, r); failed == nil {
					failed = visit(out)
				}
				return failed == nil
			})
			if failed != nil {
				return failed
			}
		}
	}
	return nil
}

// Archive finds an archive by its number; number 0 is the newest.
func (v View) Archive(no uint64) (*ArchiveRecord, error) {
	if no == 0 {
		last, err := read[cutRecord](v.r, keyArchive, cutKey)
		if err != nil || last == nil {
			return nil, err
		}
		no = last.No
	}
	return read[ArchiveRecord](v.r, keyArchive, archiveKey(no))
}

// Archives visits all archives from a number on, oldest first.
func (v View) Archives(from uint64, visit func(*ArchiveRecord) bool) error {
	var failed error
	v.r.Scan(stateKey(keyArchive, archiveKey(from)), []byte{keyArchive, 'a' + 1}, func(_, value []byte) bool {
		a := new(ArchiveRecord)
		failed = record.Decode(value, a)
		return failed == nil && visit(a)
	})
	return failed
}

// Unarchived is how many messages were applied or acked since the last cut, and when that was.
func (v View) Unarchived() (uint64, time.Time, error) {
	last, err := read[cutRecord](v.r, keyArchive, cutKey)
	if err != nil {
		return 0, time.Time{}, err
	}
	if last == nil {
		last = new(cutRecord)
	}
	done := map[string]Span{}
	for _, s := range last.Spans {
		done[spanName(&s)] = s
	}
	var n uint64
	lo := []byte{keyLink}
	v.r.Scan(lo, prefixEnd(lo), func(key, value []byte) bool {
		var link LinkRecord
		if err = record.Decode(value, &link); err != nil {
			return false
		}
		for _, to := range []Span{
			{Peer: federation.Region(key[1:]), ToEpoch: link.In.Epoch, ToLast: link.In.Applied},
			{Peer: federation.Region(key[1:]), Sent: true, ToEpoch: link.Out.Epoch, ToLast: link.Out.Acked},
		} {
			if before := done[spanName(&to)]; before.ToEpoch == to.ToEpoch {
				n += to.ToLast - min(before.ToLast, to.ToLast)
			} else {
				n += to.ToLast
			}
		}
		return true
	})
	if err != nil {
		return 0, last.Cut, err
	}
	asked, err := lastAsked(v.r)
	for _, before := range last.Spans {
		if before.Asked {
			asked -= min(before.ToLast, asked)
		}
	}
	return n + asked, last.Cut, err
}

func spanName(s *Span) string {
	switch {
	case s.Asked:
		return string(s.Peer) + "r"
	case s.Sent:
		return string(s.Peer) + "o"
	}
	return string(s.Peer) + "i"
}
