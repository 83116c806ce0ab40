package evidence

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gongji/federation"
)

// Names of the files in a folder of archives.
const (
	archiveSuffix = ".archive"
	sealSuffix    = ".seal"
	// PartSuffix is that of a file which is being written.
	PartSuffix = ".part"
)

// ArchiveName is the file of an archive, SealName that of its seal.
func ArchiveName(no uint64) string { return fmt.Sprintf("%08d%s", no, archiveSuffix) }

// SealName is the file of an archive's seal.
func SealName(no uint64) string { return fmt.Sprintf("%08d%s", no, sealSuffix) }

// ArchiveReport is what a good folder has.
type ArchiveReport struct {
	Region      string
	First, Last uint64
	Records     uint64
	Signatures  uint64 // of parcels and receipts, checked; 0 without directories
	Seals       uint64
	Requests    uint64 // of platforms, whose signatures were checked under the keys beside them
	Unsealed    bool   // the newest has no seal yet
	Digest      string
	Doubts      []Line   // keys that signed and were revoked afterwards, once each
	Extra       []string // names in the folder that are neither archive, seal nor index
}

// ArchiveVerifier checks a folder of archives by itself. Directories may be nil: then the digests alone are checked,
// and no signature.
type ArchiveVerifier struct {
	Sealer      federation.Sealer
	Directories *Directories
	Checkpoint  *Seal // one that was kept elsewhere: the folder must reach it; nil: none
}

type archiveCheck struct {
	*ArchiveVerifier

	out    ArchiveReport
	last   [federation.HashSize]byte
	links  map[string]linkPoint                 // of received messages
	sent   map[string]linkPoint                 // of sent ones
	chains map[string][federation.HashSize]byte // of the sent messages of this file, by link and number
	doubts map[string]bool                      // keys that stand in out.Doubts
}

// linkPoint is how far a link was followed.
type linkPoint struct {
	number uint64
	chain  [federation.HashSize]byte
}

// Verify checks every file of the folder in order: digests, links between files, seals, and with directories every
// signature, leaf and chain. Error: ErrArchive, which names the first file and line that is not good.
func (v *ArchiveVerifier) Verify(root *os.Root) (*ArchiveReport, error) {
	numbers, sealed, extra, err := listArchives(root)
	if err != nil {
		return nil, err
	}
	x := &archiveCheck{
		ArchiveVerifier: v, links: map[string]linkPoint{}, sent: map[string]linkPoint{},
		doubts: map[string]bool{},
	}
	x.out.Extra = extra
	for i, no := range numbers {
		if i > 0 && no != numbers[i-1]+1 {
			return nil, fmt.Errorf("%w: %s is missing", ErrArchive, ArchiveName(numbers[i-1]+1))
		}
		if err := x.file(root, no, i == 0); err != nil {
			return nil, fmt.Errorf("%s: %w", ArchiveName(no), err)
		}
		newest := i == len(numbers)-1
		if !slices.Contains(sealed, no) {
			if !newest {
				return nil, fmt.Errorf("%w: %s is missing", ErrArchive, SealName(no))
			}
			x.out.Unsealed = true
			continue
		}
		if err := x.seal(root, no); err != nil {
			return nil, fmt.Errorf("%s: %w", SealName(no), err)
		}
	}
	for _, no := range sealed {
		if !slices.Contains(numbers, no) {
			return nil, fmt.Errorf("%w: %s is missing: its seal is here", ErrArchive, ArchiveName(no))
		}
	}
	x.out.First, x.out.Last, x.out.Digest = numbers[0], numbers[len(numbers)-1], hex.EncodeToString(x.last[:])
	if c := v.Checkpoint; c != nil && c.No > x.out.Last {
		return nil, fmt.Errorf("%w: the folder ends with %s, the checkpoint is of archive %d: the tail is missing",
			ErrArchive, ArchiveName(x.out.Last), c.No)
	}
	return &x.out, nil
}

// listArchives are the numbers of the archives and of the seals, in order, and what else stands there.
//
//nolint:revive // what a folder has are these three
func listArchives(root *os.Root) ([]uint64, []uint64, []string, error) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, nil, nil, err
	}
	var numbers, sealed []uint64
	var extra []string
	for _, e := range entries {
		if name := e.Name(); !strings.HasSuffix(name, archiveSuffix) && !strings.HasSuffix(name, sealSuffix) {
			if !strings.HasSuffix(name, indexSuffix) && !strings.HasSuffix(name, PartSuffix) {
				extra = append(extra, name)
			}
			continue
		}
		for suffix, list := range map[string]*[]uint64{archiveSuffix: &numbers, sealSuffix: &sealed} {
			if text, ok := strings.CutSuffix(e.Name(), suffix); ok {
				no, err := strconv.ParseUint(text, 10, 64)
				if err != nil || e.Name() != fmt.Sprintf("%08d%s", no, suffix) {
					return nil, nil, nil, fmt.Errorf("%w: %s is no archive", ErrArchive, e.Name())
				}
				*list = append(*list, no)
			}
		}
	}
	slices.Sort(numbers)
	slices.Sort(sealed)
	if len(numbers) == 0 {
		return nil, nil, nil, fmt.Errorf("%w: there is none", ErrArchive)
	}
	return numbers, sealed, extra, nil
}

func (x *archiveCheck) file(root *os.Root, no uint64, first bool) error {
	f, err := root.Open(ArchiveName(no))
	if err != nil {
		return err
	}
	x.chains = map[string][federation.HashSize]byte{}
	digest, entries, err := readLines(f, x.Sealer.Hash, func(l *archiveLine) error { return x.line(l, no, first) })
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	x.last = digest
	x.out.Records += entries
	if c := x.Checkpoint; c != nil && c.No == no && c.Digest != hex.EncodeToString(digest[:]) {
		return fmt.Errorf("%w: it is another file than the checkpoint's", ErrArchive)
	}
	return nil
}

func (x *archiveCheck) line(l *archiveLine, no uint64, first bool) error {
	switch l.Kind {
	case lineHead:
		if l.Format != ArchiveFormat || l.No != no || (!first && l.Region != x.out.Region) {
			return fmt.Errorf("%w: it says that it is archive %d of %s, %s", ErrArchive, l.No, l.Region, l.Format)
		}
		if !first && l.Previous != hex.EncodeToString(x.last[:]) {
			return fmt.Errorf("%w: it does not follow the file before", ErrArchive)
		}
		x.out.Region = l.Region
		return nil
	case lineReceived:
		return x.received(l)
	case lineSent:
		return x.sentLine(l)
	case lineReceipt:
		return x.receipt(l)
	case lineAsked:
		return x.asked(l)
	}
	return fmt.Errorf("%w: a line of kind %q", ErrArchive, l.Kind)
}

func fixed(b []byte) ([federation.HashSize]byte, bool) {
	var out [federation.HashSize]byte
	if len(b) == 0 {
		return out, true
	}
	return out, copy(out[:], b) == len(b) && len(b) == len(out)
}

// follow holds a message's chain against the one before it on the link, where that is known.
func (x *archiveCheck) follow(
	links map[string]linkPoint, link string, number uint64, chain, content [federation.HashSize]byte,
) error {
	if before, ok := links[link]; ok && before.number+1 == number || number == 1 {
		if federation.Chain(x.Sealer.Hash, before.chain, number, content) != chain {
			return fmt.Errorf("%w: message %d of %s has another chain", ErrArchive, number, link)
		}
	}
	links[link] = linkPoint{number, chain}
	return nil
}

func linkOf(l *archiveLine) string { return fmt.Sprintf("%s, epoch %d", l.Peer, l.Epoch) }

func (x *archiveCheck) received(l *archiveLine) error {
	if len(l.Leaves)%federation.HashSize != 0 || len(l.Messages) == 0 {
		return fmt.Errorf("%w: a parcel without its leaves", ErrArchive)
	}
	leaves := make([][federation.HashSize]byte, len(l.Leaves)/federation.HashSize)
	for i := range leaves {
		copy(leaves[i][:], l.Leaves[i*federation.HashSize:])
	}
	h, err := x.header(l)
	if err != nil {
		return err
	}
	if federation.Root(x.Sealer.Hash, leaves) != h.Root || int(h.Count) != len(leaves) || h.Epoch != l.Epoch {
		return fmt.Errorf("%w: the leaves are not those of the signed header", ErrArchive)
	}
	for i := range l.Messages {
		m := &l.Messages[i]
		chain, good := fixed(m.Chain)
		persons, known := fixed(m.Persons)
		if !good || !known || len(m.Salt) != federation.SaltSize {
			return fmt.Errorf("%w: message %d", ErrArchive, m.Number)
		}
		leaf := federation.Leaf(x.Sealer.Hash, &federation.Message{
			Class: federation.Numbered, Number: m.Number, Chain: chain, Salt: [federation.SaltSize]byte(m.Salt),
			Body: m.Body, PersonsDigest: persons,
		})
		if !slices.Contains(leaves, leaf) {
			return fmt.Errorf("%w: message %d was not signed", ErrArchive, m.Number)
		}
		content := federation.ContentDigest(x.Sealer.Hash, m.Body, persons)
		if err := x.follow(x.links, linkOf(l), m.Number, chain, content); err != nil {
			return err
		}
	}
	return nil
}

// header checks what a peer signed: its form and sender always, its signature with directories.
func (x *archiveCheck) header(l *archiveLine) (federation.Header, error) {
	h, err := federation.DecodeHeader(l.Header)
	if err != nil {
		return h, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	if h.From != l.Peer || string(h.To) != x.out.Region {
		return h, fmt.Errorf("%w: a header from %s to %s under %s", ErrArchive, h.From, h.To, l.Peer)
	}
	if x.Directories == nil {
		return h, nil
	}
	dir, err := x.Directories.At(h.Time)
	if err != nil {
		return h, err
	}
	if _, err := federation.VerifyHeader(dir, x.Sealer, l.Header, l.Signature); err != nil {
		return h, fmt.Errorf("%w: %w", ErrArchive, err)
	}
	x.out.Signatures++
	x.doubt(h.From, h.SignKey, h.Time)
	return h, nil
}

func (x *archiveCheck) sentLine(l *archiveLine) error {
	chain, good := fixed(l.Chain)
	persons, known := fixed(l.Persons)
	if !good || !known {
		return fmt.Errorf("%w: message %d to %s", ErrArchive, l.Number, l.Peer)
	}
	x.chains[fmt.Sprint(linkOf(l), l.Number)] = chain
	return x.follow(x.sent, linkOf(l), l.Number, chain, federation.ContentDigest(x.Sealer.Hash, l.Body, persons))
}

// asked checks a platform's request: its number, and its signature under the key that stands beside it.
func (x *archiveCheck) asked(l *archiveLine) error {
	before, known := x.links[linkOf(l)]
	if l.Asked == nil || string(l.Peer) != x.out.Region || l.Epoch != 1 || known && l.Number != before.number+1 {
		return fmt.Errorf("%w: request %d of a platform is not in its place", ErrArchive, l.Number)
	}
	x.links[linkOf(l)] = linkPoint{number: l.Number}
	if err := l.Asked.check(x.Sealer); err != nil {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	x.out.Requests++
	return nil
}

// receipt checks that what the peer signed for is what was sent.
func (x *archiveCheck) receipt(l *archiveLine) error {
	if len(l.Header) == 0 {
		return nil // it is the header of a received parcel, which stands in this file and is checked there
	}
	h, err := x.header(l)
	if err != nil {
		return err
	}
	chain, ok := x.chains[fmt.Sprint(linkOf(l), l.Number)]
	if ok && !l.Forked && (h.Ack.Epoch != l.Epoch || h.Ack.Number != l.Number || h.Ack.Chain != chain) {
		return fmt.Errorf("%w: the receipt is for something else", ErrArchive)
	}
	return nil
}

func (x *archiveCheck) seal(root *os.Root, no uint64) error {
	data, err := root.ReadFile(SealName(no))
	if err != nil {
		return err
	}
	s, err := DecodeSeal(data)
	if err != nil {
		return err
	}
	if s.No != no || s.Region != x.out.Region || s.Digest != hex.EncodeToString(x.last[:]) {
		return fmt.Errorf("%w: the seal is of another file", ErrArchive)
	}
	x.out.Seals++
	if x.Directories == nil {
		return nil
	}
	x.doubt(federation.Region(s.Region), s.KeyID, s.Time)
	return CheckSeal(x.Sealer, x.Directories, s)
}

// doubt notes a key that was revoked after it signed, once.
func (x *archiveCheck) doubt(r federation.Region, key string, signed time.Time) {
	version, at := x.Directories.revokedLater(r, key, signed)
	if name := string(r) + " " + key; version != 0 && !x.doubts[name] {
		x.doubts[name] = true
		x.out.Doubts = append(x.out.Doubts, revoked(r, key, signed, version, at))
	}
}

// CheckSeal checks the signature of a seal.
func CheckSeal(s federation.Sealer, dirs *Directories, seal *Seal) error {
	dir, err := dirs.At(seal.Time)
	if err != nil {
		return err
	}
	region := federation.Region(seal.Region)
	key, ok := dir.Key(region, seal.KeyID)
	if !ok || key.Use != federation.UseSign || key.Revoked || !key.ValidAt(seal.Time) {
		return fmt.Errorf("%w: the seal is signed with key %q, which was not in force", ErrArchive, seal.KeyID)
	}
	raw, err := hex.DecodeString(seal.Digest)
	if err != nil || len(raw) != federation.HashSize {
		return fmt.Errorf("%w: the digest of the seal", ErrArchive)
	}
	message := SealMessage(region, seal.No, seal.Entries, [federation.HashSize]byte(raw), seal.Time)
	if s.Verify(key.Public, message, seal.Signature) != nil {
		return fmt.Errorf("%w: the signature of the seal is not good", ErrArchive)
	}
	return nil
}
