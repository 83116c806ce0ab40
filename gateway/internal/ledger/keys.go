package ledger

import (
	"encoding/binary"
	"time"

	"gongji/federation"
)

// The state's keys: one letter, then the id. Ids of variable length stand behind their length wherever
// something follows them, so that no id can reach into another's range.
const (
	keyMeta       = 'm' // name → bytes: rules, directory, imports, cursors
	keyLink       = 'l' // region → link
	keyOut        = 'o' // region, epoch, number → OutMessage; it stays as evidence when the receiver has it
	keyDoubt      = 'L' // region → DoubtRecord
	keyDifference = 'N' // region, kind, id → Difference
	keyReceipt    = 'V' // region, epoch, number acked → Receipt
	keySubject    = 'I' // id of a payment, grant or mandate, place of a message about it → first number of its Evidence
	keyArchive    = 'E' // l, time → who led from then on; a, number → ArchiveRecord; p → cutRecord; n, node → heldRecord
	keyEvidence   = 'e' // region, epoch, number of the first message → evidence
	keyPayment    = 'p' // payment id → PaymentRecord
	keyBill       = 'b' // institution, bill id → billRecord
	keyByBill     = 'i' // bill id, time and payment id → nothing
	keyByVisit    = 'v' // visit id, time and payment id → nothing
	keyRequest    = 'r' // platform, request id → RequestRecord
	keyHold       = 'h' // hold id → HoldRecord
	keyUse        = 'u' // what is used of a limit → useRecord
	keyCall       = 'c' // hold id, or key of a return → nothing: a call to the core is under way
	keyDue        = 'd' // time, kind, id → nothing
	keyToken      = 't' // token of a person → person number, before the first rotation (keyTokens)
	keyPerson     = 'n' // person number → PersonRecord
	keyGrant      = 'g' // grant id → GrantRecord (at the payer's home)
	keyByPayer    = 'y' // payer, grant id → nothing
	keyTo         = 'w' // beneficiary, grant id → nothing (at the payer's home)
	keyPair       = 'q' // payer, beneficiary → grant id in force
	keyIndex      = 'x' // beneficiary, grant id → IndexRecord (at the beneficiary's home) of a grant that is not over
	keyHome       = 'G' // the beneficiary's home, grant id → nothing (at the payer's home)
	keySweep      = 'a' // → SweepRecord
	keyOver       = 'A' // beneficiary, grant id → IndexRecord of a grant that is over
	keyIndexID    = 'j' // grant id → beneficiary (at the beneficiary's home)
	keyOrder      = 'k' // beneficiary → orderRecord
	keySetAside   = 'z' // region, epoch, number → a message that could not be understood
	keyMandate    = 'M' // g, grant id → MandatesRecord; i, mandate id → grant id (at the payer's home)
	keyDuty       = 'P' // purpose, beneficiary, grant id → DutyRecord (at the beneficiary's home)
	keyPremium    = 'R' // r, purpose, year, person number → PremiumRecord; s, purpose → SeasonRecord
	keyRefund     = 'f' // refund id → RefundRecord (at the origin)
	keyReturn     = 'F' // hold id, refund id → ReturnRecord (at the payer's home)
	keyPlatform   = 'K' // key id → PlatformKey
	keyNonce      = 'C' // time from which it is forgotten, nonce → nonceRecord
	keyOperator   = 'O' // name → OperatorRecord
	keySession    = 'J' // digest of the token → SessionRecord
	keyAct        = 'Y' // act id → ActRecord
	// keyAsked: h → askedHead; region itself, 1, number → AskedRecord.
	keyAsked = 'W'
	keyAudit = 'Q' // h → AuditHead; l, number → auditlog.Entry; c, number → auditlog.Checkpoint
	// account, time, hold, kind and number of a movement → grant id (at the payer's home).
	keyStatement = 's'
	keyKeys      = 'U' // → KeysRecord
	keyTokens    = 'T' // generation (from 1), token of a person → person number
	keyDestroyed = 'D' // id of a key → DestroyedKey
	// KeyBook is the prefix of the region's Book.
	KeyBook = 'B'
)

// joined is a key of parts, each behind its length in two bytes.
func joined(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += 2 + len(p)
	}
	b := make([]byte, 0, n)
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p))) //nolint:gosec // ids have at most 1 KiB, checked at the border
		b = append(b, p...)
	}
	return string(b)
}

// aged is an id behind the time at which it was made, so that the oldest comes first.
func aged(at time.Time, id string) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, agedBytes+len(id)), uint64(at.UnixMicro()))
	return string(append(b, id...))
}

const agedBytes = 8 // what aged puts in front

func split(key []byte) []string {
	var parts []string
	for len(key) >= 2 {
		n := int(binary.BigEndian.Uint16(key))
		if len(key) < 2+n {
			return parts
		}
		parts = append(parts, string(key[2:2+n]))
		key = key[2+n:]
	}
	return parts
}

func numbered(peer federation.Region, numbers ...uint64) string {
	b := append(make([]byte, 0, len(peer)+8*len(numbers)), peer...)
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return string(b)
}

// prefixEnd is the first key behind all that start with prefix.
func prefixEnd(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func dueKey(at time.Time, kind byte, id string) []byte {
	b := make([]byte, 0, 10+len(id))
	b = append(b, keyDue)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro())) //nolint:gosec // stamps are after 1970
	b = append(b, kind)
	return append(b, id...)
}
