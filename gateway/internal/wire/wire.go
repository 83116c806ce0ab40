// Package wire has the messages between gateways, as versioned protobuf (wire.proto), and reads them strictly: a
// body is at most federation.BodyMax bytes, of a known version, and carries exactly one kind.
package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"gongji/federation"
	"gongji/gateway/internal/wire/wirepb"
)

//go:generate protoc --go_out=../../.. --go_opt=module=gongji wire.proto

// Version is the version of the bodies that this program writes.
const Version = 1

// ErrNotUnderstood: the bytes are no body, of a newer version, or of a kind that this program does not know.
var ErrNotUnderstood = errors.New("wire: not understood")

// Encode writes a body. It never fails on a body of this package.
func Encode(b *wirepb.Body) []byte {
	b.Version = Version
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(b)
	if err != nil {
		panic("wire: internal error: " + err.Error())
	}
	return out
}

// Decode reads a body, or returns ErrNotUnderstood.
func Decode(data []byte) (*wirepb.Body, error) {
	if len(data) > federation.BodyMax {
		return nil, fmt.Errorf("%w: %d bytes", ErrNotUnderstood, len(data))
	}
	b := new(wirepb.Body)
	if err := proto.Unmarshal(data, b); err != nil {
		return nil, fmt.Errorf("%w: not a protobuf", ErrNotUnderstood)
	}
	if b.GetVersion() != Version {
		return nil, fmt.Errorf("%w: version %d", ErrNotUnderstood, b.GetVersion())
	}
	if b.GetKind() == nil {
		return nil, fmt.Errorf("%w: no known kind", ErrNotUnderstood)
	}
	return b, nil
}
