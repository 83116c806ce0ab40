package keyfile

import (
	"slices"
	"time"

	"gongji/crypto"
)

// find returns the key of an id, if it is of one of the uses. The caller ends it. A key that is not
// known may have been made by another process: the folder is looked into, at most once a second.
func (r *Ring) find(id string, uses ...crypto.Use) (*key, error) {
	k, ok := r.table.Load().keys[id]
	if !ok && validID(id) && r.lookAgain(id) {
		k, ok = r.table.Load().keys[id]
	}
	if !ok || !slices.Contains(uses, k.use) || !k.begin() {
		return nil, crypto.ErrNoKey
	}
	return k, nil
}

// lookEvery is how often an unknown id may have the folder read: ids come from outside.
const lookEvery = time.Second

// lookAgain reports whether the key is there now.
func (r *Ring) lookAgain(id string) bool {
	if r.dir == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.table.Load().keys[id]; ok {
		return true // somebody else has looked
	}
	now := r.now()
	if since := now.Sub(r.looked); since >= 0 && since < lookEvery {
		return false
	}
	r.looked = now
	return r.refresh(false) == nil
}

// Current returns the id of the newest key of a use.
func (r *Ring) Current(use crypto.Use) (string, error) {
	k, ok := r.table.Load().current[use]
	if !ok {
		return "", crypto.ErrNoKey
	}
	return k.id, nil
}

// Public returns the public half of a sign or decrypt key.
func (r *Ring) Public(id string) (crypto.Public, error) {
	k, err := r.find(id, crypto.UseSign, crypto.UseDecrypt)
	if err != nil {
		return nil, err
	}
	defer k.end()
	return k.private.Public(), nil
}

// Sign signs with a key of UseSign.
func (r *Ring) Sign(id string, message []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseSign)
	if err != nil {
		return nil, err
	}
	defer k.end()
	return k.private.Sign(message)
}

// Unwrap opens a wrapped secret with a key of UseDecrypt.
func (r *Ring) Unwrap(id string, wrapped []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseDecrypt)
	if err != nil {
		return nil, err
	}
	defer k.end()
	return k.private.Unwrap(wrapped)
}

// MAC returns HMAC-SM3 with a key of UseToken or UseEvidence.
func (r *Ring) MAC(id string, parts ...[]byte) ([crypto.HashSize]byte, error) {
	k, err := r.find(id, crypto.UseToken, crypto.UseEvidence)
	if err != nil {
		return [crypto.HashSize]byte{}, err
	}
	defer k.end()
	return k.macs.sum(parts)
}

// Seal seals with a key of UseData. The result is Overhead bytes longer than plaintext.
func (r *Ring) Seal(id string, plaintext, additional []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseData)
	if err != nil {
		return nil, err
	}
	defer k.end()
	return k.boxes.seal(plaintext, additional)
}

// Open opens what Seal sealed under the same id, here or on another node.
func (r *Ring) Open(id string, sealed, additional []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseData)
	if err != nil {
		return nil, err
	}
	defer k.end()
	return k.boxes.open(sealed, additional)
}
