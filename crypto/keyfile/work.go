package keyfile

import (
	"maps"
	"slices"

	"gongji/crypto"
)

// find returns the key of an id, if it is of one of the uses.
func (r *Ring) find(id string, uses ...crypto.Use) (*key, error) {
	k, ok := r.table.Load().keys[id]
	if !ok || !slices.Contains(uses, k.use) {
		return nil, crypto.ErrNoKey
	}
	return k, nil
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
	return k.private.Public(), nil
}

// Sign signs with a key of UseSign.
func (r *Ring) Sign(id string, message []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseSign)
	if err != nil {
		return nil, err
	}
	return k.private.Sign(message)
}

// Unwrap opens a wrapped secret with a key of UseDecrypt.
func (r *Ring) Unwrap(id string, wrapped []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseDecrypt)
	if err != nil {
		return nil, err
	}
	return k.private.Unwrap(wrapped)
}

// MAC returns HMAC-SM3 with a key of UseToken or UseEvidence.
func (r *Ring) MAC(id string, parts ...[]byte) ([crypto.HashSize]byte, error) {
	k, err := r.find(id, crypto.UseToken, crypto.UseEvidence)
	if err != nil {
		return [crypto.HashSize]byte{}, err
	}
	return k.macs.sum(parts)
}

// Seal seals with a key of UseData. The result is Overhead bytes longer than plaintext.
func (r *Ring) Seal(id string, plaintext, additional []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseData)
	if err != nil {
		return nil, err
	}
	return k.boxes.seal(plaintext, additional)
}

// Open opens what Seal sealed under the same id, here or on another node.
func (r *Ring) Open(id string, sealed, additional []byte) ([]byte, error) {
	k, err := r.find(id, crypto.UseData)
	if err != nil {
		return nil, err
	}
	return k.boxes.open(sealed, additional)
}

// Destroy removes a key for good: what was sealed under it stays sealed. Restore refuses its id
// from then on. A copy that was exported before is the business of who keeps it. Errors:
// crypto.ErrNoKey, crypto.ErrOrder, ErrFull, those of os.
func (r *Ring) Destroy(id string, order crypto.Order) error {
	if !order.Valid() {
		return crypto.ErrOrder
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.table.Load()
	if _, ok := old.keys[id]; !ok {
		return crypto.ErrNoKey
	}
	if r.dir != nil {
		err := r.dir.destroy(id)
		if err != nil {
			return err
		}
	}
	keys, destroyed := maps.Clone(old.keys), maps.Clone(old.destroyed)
	delete(keys, id)
	if destroyed == nil {
		destroyed = make(map[string]struct{})
	}
	destroyed[id] = struct{}{}
	r.store(keys, destroyed, old.fresh)
	return nil
}

// Export returns the file of a key, wrapped under kek instead of the ring's key: a backup, or the
// way of a data key to the other nodes of its region. Errors: crypto.ErrNoKey, ErrKEK without a
// kek.
func (r *Ring) Export(id string, kek *KEK) ([]byte, error) {
	if kek == nil {
		return nil, ErrKEK
	}
	k, ok := r.table.Load().keys[id]
	if !ok {
		return nil, crypto.ErrNoKey
	}
	h := header{derivation: kek.fresh, use: k.use, sequence: k.sequence, created: k.created, id: k.id}
	return wrap(r.suite, kek, h, k.secret, r.random)
}

// Restore adds the key of a file that Export made, under its own id and sequence number, and
// returns the id. Errors: ErrFormat, ErrKEK, ErrExists, ErrDestroyed, ErrFull, crypto.ErrKey, those
// of os.
func (r *Ring) Restore(file []byte, kek *KEK) (string, error) {
	if kek == nil {
		return "", ErrKEK
	}
	h, secret, err := unwrap(r.suite, kek, file)
	if err != nil {
		return "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = r.insert(h, secret)
	if err != nil {
		return "", err
	}
	return h.id, nil
}
