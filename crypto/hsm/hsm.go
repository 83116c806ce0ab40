// Package hsm keeps a region's keys in a process of their own, and is the crypto.KeyKeeper of the programs that work
// with them: they name a key by its id and are given what was made with it, never the key. It stands where a hardware
// module would, and has that module's notions (GM/T 0018): a device is opened, a session is opened on it, a PIN gives
// the session the right to use keys, and everything after that is done by the key's id.
//
// A module is a Server over any crypto.KeyKeeper, on a Unix domain socket; Client is the other side. One process may
// use the keys (RoleUser); only another PIN may destroy one (RoleOfficer), and that one cannot use them.
//
//	frame     = length 4 | body            the length is that of the body, at most FrameMax
//	hello     = status 1 | "GJHSM-1\n" | server nonce 32
//	login     = role 1 | client nonce 32   answered by: status 1 | salt 16
//	proof     = client proof 32            answered by: status 1 | server proof 32
//	request   = operation 1 | arguments    answered by: status 1 | result
//
// The PIN does not travel: both sides prove that they know it (the exchange of RFC 5802 with SM3 and Argon2id), so a
// process in the module's place learns nothing, and what the module stores does not open a session.
package hsm

import (
	"errors"
	"time"

	"gongji/crypto"
)

// Bounds.
const (
	// FrameMax bounds a request or an answer, in bytes: the largest content that anybody signs at once.
	FrameMax = 1 << 20
	// SessionsMax is how many sessions a module has open; those that are not logged in count too.
	SessionsMax = 64
	// loginMax bounds a frame before the PIN is proven, in bytes.
	loginMax = 128
	// partsMax is of how many parts the content of one MAC may be.
	partsMax = 64
	// generateMax is how many keys sessions may have made in generateWithin: a ring is for a lifetime, and a
	// process that went mad must not fill it.
	generateMax    = 32
	generateWithin = time.Hour
	// monthsAway is how far from now the month of a data key may be.
	monthsAway = 62 * 24 * time.Hour
)

// How long each side waits.
const (
	loginWithin   = 5 * time.Second  // a session that has not proven its PIN by then is closed
	frameWithin   = 10 * time.Second // the rest of a frame, once it has begun
	sessionIdle   = 5 * time.Minute  // a session that asks nothing is closed
	clientIdle    = 4 * time.Minute  // the client lets its sessions go before
	requestWithin = 10 * time.Second // an answer; signing takes a fraction of a millisecond
	dialWithin    = time.Second
	backoffFirst  = 50 * time.Millisecond // after a module was not reached, nobody tries for so long; then twice as long
	backoffMost   = 2 * time.Second
	pinBackoff    = time.Minute // after a refused PIN: five refusals lock it
)

// Role is what a PIN gives the right to.
type Role byte

// The roles; never reused.
const (
	RoleUser    Role = 1 // works with keys, and has new ones made
	RoleOfficer Role = 2 // destroys keys
)

// String is the role's name.
func (r Role) String() string {
	switch r {
	case RoleUser:
		return "user"
	case RoleOfficer:
		return "officer"
	}
	return "unknown"
}

// Errors beside those of package crypto.
var (
	// ErrPIN: the module refused the PIN, or is not the one that knows it.
	ErrPIN = errors.New("hsm: the PIN was refused")
	// ErrLocked: too many wrong PINs; the role is locked for some time.
	ErrLocked = errors.New("hsm: locked after wrong PINs")
	// ErrBusy: the module has SessionsMax sessions.
	ErrBusy = errors.New("hsm: the module has no session left")
	// ErrMonth: a data key of a month far from now.
	ErrMonth = errors.New("hsm: the month is too far from now")
	// ErrRequest: the module could not read the request, or failed at it.
	ErrRequest = errors.New("hsm: the module could not do it")
)

const (
	magic     = "GJHSM-1\n"
	nonceSize = 32
	saltSize  = 16
	proofSize = crypto.HashSize
)

// operation is what a request asks for.
type operation byte

// The operations; never reused.
const (
	opPing operation = iota + 1
	opCurrent
	opPublic
	opSign
	opUnwrap
	opMAC
	opSeal
	opOpen
	opIDs
	opGenerate
	opMonthly
	opReload
	opDestroy
)

// allowed reports whether the role may ask for it.
func (r Role) allowed(op operation) bool {
	switch op {
	case opPing, opIDs:
		return r == RoleUser || r == RoleOfficer
	case opCurrent, opPublic, opSign, opUnwrap, opMAC, opSeal, opOpen, opGenerate, opMonthly, opReload:
		return r == RoleUser
	case opDestroy:
		return r == RoleOfficer
	}
	return false
}

// status is how an answer begins.
type status byte

// The statuses; never reused.
const (
	statusOK status = iota
	statusNoKey
	statusOpen
	statusSignature
	statusKey
	statusUse
	statusFull
	statusDestroyed
	statusOrder
	statusAccess
	statusMalformed
	statusFailed
	statusLocked
	statusBusy
	statusPIN
	statusMonth
)

// outcomes pairs statuses with errors, on both sides.
var outcomes = []struct {
	status status
	err    error
}{
	{statusNoKey, crypto.ErrNoKey},
	{statusOpen, crypto.ErrOpen},
	{statusSignature, crypto.ErrSignature},
	{statusKey, crypto.ErrKey},
	{statusUse, crypto.ErrUse},
	{statusFull, crypto.ErrFull},
	{statusDestroyed, crypto.ErrDestroyed},
	{statusOrder, crypto.ErrOrder},
	{statusAccess, crypto.ErrAccess},
	{statusMonth, ErrMonth},
	{statusLocked, ErrLocked},
	{statusBusy, ErrBusy},
	{statusPIN, ErrPIN},
	{statusMalformed, ErrRequest},
	{statusFailed, ErrRequest},
}

// statusOf is what the other side is told of an error: why it is so stays here.
func statusOf(err error) status {
	if err == nil {
		return statusOK
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) && o.err != ErrRequest { //nolint:errorlint // the table's own value
			return o.status
		}
	}
	return statusFailed
}

// errorOf is what a status means.
func errorOf(s status) error {
	if s == statusOK {
		return nil
	}
	for _, o := range outcomes {
		if o.status == s {
			return o.err
		}
	}
	return ErrRequest
}
