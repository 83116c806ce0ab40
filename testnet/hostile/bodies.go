package hostile

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"

	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// Kinds of bodies, as docs/protocol.md has them on the wire.
const (
	KindHoldRequest   = 10
	KindHoldAnswer    = 11
	KindCapture       = 12
	KindRelease       = 13
	KindOutcome       = 14
	KindGrantNotice   = 17
	KindGrantConsent  = 18
	KindRefund        = 20
	KindMandateNotice = 25
	KindLookUp        = 40
	KindTicket        = 41
	KindQuote         = 42
	KindStatementAsk  = 46
)

// Fields are a message's fields by number: strings, byte slices and whole numbers.
type Fields map[int]any

// errBody: bytes that are no message.
var errBody = errors.New("hostile: not a protobuf")

// BodyOf wraps a message of a kind.
func BodyOf(kind protowire.Number, content []byte) []byte {
	b := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1) // version
	return protowire.AppendBytes(protowire.AppendTag(b, kind, protowire.BytesType), content)
}

// Record builds one message field by field.
func Record(fields Fields) []byte {
	var b []byte
	for place := range 32 {
		n := protowire.Number(place) //nolint:gosec // small
		switch v := fields[place].(type) {
		case string:
			b = protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), v)
		case []byte:
			b = protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
		case int64:
			b = protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), uint64(v)) //nolint:gosec // as on the wire
		}
	}
	return b
}

// FieldsOf reads a message: strings and bytes by number, and whole numbers. Of a repeated field it keeps the last one.
func FieldsOf(b []byte) (map[int][]byte, map[int]int64, error) {
	texts, numbers := map[int][]byte{}, map[int]int64{}
	for len(b) > 0 {
		tag, kind, size := protowire.ConsumeTag(b)
		if size < 0 {
			return nil, nil, errBody
		}
		n := int(tag)
		b = b[size:]
		switch kind { //nolint:exhaustive // bodies have no others
		case protowire.VarintType:
			v, size := protowire.ConsumeVarint(b)
			if size < 0 {
				return nil, nil, errBody
			}
			numbers[n], b = int64(v), b[size:] //nolint:gosec // as on the wire
		case protowire.BytesType:
			v, size := protowire.ConsumeBytes(b)
			if size < 0 {
				return nil, nil, errBody
			}
			texts[n], b = v, b[size:]
		default:
			return nil, nil, errBody
		}
	}
	return texts, numbers, nil
}

// ClearPerson is a person as a parcel carries one: four strings behind their lengths.
func ClearPerson(p topology.Person) []byte {
	var b []byte
	for _, s := range []string{client.IDTypeResident, p.IDNumber, p.Name, p.Region} {
		b = append(protowire.AppendVarint(b, uint64(len(s))), s...)
	}
	return b
}
