package keyfile

import (
	"bytes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"gongji/crypto"
)

// A backup is one file: all keys of a ring, each as its own key file under the backup's key-encryption key, the ids of
// the destroyed ones, and a MAC over everything, so that no key can be taken out, put in or brought back unseen.
//
//	"GJBAK-1\n" | kdf 1 | time 4, memory 4, threads 1 | kdf salt 16 | created 8 | salt 16 | keys 4 | destroyed 4 |
//	keys: length 2, key file | destroyed: length 1, id | HMAC-SM3 32
const (
	backupMagic  = "GJBAK-1\n"
	backupLabel  = "gongji key backup v1"
	backupHeader = len(backupMagic) + 1 + 9 + saltSize + 8 + saltSize + 4 + 4
	// BackupMax bounds a backup file, in bytes.
	BackupMax = backupHeader + KeysMax*(2+fileMax) + KeysMax*(1+idMax) + crypto.HashSize
)

// ErrBackup: the backup does not open, or holds another secret under an id that the ring has.
var ErrBackup = errors.New("keyfile: the backup cannot be used")

// Contents is what stands in a backup.
type Contents struct {
	Created   time.Time
	Keys      []string // ids, in ascending order
	Destroyed []string // ids, in ascending order
}

// Restored says what became of each key of a backup.
type Restored struct {
	Added     []string // in the ring now, and read back from the disk
	Known     []string // were in the ring with the same secret
	Destroyed []string // were destroyed here, and stay so
	// Alive are in this ring, though the backup knows that they were destroyed: the ring is older
	// than the backup. They are left alone; destroy them again.
	Alive []string
}

// Backup returns all keys and the ids of the destroyed ones, under kek instead of the ring's own.
// Errors: ErrKEK without a kek, those of os.
func (r *Ring) Backup(kek *KEK) ([]byte, error) {
	if kek == nil {
		return nil, ErrKEK
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []byte
	err := r.change(ActBackup, "", r.order, func() error {
		var err error
		out, err = r.backup(kek)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *Ring) backup(kek *KEK) ([]byte, error) {
	t := r.table.Load()
	var salt [saltSize]byte
	if _, err := io.ReadFull(r.random, salt[:]); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	h := header{derivation: kek.fresh}
	out := append([]byte(backupMagic), h.encodeDerivation()...)
	out = binary.BigEndian.AppendUint64(out, uint64(max(0, r.now().Unix())))
	out = append(out, salt[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(len(t.keys)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(t.destroyed)))
	for _, id := range slices.Sorted(maps.Keys(t.keys)) {
		file, err := r.export(t.keys[id], kek)
		if err != nil {
			return nil, err
		}
		out = binary.BigEndian.AppendUint16(out, uint16(len(file)))
		out = append(out, file...)
	}
	for _, id := range slices.Sorted(maps.Keys(t.destroyed)) {
		out = append(out, byte(len(id)))
		out = append(out, id...)
	}
	mac, err := backupMAC(r.suite, kek, h.derivation, salt, out)
	return append(out, mac[:]...), err
}

func backupMAC(
	suite crypto.Digester, kek *KEK, d derivation, salt [saltSize]byte, content []byte,
) ([crypto.HashSize]byte, error) {
	master, err := kek.master(suite, d)
	if err != nil {
		return [crypto.HashSize]byte{}, err
	}
	key := suite.MAC(master[:], []byte(backupLabel), salt[:])
	return suite.MAC(key[:], content), nil
}

// opened is a backup whose MAC is right and whose every key opens.
type opened struct {
	created   time.Time
	keys      []kept
	destroyed []string
}

type kept struct {
	header header
	secret []byte
}

// wipe overwrites the secrets.
func (o *opened) wipe() {
	for _, k := range o.keys {
		clear(k.secret)
	}
}

// openBackup reads a backup whole. Errors: ErrFormat, ErrKEK.
func openBackup(suite crypto.Suite, kek *KEK, raw []byte) (*opened, error) {
	if kek == nil {
		return nil, ErrKEK
	}
	if len(raw) < backupHeader+crypto.HashSize || len(raw) > BackupMax || !bytes.HasPrefix(raw, []byte(backupMagic)) {
		return nil, fmt.Errorf("%w: no backup", ErrFormat)
	}
	content, mac := raw[:len(raw)-crypto.HashSize], raw[len(raw)-crypto.HashSize:]
	r := reader{rest: content[len(backupMagic):]}
	d := r.derivation()
	seconds := r.uint64()
	salt := [saltSize]byte(r.take(saltSize)) // there: the header was measured
	keys, destroyed := r.uint32(), r.uint32()
	if !d.valid() || seconds > timeMax || keys > KeysMax || destroyed > KeysMax {
		return nil, fmt.Errorf("%w: head of the backup", ErrFormat)
	}
	want, err := backupMAC(suite, kek, d, salt, content)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(mac, want[:]) != 1 {
		return nil, ErrKEK
	}
	o := &opened{created: time.Unix(int64(seconds), 0).UTC()}
	for range keys {
		h, secret, err := unwrap(suite, kek, r.take(int(r.uint16())))
		if err != nil {
			o.wipe()
			return nil, err
		}
		o.keys = append(o.keys, kept{header: h, secret: secret})
	}
	for range destroyed {
		o.destroyed = append(o.destroyed, string(r.take(int(r.byte()))))
	}
	if r.short || len(r.rest) > 0 || slices.ContainsFunc(o.destroyed, func(id string) bool { return !validID(id) }) {
		o.wipe()
		return nil, fmt.Errorf("%w: body of the backup", ErrFormat)
	}
	return o, nil
}

// ReadBackup opens a backup whole and says what is in it, and keeps nothing. Errors: ErrFormat,
// ErrKEK.
func ReadBackup(suite crypto.Suite, kek *KEK, raw []byte) (Contents, error) {
	o, err := openBackup(suite, kek, raw)
	if err != nil {
		return Contents{}, err
	}
	defer o.wipe()
	c := Contents{Created: o.created, Destroyed: o.destroyed}
	for _, k := range o.keys {
		c.Keys = append(c.Keys, k.header.id)
	}
	return c, nil
}

// RestoreBackup adds the keys of a backup that the ring has not, under their own ids, and the marks
// of destroyed ones; then it reads everything back from the disk. It may be repeated. Errors:
// ErrFormat, ErrKEK, ErrBackup (nothing was changed), ErrFull, those of os.
func (r *Ring) RestoreBackup(raw []byte, kek *KEK) (Restored, error) {
	o, err := openBackup(r.suite, kek, raw)
	if err != nil {
		return Restored{}, err
	}
	defer o.wipe()
	r.mu.Lock()
	defer r.mu.Unlock()
	plan, add, err := r.planRestore(o)
	if err != nil {
		return Restored{}, err
	}
	for _, k := range add {
		id := k.header.id
		// The key keeps its own copy: o is wiped when this returns.
		err = r.change(ActRestore, id, r.order, func() error { return r.insert(k.header, bytes.Clone(k.secret)) })
		if err != nil {
			return plan, err
		}
		plan.Added = append(plan.Added, id)
	}
	if err = r.markDestroyed(o.destroyed); err != nil {
		return plan, err
	}
	return plan, r.readBack(o)
}

// planRestore sorts a backup's keys into new, known and destroyed; a conflict stops all of it.
func (r *Ring) planRestore(o *opened) (Restored, []kept, error) {
	var plan Restored
	var add []kept
	t := r.table.Load()
	for _, k := range o.keys {
		id := k.header.id
		here, ok := t.keys[id]
		_, gone := t.destroyed[id]
		switch {
		case gone:
			plan.Destroyed = append(plan.Destroyed, id)
		case !ok:
			add = append(add, k)
		case here.sameSecret(k.secret):
			plan.Known = append(plan.Known, id)
		default:
			return Restored{}, nil, fmt.Errorf("%w: the ring has another key under %s", ErrBackup, id)
		}
	}
	for _, id := range o.destroyed {
		if _, ok := t.keys[id]; ok {
			plan.Alive = append(plan.Alive, id)
		}
	}
	return plan, add, nil
}

// markDestroyed keeps ids from coming back by an older backup.
func (r *Ring) markDestroyed(ids []string) error {
	old := r.table.Load()
	destroyed := maps.Clone(old.destroyed)
	if destroyed == nil {
		destroyed = make(map[string]struct{})
	}
	for _, id := range ids {
		_, alive := old.keys[id]
		if _, known := destroyed[id]; known || alive {
			continue
		}
		if len(old.keys)+len(destroyed) >= r.limit {
			return ErrFull
		}
		err := r.change(ActDestroy, id, crypto.Order{Who: r.order.Who, Reason: "destroyed before the backup"}, func() error {
			if r.dir == nil {
				return nil
			}
			return r.dir.write(id+tombstone, nil)
		})
		if err != nil {
			return err
		}
		destroyed[id] = struct{}{}
	}
	r.store(r.table.Load().keys, destroyed, old.fresh)
	return nil
}

// readBack compares what is on the disk now with the backup, secret by secret.
func (r *Ring) readBack(o *opened) error {
	if r.dir == nil {
		return nil
	}
	t := r.table.Load()
	for _, k := range o.keys {
		if _, ok := t.keys[k.header.id]; !ok {
			continue // destroyed
		}
		_, secret, err := r.readKey(k.header.id)
		if err != nil {
			return err
		}
		same := subtle.ConstantTimeCompare(secret, k.secret) == 1
		clear(secret)
		if !same {
			return fmt.Errorf("%w: %s did not come back as it was", ErrBackup, k.header.id)
		}
	}
	return nil
}
