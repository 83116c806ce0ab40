// Package federation is the contract of how regions speak to each other: exactly once, over a bus
// that may lose, repeat, delay, reorder, forget everything, or be hostile.
//
// A region is a member of a federation whose Directory (signed by the federation's root) says who
// may speak, with which keys, to whom. Between each ordered pair of regions there is a link:
// numbered messages 1, 2, 3, … with a digest chained over them, acked cumulatively, resent from the
// first unacked number until the receiver's own log has them (go-back-N). Messages that wait for
// the same peer travel as one Parcel: signed once, sealed once, with a Merkle tree over the
// messages, so that each of them can be proven alone.
//
// This package is the pure part: it has no clock, no randomness, no I/O. It carries bytes and knows
// no payment. The cryptography comes through Sealer; the transport is a Bus. Implementations of the
// Bus: kafkabus, membus; the contract test is in federationtest.
package federation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits.
const (
	ParcelMessagesMax = 512       // messages in one parcel
	ParcelBytesMax    = 512 << 10 // bytes of the messages in one parcel; a single larger message travels alone
	BodyMax           = 64 << 10  // bytes of one message's body
	PersonsMax        = 4 << 10   // bytes of one message's persons
	RecordMax         = 900 << 10 // bytes of one record on the bus
	DirectoryMax      = RecordMax // bytes of a signed directory: one record of the bus, one command of a log
	DirectoryTextMax  = 16 << 20  // bytes of what a directory says, before it is compressed
	MembersMax        = 512
	HashSize          = 32
	SaltSize          = 16
	IDSize            = 16
)

// Version is the newest parcel format that this program speaks.
const Version = 1

// Suite names the algorithms of a parcel, inside what is signed: SM2 with SM3 for signatures, SM2
// for wrapping, SM4-GCM for content, SM3 for trees and chains. There is no other, and none is
// negotiated: a header that names another one is refused.
const Suite = 1

// Bounds of a parcel's time, as its receiver holds it against its own clock.
const (
	// ClockSkewMax is how far in the future a parcel may be dated. What is older is legitimate:
	// after an outage a parcel of hours ago is applied.
	ClockSkewMax = 5 * time.Minute
	// LiveWindow is how far from now a parcel may be dated to show that its sender lives.
	LiveWindow = 30 * time.Second
)

// Region is a pooling region's six-digit administrative code, as 110000.
type Region string

// Valid reports whether the code has six digits.
func (r Region) Valid() bool {
	if len(r) != 6 {
		return false
	}
	for _, c := range []byte(r) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// Lane is one direction between two regions, and the topic it uses.
type Lane struct{ From, To Region }

// DirectoryTopic is the compacted topic on which the federation's office puts directories. Everybody reads it, only
// the office writes it.
const DirectoryTopic = "gongji.directory"

// Topic is the lane's topic: gongji.<from>.<to>. The zero Lane stands for DirectoryTopic.
func (l Lane) Topic() string {
	if l == (Lane{}) {
		return DirectoryTopic
	}
	return "gongji." + string(l.From) + "." + string(l.To)
}

// Record is one record of a lane.
type Record struct {
	Offset int64
	Value  []byte
}

// Errors of a Bus.
var (
	// ErrBus: the bus could not be reached or did not acknowledge. A published record may or may
	// not be there: repeat it, links drop repeats.
	ErrBus = errors.New("federation: bus unavailable")
	// ErrRewound: the lane now ends before the offset asked for: the bus has lost what it had. Read
	// again from 0; the links drop what is old and ask for what is missing.
	ErrRewound = errors.New("federation: the lane ends before the offset")
	// ErrRecordTooLarge: above RecordMax. Never sent.
	ErrRecordTooLarge = errors.New("federation: record too large")
	// ErrClosed: the Bus was closed.
	ErrClosed = errors.New("federation: bus closed")
)

// Bus carries records, each lane in one order. At least once, if at all. Safe for concurrent use.
type Bus interface {
	// Publish appends value to the lane and returns once every in-sync replica has it. Errors:
	// ErrBus, ErrRecordTooLarge, ErrClosed, the context's.
	Publish(ctx context.Context, lane Lane, value []byte) error
	// Fetch returns the records of the lane from offset on, waiting a short while (at most a
	// second) when there are none; an empty batch is no error. next is the offset to ask for next.
	// A lane whose start has been deleted beyond offset goes on at its start. Errors: ErrRewound,
	// ErrBus, ErrClosed, the context's.
	Fetch(ctx context.Context, lane Lane, offset int64) (records []Record, next int64, err error)
	// Ready returns nil when the bus can be reached and has the lanes.
	Ready(ctx context.Context, lanes []Lane) error
	// Close releases everything; calls under way end with ErrClosed or ErrBus.
	Close() error
}

// Board is what carries directories to everybody: one topic, compacted by key, so that the newest record of each key
// stays however old it is. A key is one version (DirectoryKey): junk under other keys takes none away, and a region
// that was cut off finds the versions between. What is read is believed only after ReadDirectory. A Bus that has a
// Board implements it too; without one, directories travel as files. Safe for concurrent use.
type Board interface {
	// Post puts a record under a key, and returns once every in-sync replica has it; no value takes the key away.
	// Errors: as Publish.
	Post(ctx context.Context, key string, value []byte) error
	// Posted returns the records from offset on, as Fetch does for a lane. Offsets have gaps where older records of
	// a key were taken away; a record without a value says that its key was.
	Posted(ctx context.Context, offset int64) (records []Record, next int64, err error)
}

// DirectoryKey is the key of a version on the Board.
func DirectoryKey(version uint64) string { return fmt.Sprintf("v%020d", version) }

// DirectoriesKept is how many versions stay on the Board: who publishes version n takes n - DirectoriesKept away.
const DirectoriesKept = 64

// Class says how a message travels.
type Class uint8

// The classes; wire values, never reused.
const (
	Numbered Class = 1 // on the link, exactly once, changes state
	Query    Class = 2 // outside the numbers; changes nothing; asked again on timeout
	Answer   Class = 3 // to a Query, by its ID
)

// Message is one message between two regions. Its body is opaque here.
type Message struct {
	Class  Class
	Number uint64         // on the link, from 1; 0 for Query and Answer
	Chain  [HashSize]byte // the link's chain at Number; zero for Query and Answer
	ID     [IDSize]byte   // of a Query and its Answer; zero for Numbered
	Salt   [SaltSize]byte // of the leaf, so that siblings' digests give nothing away
	Body   []byte
	// Persons are clear identities: they exist in memory and inside a sealed parcel, nowhere else.
	Persons []byte
	// PersonsSalt and PersonsDigest commit to Persons: digest = H(0x02 ‖ PersonsSalt ‖ Persons).
	// Both zero when there are none.
	PersonsSalt   [SaltSize]byte
	PersonsDigest [HashSize]byte
}

// Ack tells what the sender of a parcel has applied of the reverse link. It stands in the signed
// header, and the chain covers every message up to Number, so a signed header is a receipt: its
// signer has these messages, with this content, in its log.
type Ack struct {
	Epoch  uint64
	Number uint64
	Chain  [HashSize]byte // of the reverse link at Number; zero at Number 0
}

// Content is what a parcel carries to one region.
type Content struct {
	To       Region
	Epoch    uint64 // of the sender's link to To
	Ack      Ack
	Time     time.Time
	ParcelID [IDSize]byte
	Protocol uint16    // the highest protocol version that the sender speaks
	Messages []Message // at most ParcelMessagesMax; none is a heartbeat
}

// Header is the signed part of a parcel.
type Header struct {
	Version  uint16
	Suite    uint8 // of algorithms
	From, To Region
	Epoch    uint64
	ParcelID [IDSize]byte
	Time     time.Time // microseconds
	SignKey  string    // id of the sender's signing key in the directory
	SealKey  string    // id of the receiver's encryption key; empty when nothing is sealed
	Ack      Ack
	Count    uint32
	Root     [HashSize]byte // Merkle root over the leaves; zero with Count 0
	Protocol uint16         // the highest protocol version that the sender speaks
}

// Opened is a parcel that passed every check.
type Opened struct {
	Header    Header
	Raw       []byte // the header's signed bytes, as evidence
	Signature []byte
	Messages  []Message
	Leaves    [][HashSize]byte
}

// Proof shows that a region signed one message, without its neighbours: header and signature, the
// leaf's place and path, and what the leaf is made of. PersonsDigest stands for the persons.
type Proof struct {
	Header        []byte // signed bytes
	Signature     []byte
	Index, Count  uint32
	Path          [][HashSize]byte
	Class         Class
	Number        uint64
	Chain         [HashSize]byte
	ID            [IDSize]byte
	Salt          [SaltSize]byte
	Body          []byte
	PersonsSalt   [SaltSize]byte // may be zero: see Blind
	PersonsDigest [HashSize]byte
}

// Sealer is the cryptography that parcels and directories need. Keys are named; public keys are
// what the directory lists. Safe for concurrent use.
type Sealer interface {
	// Hash is SM3 over the concatenation of parts.
	Hash(parts ...[]byte) [HashSize]byte
	// Sign signs with this region's current signing key and names it.
	Sign(message []byte) (keyID string, signature []byte, err error)
	// Verify checks a signature under a public key: nil, ErrDisagreement, or an opaque error.
	Verify(public, message, signature []byte) error
	// Seal encrypts content under a fresh content key, wrapped for public; additional is
	// authenticated.
	Seal(public, content, additional []byte) (wrapped, sealed []byte, err error)
	// Open reverses Seal with this region's key of that id, or returns an opaque error.
	Open(keyID string, wrapped, sealed, additional []byte) ([]byte, error)
}

// Refusal is why a parcel or directory was refused. The values are stable: they name counters and
// audit lines.
type Refusal string

// The refusals, in the order of the checks of a parcel.
const (
	RefusedMalformed     Refusal = "malformed"
	RefusedVersion       Refusal = "version"
	RefusedAlgorithm     Refusal = "algorithm" // another suite than Suite
	RefusedSenderUnknown Refusal = "sender_unknown"
	RefusedReflected     Refusal = "reflected"  // my own parcel, sent back
	RefusedLane          Refusal = "lane"       // the sender is not the one whose lane it came by
	RefusedDowngrade     Refusal = "downgrade"  // a lower protocol than the directory announces for the sender
	RefusedClockSkew     Refusal = "clock_skew" // dated more than ClockSkewMax ahead
	RefusedReplayed      Refusal = "replayed"   // the very parcel that was taken before
	RefusedKeyUnknown    Refusal = "key_unknown"
	RefusedKeyRevoked    Refusal = "key_revoked"
	RefusedKeyNotYet     Refusal = "key_not_yet_valid"
	RefusedKeyExpired    Refusal = "key_expired"
	RefusedSignature     Refusal = "signature"
	RefusedDisagreement  Refusal = "signature_disagreement" // see ErrDisagreement
	// RefusedRecipient: signed for another region, or sealed to a key that is not mine.
	RefusedRecipient   Refusal = "recipient"
	RefusedEpoch       Refusal = "epoch" // of a link that is over
	RefusedSeal        Refusal = "seal"
	RefusedRoot        Refusal = "root"
	RefusedProof       Refusal = "proof"
	RefusedDirExpired  Refusal = "directory_expired"
	RefusedDirOlder    Refusal = "directory_older"
	RefusedDirUnsigned Refusal = "directory_unsigned"
	RefusedDirForked   Refusal = "directory_forked"
)

// ErrDisagreement is a Sealer's answer when its two engines do not agree on a signature: nobody knows
// which is wrong. What it stands under is neither taken nor refused for good: it is not
// acknowledged, and comes again.
var ErrDisagreement = errors.New("federation: the engines disagree on a signature")

// RefusedError carries a Refusal. Detail names no person and no key material.
type RefusedError struct {
	Why    Refusal
	Detail string
}

// Error names the refusal.
func (e *RefusedError) Error() string {
	if e.Detail == "" {
		return "federation: refused: " + string(e.Why)
	}
	return "federation: refused: " + string(e.Why) + ": " + e.Detail
}
