package keyfile

import (
	"crypto/subtle"
	"errors"
	"maps"

	"gongji/crypto"
)

// change does something to the ring with the folder kept to this process, and writes it into the
// journal before and after. The caller holds mu.
func (r *Ring) change(act Act, id string, order crypto.Order, do func() error) error {
	if r.dir == nil {
		return do()
	}
	unlock, err := r.dir.lock()
	if err != nil {
		return err
	}
	return errors.Join(r.changeLocked(act, id, order, do), unlock())
}

func (r *Ring) changeLocked(act Act, id string, order crypto.Order, do func() error) error {
	err := r.refresh(false) // what other processes did comes first: sequence numbers, destroyed ids
	if err != nil {
		return err
	}
	err = r.stillOurs()
	if err != nil {
		return err
	}
	j := &journal{suite: r.suite, dir: r.dir, now: r.now, order: order}
	begun, err := j.begin(act, id)
	if err != nil {
		return err // an act that cannot be written down is not done
	}
	done := do()
	return errors.Join(done, j.end(begun, done))
}

// stillOurs refuses when the folder has been wrapped under another key-encryption key since it was
// opened: a file under the old one would not open at the next start.
func (r *Ring) stillOurs() error {
	for id := range r.table.Load().keys {
		raw, err := r.dir.read(id)
		if err != nil {
			return err
		}
		_, secret, err := unwrap(r.suite, r.kek, raw)
		clear(secret)
		return err // one is enough: Rewrap does all of them
	}
	return nil
}

// Destroy removes a key for good: what was sealed under it stays sealed. Restore refuses its id
// from then on. A copy that was exported before is the business of who keeps it. The secret is
// overwritten in memory, too, when those who work with it have ended. Errors: crypto.ErrNoKey,
// crypto.ErrOrder, ErrFull, those of os.
func (r *Ring) Destroy(id string, order crypto.Order) error {
	if !order.Valid() {
		return crypto.ErrOrder
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.table.Load().keys[id]; !ok {
		return crypto.ErrNoKey
	}
	return r.change(ActDestroy, id, order, func() error { return r.destroy(id) })
}

func (r *Ring) destroy(id string) error {
	old := r.table.Load()
	if _, ok := old.keys[id]; !ok {
		return crypto.ErrNoKey // another process was first
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

// Export returns the file of a key, wrapped under kek instead of the ring's key: the way of a data
// key to the other nodes of its region. Errors: crypto.ErrNoKey, ErrKEK without a kek.
func (r *Ring) Export(id string, kek *KEK) ([]byte, error) {
	if kek == nil {
		return nil, ErrKEK
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.table.Load().keys[id]; !ok {
		return nil, crypto.ErrNoKey
	}
	var file []byte
	err := r.change(ActExport, id, r.order, func() error {
		k, ok := r.table.Load().keys[id]
		if !ok || !k.begin() {
			return crypto.ErrNoKey
		}
		defer k.end()
		var err error
		file, err = r.export(k, kek)
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

func (r *Ring) export(k *key, kek *KEK) ([]byte, error) {
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
	err = r.change(ActRestore, h.id, r.order, func() error { return r.insert(h, secret) })
	if err != nil {
		return "", err
	}
	return h.id, nil
}

// sameSecret compares without telling where the first difference is.
func (k *key) sameSecret(secret []byte) bool {
	if !k.begin() {
		return false
	}
	defer k.end()
	return subtle.ConstantTimeCompare(k.secret, secret) == 1
}
