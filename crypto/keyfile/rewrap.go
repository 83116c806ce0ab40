package keyfile

import (
	"errors"
	"fmt"
	"io/fs"

	"gongji/crypto"
)

// Rewrap wraps every key of the ring in the folder dir under another key-encryption key; ids, secrets
// and times stay. It may be repeated with the same two after a crash or a failure, and must be:
// until it has ended the ring does not open (ErrRewrap). Programs that have the ring open go on
// working with its keys, but can no longer change it, and are to be started again with the new
// key-encryption key. The old files are replaced: who holds the old key-encryption key opens only
// what he copied before. Errors: ErrPermissions, ErrFormat, ErrKEK if a file opens under neither,
// those of os.
func Rewrap(dir string, from, to *KEK, suite crypto.Suite, options ...Option) error {
	if from == nil || to == nil {
		return ErrKEK
	}
	r := newRing(suite, options)
	folder, err := openDirectory(dir)
	if err != nil {
		return err
	}
	r.dir, r.kek = folder, from
	unlock, err := folder.lock()
	if err != nil {
		return errors.Join(err, folder.close())
	}
	return errors.Join(r.rewrap(to), unlock(), folder.close())
}

// rewrap opens every file before it changes the first: a wrong key-encryption key changes nothing.
func (r *Ring) rewrap(to *KEK) error {
	ids, destroyed, err := r.dir.list(r.limit)
	if err != nil {
		return err
	}
	pending, err := r.dir.pending()
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, secret, failed := r.readEither(id, to, pending)
		clear(secret)
		if failed != nil {
			return failed
		}
	}
	j := &journal{suite: r.suite, dir: r.dir, now: r.now, order: r.order}
	begun, err := j.begin(ActRewrap, "")
	if err != nil {
		return err
	}
	failed := r.rewrapFiles(ids, destroyed, to)
	return errors.Join(failed, j.end(begun, failed))
}

func (r *Ring) rewrapFiles(ids []string, destroyed map[string]struct{}, to *KEK) error {
	err := r.dir.write(pendingName, nil)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, gone := destroyed[id]; gone {
			err = r.dir.remove(id)
		} else {
			err = r.rewrapFile(id, to)
		}
		if err != nil {
			return err
		}
	}
	err = r.dir.root.Remove(pendingName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keyfile: %w", err)
	}
	return r.dir.sync()
}

// readEither opens a file under the old key-encryption key, or, when an earlier run may have changed
// it already, under the new one.
func (r *Ring) readEither(id string, to *KEK, pending bool) (header, []byte, error) {
	raw, err := r.dir.read(id)
	if err != nil {
		return header{}, nil, err
	}
	h, secret, err := unwrap(r.suite, r.kek, raw)
	if err != nil && pending {
		h, secret, err = unwrap(r.suite, to, raw)
	}
	if err == nil && h.id != id {
		clear(secret)
		return header{}, nil, fmt.Errorf("%w: %s holds another key", ErrFormat, id)
	}
	if err != nil {
		return header{}, nil, fmt.Errorf("%w: %s", err, id)
	}
	return h, secret, nil
}

func (r *Ring) rewrapFile(id string, to *KEK) error {
	h, secret, err := r.readEither(id, to, true)
	if err != nil {
		return err
	}
	defer clear(secret)
	h.derivation = to.fresh
	raw, err := wrap(r.suite, to, h, secret, r.random)
	if err != nil {
		return err
	}
	return r.dir.write(id+suffix, raw)
}
