// Package sm holds the guards that both engines of the Chinese commercial cryptography stand behind
// (crypto/sm/emm and crypto/sm/gmsm): strict DER, points checked to be on the curve, private keys
// checked for their range, digests and MACs over a correct hash.Hash, hedged randomness, and the
// self test.
//
// Nothing from outside reaches a library before it passed here. The libraries have accepted
// signatures with trailing bytes, points off the curve (which gives the private key away), and
// private keys that make them panic; the guards are the same for both, so that both refuse the same
// inputs.
//
// The packages below this one are the only ones that may import the two libraries.
package sm

import (
	"fmt"
	"io"
)

// SecretMax is the longest secret that is wrapped, in bytes: two SM4 keys and two MAC keys would
// fit.
const SecretMax = 64

// Survives runs call and reports what it returned, or false if it panicked. The libraries panic on
// some inputs that pass every documented check; to the caller such an input is refused like any
// other.
func Survives(call func() bool) bool {
	defer func() { _ = recover() }()
	return call()
}

// fault is a parser's finding. It stays inside the engines: callers see the opaque errors of
// package crypto.
type fault string

// Error is the finding.
func (f fault) Error() string { return "sm: " + string(f) }

// Redacted is embedded by types that hold secrets, so that no format verb prints them.
type Redacted struct{}

// Format writes a placeholder for every verb.
func (Redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "(secret)") }
