package keyfile_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// filled is a ring with a key of each use and a destroyed one.
func filled(t *testing.T, dir string, kek *keyfile.KEK) (*keyfile.Ring, map[crypto.Use]string, string) {
	t.Helper()
	ring := open(t, dir, kek)
	ids := map[crypto.Use]string{}
	gone := generate(t, ring, crypto.UseData)
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseEvidence, crypto.UseData,
	} {
		ids[use] = generate(t, ring, use)
	}
	if err := ring.Destroy(gone, order()); err != nil {
		t.Fatal(err)
	}
	return ring, ids, gone
}

// TestWholeBackup: one file brings every key to an empty folder under another key-encryption key, keeps the
// destroyed ones destroyed, may be repeated, and is read back from the disk.
func TestWholeBackup(t *testing.T) {
	t.Parallel()
	from, ids, gone := filled(t, folder(t), raw(t))
	lost, err := from.Export(ids[crypto.UseData], raw(t))
	if err != nil {
		t.Fatal(err)
	}
	kek := passphrase(t, "in the safe of the office")
	backup, err := from.Backup(kek)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := keyfile.ReadBackup(emm.New(), passphrase(t, "in the safe of the office"), backup)
	if err != nil || len(contents.Keys) != 5 || !slices.Equal(contents.Destroyed, []string{gone}) ||
		contents.Created.IsZero() {
		t.Errorf("%+v, %v", contents, err)
	}
	dir := folder(t)
	to := open(t, dir, passphrase(t, "of the new machine"))
	done, err := to.RestoreBackup(backup, passphrase(t, "in the safe of the office"))
	if err != nil || len(done.Added) != 5 || len(done.Known)+len(done.Destroyed)+len(done.Alive) > 0 {
		t.Fatalf("%+v, %v", done, err)
	}
	again, err := to.RestoreBackup(backup, kek)
	if err != nil || len(again.Known) != 5 || len(again.Added) > 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
	to = open(t, dir, passphrase(t, "of the new machine"))
	for use, id := range ids {
		if current, err := to.Current(use); current != id {
			t.Errorf("%s: %q, %v", use, current, err)
		}
	}
	one, err := from.MAC(ids[crypto.UseToken], []byte("person"))
	two, err2 := to.MAC(ids[crypto.UseToken], []byte("person"))
	if one != two || errors.Join(err, err2) != nil {
		t.Errorf("%v, %v", err, err2)
	}
	if report, err := keyfile.Verify(dir, passphrase(t, "of the new machine"), emm.New()); err != nil ||
		len(report.Problems) > 0 || !slices.Equal(report.Destroyed, []string{gone}) {
		t.Errorf("%+v, %v", report.Problems, err)
	}
	// A key that was destroyed after the backup does not come back by it; one that the backup knows as
	// destroyed is named.
	if err := to.Destroy(ids[crypto.UseData], order()); err != nil {
		t.Fatal(err)
	}
	data := []string{ids[crypto.UseData]}
	if done, err = to.RestoreBackup(backup, kek); err != nil || !slices.Equal(done.Destroyed, data) {
		t.Errorf("%+v, %v", done, err)
	}
	newer, err := to.Backup(kek)
	if err != nil {
		t.Fatal(err)
	}
	older := open(t, folder(t), raw(t))
	if _, err := older.Restore(lost, raw(t)); err != nil {
		t.Fatal(err)
	}
	if done, err = older.RestoreBackup(newer, kek); err != nil || !slices.Equal(done.Alive, data) {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestBackupAttacked: no byte of a backup can be changed, no key taken out, and it opens under its own key alone.
func TestBackupAttacked(t *testing.T) {
	t.Parallel()
	from, _, _ := filled(t, folder(t), raw(t))
	kek, err := keyfile.RawKEK(bytes.Repeat([]byte{9}, keyfile.KEKSize))
	if err != nil {
		t.Fatal(err)
	}
	backup, err := from.Backup(kek)
	if err != nil {
		t.Fatal(err)
	}
	to := keyfile.NewMemory(emm.New())
	refuse := func(what string, raw []byte, kek *keyfile.KEK) {
		t.Helper()
		_, err := to.RestoreBackup(raw, kek)
		_, readErr := keyfile.ReadBackup(emm.New(), kek, raw)
		for _, err := range []error{err, readErr} {
			if !errors.Is(err, keyfile.ErrKEK) && !errors.Is(err, keyfile.ErrFormat) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for i := 0; i < len(backup); i += 3 {
		changed := bytes.Clone(backup)
		changed[i] ^= 1
		refuse("changed", changed, kek)
		refuse("cut", backup[:i], kek)
	}
	refuse("longer", append(bytes.Clone(backup), 0), kek)
	refuse("the ring's own key", backup, raw(t))
	refuse("none", backup, nil)
	if _, err := from.Backup(nil); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("without a key: %v", err)
	}
	for _, use := range []crypto.Use{crypto.UseSign, crypto.UseToken, crypto.UseData} {
		if ids := idsOf(to, use); len(ids) > 0 {
			t.Errorf("%v came in", ids)
		}
	}
}

// TestBackupConflict: another secret under a known id stops the whole restore.
func TestBackupConflict(t *testing.T) {
	t.Parallel()
	fixed := func(seed string) (*keyfile.Ring, string) {
		ring := keyfile.NewMemory(emm.New(), keyfile.WithRandom(repeatable(seed)))
		return ring, generate(t, ring, crypto.UseToken)
	}
	from, id := fixed("one")
	backup, err := from.Backup(raw(t))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	to := open(t, dir, raw(t))
	if _, err := to.RestoreBackup(backup, raw(t)); err != nil {
		t.Fatal(err)
	}
	// The same id over other bytes: as if two backups of one name were mixed up.
	other, otherID := fixed("two")
	file, err := other.Export(otherID, raw(t))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := keyfile.Renamed(emm.New(), raw(t), file, id)
	if err != nil {
		t.Fatal(err)
	}
	strange := open(t, folder(t), raw(t))
	if _, err := strange.Restore(forged, raw(t)); err != nil {
		t.Fatal(err)
	}
	generate(t, strange, crypto.UseData)
	mixed, err := strange.Backup(raw(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.RestoreBackup(mixed, raw(t)); !errors.Is(err, keyfile.ErrBackup) {
		t.Errorf("%v", err)
	}
	if came := idsOf(to, crypto.UseData); len(came) > 0 {
		t.Errorf("%v came in", came)
	}
}

// TestRewrap: another key-encryption key over the same folder; a crash in between leaves a ring that does not open
// until it is repeated, and a program that has it open keeps working and changes nothing.
func TestRewrap(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	running, ids, _ := filled(t, dir, raw(t))
	next := func() *keyfile.KEK { return passphrase(t, "the passphrase of next year") }
	if err := keyfile.Rewrap(dir, next(), raw(t), emm.New()); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("with the wrong one: %v", err)
	}
	half, err := os.ReadFile(filepath.Join(dir, ids[crypto.UseToken]+keyfile.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Rewrap(dir, raw(t), next(), emm.New()); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Open(dir, raw(t), emm.New()); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := running.MAC(ids[crypto.UseToken], []byte("person")); err != nil {
		t.Errorf("a running program: %v", err)
	}
	if id, err := running.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("a running program made %q: %v", id, err)
	}
	if err := running.Destroy(ids[crypto.UseToken], order()); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("a running program destroyed: %v", err)
	}
	// As a crash leaves it: one file of the old kind, and the mark.
	for name, content := range map[string][]byte{ids[crypto.UseToken] + keyfile.Suffix: half, keyfile.Pending: nil} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, kek := range []*keyfile.KEK{raw(t), next()} {
		if _, err := keyfile.Open(dir, kek, emm.New()); !errors.Is(err, keyfile.ErrRewrap) {
			t.Errorf("in between: %v", err)
		}
	}
	if err := keyfile.Rewrap(dir, raw(t), next(), emm.New()); err != nil {
		t.Fatal(err)
	}
	after := open(t, dir, next())
	for use, id := range ids {
		if current, err := after.Current(use); current != id {
			t.Errorf("%s: %q, %v", use, current, err)
		}
	}
	if report, err := keyfile.Verify(dir, next(), emm.New()); err != nil || len(report.Problems) > 0 {
		t.Errorf("%v, %v", report.Problems, err)
	}
}

// TestPBKDF2: OpenSSL's value (openssl kdf -kdfopt digest:SM3 PBKDF2), and a ring under it.
func TestPBKDF2(t *testing.T) {
	t.Parallel()
	const want = "7d405d8ea84fa6ddc9b25b32ea03117eaad9383e6948537ae59e7711ff7a8646"
	salt := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got, err := keyfile.DerivePBKDF2(emm.New(), []byte("correct horse battery staple"), salt, keyfile.IterationsMin)
	if hex.EncodeToString(got[:]) != want || err != nil {
		t.Errorf("%x, %v", got, err)
	}
	kek := func(text string) *keyfile.KEK {
		k, err := keyfile.PBKDF2KEK([]byte(text), keyfile.IterationsMin)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	dir := folder(t)
	id := generate(t, open(t, dir, kek("correct horse battery staple")), crypto.UseToken)
	for name, right := range map[string]*keyfile.KEK{
		"pbkdf2": kek("correct horse battery staple"), "argon2id": passphrase(t, "correct horse battery staple"),
	} {
		if current, err := open(t, dir, right).Current(crypto.UseToken); current != id {
			t.Errorf("%s: %q, %v", name, current, err)
		}
	}
	if _, err := keyfile.Open(dir, kek("incorrect horse battery"), emm.New()); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("another passphrase: %v", err)
	}
	for _, n := range []uint32{0, keyfile.IterationsMin - 1, keyfile.IterationsMax + 1} {
		if _, err := keyfile.PBKDF2KEK([]byte(strings.Repeat("x", 20)), n); !errors.Is(err, keyfile.ErrFormat) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

// TestDestroyWipes: the secret is overwritten in memory when its key is destroyed, here or by another process.
func TestDestroyWipes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	here, there := open(t, dir, raw(t)), open(t, dir, raw(t))
	for _, use := range []crypto.Use{crypto.UseSign, crypto.UseToken, crypto.UseData} {
		id := generate(t, here, use)
		if err := there.Reload(); err != nil {
			t.Fatal(err)
		}
		one, two := keyfile.Secret(here, id), keyfile.Secret(there, id)
		if !bytes.Equal(one, two) || bytes.Equal(one, make([]byte, len(one))) {
			t.Fatal("no secret to look for")
		}
		if err := here.Destroy(id, order()); err != nil {
			t.Fatal(err)
		}
		if err := there.Reload(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one, make([]byte, len(one))) || !bytes.Equal(two, one) {
			t.Errorf("%s: a secret is left in memory", use)
		}
	}
}
