package evidence

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// Source is where evidence is read: the state alone (ledger.View), or the state and this node's archives (Reader).
type Source interface {
	// Said reads the messages about a payment, grant or mandate, as ledger.View does.
	Said(subject string, peer federation.Region) ([]ledger.Said, error)
	Asked(subject string) ([]*ledger.AskedRecord, error)
	// Receipt finds the receipt that covers a message of this region's.
	Receipt(peer federation.Region, epoch, number uint64) (uint64, *ledger.Receipt, error)
	Sent(peer federation.Region, epoch, number uint64) (*ledger.OutMessage, error)
	EvidenceAt(peer federation.Region, epoch, first uint64) (*ledger.Evidence, error)
}

var (
	_ Source = ledger.View{}
	_ Source = (*Reader)(nil)
)

// readMax bounds the archives that are looked through for one thing: eleven years of daily ones. What costs time is an
// index of some twenty reads for each.
const readMax = 4096

// Folder is a node's folder of archives. The zero value has none.
type Folder struct {
	Dir  string
	Hash federation.Hash
}

// Reader reads the state and, for what has left it, the archives of a folder. Close it. It is for one goroutine and one
// thing: Said or Asked comes first, and finds the archives that the other calls look into.
type Reader struct {
	ledger.View

	folder  Folder
	root    *os.Root
	list    []*ledger.ArchiveRecord // what has left the state, in whole or in part, oldest first
	subject string
	files   []*archiveFile // that have something about the subject
	missing []string
	places  map[ledger.Place]*archiveFile
}

// archiveFile is an archive that is read here and there.
type archiveFile struct {
	no    uint64
	data  *os.File
	index *index
	close func() error
}

// Open makes a Reader of what was said since a moment; zero: since the first archive. Archives that the state still has
// whole are not looked at, so that a young payment costs nothing.
func (f Folder) Open(v ledger.View, since time.Time) (*Reader, error) {
	r := &Reader{View: v, folder: f, places: map[ledger.Place]*archiveFile{}}
	if f.Dir == "" {
		return r, nil
	}
	err := v.Archives(0, func(a *ledger.ArchiveRecord) bool {
		if (a.Gone || a.Dropping) && !a.Cut.Before(since) {
			r.list = append(r.list, a)
		}
		return true
	})
	if err != nil || len(r.list) == 0 {
		return r, err
	}
	if n := len(r.list) - readMax; n > 0 {
		r.missing = append(r.missing, ArchiveName(r.list[0].No)+" …")
		r.list = r.list[n:]
	}
	r.root, err = os.OpenRoot(f.Dir)
	if errors.Is(err, os.ErrNotExist) {
		err = nil // all of them are missing
	}
	return r, err
}

// Close closes the files.
func (r *Reader) Close() error {
	var err error
	for _, f := range r.files {
		err = errors.Join(err, f.close())
	}
	if r.root != nil {
		err = errors.Join(err, r.root.Close())
	}
	return err
}

// Missing are the archives that were needed and are not in the folder.
func (r *Reader) Missing() []string { return r.missing }

// find opens the archives that have something about a subject.
func (r *Reader) find(subject string) error {
	if r.subject == subject {
		return nil
	}
	r.subject = subject
	for _, a := range r.list {
		f, err := r.open(a.No)
		if errors.Is(err, os.ErrNotExist) {
			r.missing = append(r.missing, ArchiveName(a.No))
			continue
		}
		if err != nil {
			return err
		}
		if len(f.index.mentions(r.folder.Hash, subject)) > 0 {
			r.files = append(r.files, f)
			continue
		}
		if err = errors.Join(f.index.err, f.close()); err != nil {
			return err
		}
	}
	return nil
}

// open opens an archive with its index, which is made in memory where it is not there or not the archive's.
func (r *Reader) open(no uint64) (*archiveFile, error) {
	if r.root == nil {
		return nil, os.ErrNotExist
	}
	data, err := r.root.Open(ArchiveName(no))
	if err != nil {
		return nil, err
	}
	f := &archiveFile{no: no, data: data, close: data.Close}
	st, err := data.Stat()
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if beside, failed := r.root.Open(IndexName(no)); failed == nil {
		length := int64(0)
		if s, e := beside.Stat(); e == nil {
			length = s.Size()
		}
		if f.index, err = openIndex(beside, length, st.Size()); err == nil {
			f.close = func() error { return errors.Join(data.Close(), beside.Close()) }
			return f, nil
		}
		_ = beside.Close() // it is made again
	}
	made, err := MakeIndex(io.NewSectionReader(data, 0, st.Size()), st.Size(), r.folder.Hash)
	if err == nil {
		f.index, err = openIndex(bytes.NewReader(made), int64(len(made)), st.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ArchiveName(no), errors.Join(err, f.close()))
	}
	return f, nil
}

// line reads the line at an offset.
func (f *archiveFile) line(offset int64) (*archiveLine, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(f.data, offset, lineMax), 16<<10)
	raw, err := in.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%w: %s at %d: %w", ErrArchive, ArchiveName(f.no), offset, err)
	}
	l, err := parseLine(bytes.TrimSuffix(raw, []byte{'\n'}))
	if err != nil {
		return nil, fmt.Errorf("%w: %s at %d %w", ErrArchive, ArchiveName(f.no), offset, err)
	}
	return l, nil
}

// at reads the line of a place; nil when it is not in this file.
func (f *archiveFile) at(kind string, peer federation.Region, epoch, number uint64) (*archiveLine, error) {
	key := lineKey(kind, peer, epoch, number)
	found, offset := f.index.behind(key)
	if f.index.err != nil || !bytes.Equal(found, key) {
		return nil, f.index.err
	}
	return f.line(offset)
}

// Said is what was said, in the state and in the archives. Error: what a damaged archive gives.
func (r *Reader) Said(subject string, peer federation.Region) ([]ledger.Said, error) {
	said, err := r.View.Said(subject, peer)
	if err == nil {
		err = r.find(subject)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range r.files {
		for _, m := range f.index.mentions(r.folder.Hash, subject) {
			s, err := f.said(m)
			if err != nil {
				return nil, err
			}
			if s == nil || peer != "" && s.Peer != peer {
				continue
			}
			r.places[s.Place] = f
			said = slices.DeleteFunc(said, func(x ledger.Said) bool { return x.Place == s.Place })
			said = append(said, *s)
		}
		if f.index.err != nil {
			return nil, f.index.err
		}
	}
	slices.SortFunc(said, func(a, b ledger.Said) int {
		way := func(p ledger.Place) int { return map[bool]int{true: 1}[p.Sent] }
		return cmp.Or(cmp.Compare(way(a.Place), way(b.Place)), cmp.Compare(a.Peer, b.Peer),
			cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Number, b.Number))
	})
	return said, nil
}

// said is one message of a file; nil for what is no message.
func (f *archiveFile) said(m mention) (*ledger.Said, error) {
	l, err := f.line(m.offset)
	if err != nil {
		return nil, err
	}
	s := &ledger.Said{Place: ledger.Place{Sent: l.Kind == lineSent, Peer: l.Peer, Epoch: l.Epoch, Number: m.number}}
	switch l.Kind {
	case lineSent:
		s.Sent, err = l.sent()
		return s, err
	case lineReceived:
		if s.Evidence, err = l.evidence(); err != nil {
			return nil, err
		}
		s.Index = slices.IndexFunc(s.Evidence.Parcel.Messages, func(x ledger.Inbound) bool { return x.Number == m.number })
		if s.Index < 0 {
			return nil, fmt.Errorf("%w: %s has no message %d where its index says", ErrArchive, ArchiveName(f.no), m.number)
		}
		return s, nil
	}
	return nil, nil //nolint:nilnil // nothing of this kind is an answer here
}

// Asked are the requests of platforms, oldest first.
func (r *Reader) Asked(subject string) ([]*ledger.AskedRecord, error) {
	out, err := r.View.Asked(subject)
	if err == nil {
		err = r.find(subject)
	}
	if err != nil {
		return nil, err
	}
	for _, f := range r.files {
		for _, m := range f.index.mentions(r.folder.Hash, subject) {
			l, err := f.line(m.offset)
			if err != nil {
				return nil, err
			}
			if l.Kind == lineAsked && l.Asked != nil {
				out = append(out, l.Asked.recorded())
			}
		}
	}
	order := func(a, b *ledger.AskedRecord) int {
		return cmp.Or(a.At.Compare(b.At), bytes.Compare(a.Request.Signature, b.Request.Signature))
	}
	slices.SortStableFunc(out, order)
	// One may stand in the state and in an archive.
	return slices.CompactFunc(out, func(a, b *ledger.AskedRecord) bool { return order(a, b) == 0 }), nil
}

// Receipt is found where the message is: an archive has the receipts for all that it has.
func (r *Reader) Receipt(peer federation.Region, epoch, number uint64) (uint64, *ledger.Receipt, error) {
	f := r.places[ledger.Place{Sent: true, Peer: peer, Epoch: epoch, Number: number}]
	if f == nil {
		return r.View.Receipt(peer, epoch, number)
	}
	for {
		from := lineKey(lineReceipt, peer, epoch, number)
		key, offset := f.index.behind(from)
		if f.index.err != nil || key == nil || !bytes.Equal(key[:15], from[:15]) {
			return 0, nil, f.index.err
		}
		l, err := f.line(offset)
		if err != nil {
			return 0, nil, err
		}
		if !l.Forked {
			return l.Number, l.receipt(), nil
		}
		number = binary.BigEndian.Uint64(key[15:]) + 1 // one of another content covers nothing
	}
}

// Sent reads a message, also the last one of the archive before.
func (r *Reader) Sent(peer federation.Region, epoch, number uint64) (*ledger.OutMessage, error) {
	m, err := r.View.Sent(peer, epoch, number)
	if err != nil || m != nil {
		return m, err
	}
	l, err := r.archived(lineSent, peer, epoch, number)
	if err != nil || l == nil {
		return nil, err
	}
	return l.sent()
}

// EvidenceAt reads a parcel.
func (r *Reader) EvidenceAt(peer federation.Region, epoch, first uint64) (*ledger.Evidence, error) {
	e, err := r.View.EvidenceAt(peer, epoch, first)
	if err != nil || e != nil {
		return e, err
	}
	l, err := r.archived(lineReceived, peer, epoch, first)
	if err != nil || l == nil {
		return nil, err
	}
	return l.evidence()
}

// archived finds a line in the archives that were opened; nil where none has it.
func (r *Reader) archived(kind string, peer federation.Region, epoch, number uint64) (*archiveLine, error) {
	for _, f := range r.files {
		if l, err := f.at(kind, peer, epoch, number); err != nil || l != nil {
			return l, err
		}
	}
	return nil, nil //nolint:nilnil // as ledger.View
}
