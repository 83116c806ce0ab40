package keyfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func TestDestroy(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ring := open(t, dir, raw(t))
	gone, kept := generate(t, ring, crypto.UseData), generate(t, ring, crypto.UseData)
	sealed, err := ring.Seal(gone, []byte("person"), nil)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := ring.Export(gone, raw(t))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, gone+keyfile.Suffix))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Destroy(gone, order()); err != nil {
		t.Fatal(err)
	}
	check := func(ring *keyfile.Ring) {
		t.Helper()
		if _, err := ring.Open(gone, sealed, nil); !errors.Is(err, crypto.ErrNoKey) {
			t.Errorf("open: %v", err)
		}
		if _, err := ring.Restore(backup, raw(t)); !errors.Is(err, keyfile.ErrDestroyed) {
			t.Errorf("restore: %v", err)
		}
		if err := ring.Destroy(gone, order()); !errors.Is(err, crypto.ErrNoKey) {
			t.Errorf("destroy: %v", err)
		}
		if current, err := ring.Current(crypto.UseData); current != kept {
			t.Errorf("current: %q, %v", current, err)
		}
		if _, err := os.Stat(filepath.Join(dir, gone+keyfile.Suffix)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file: %v", err)
		}
	}
	check(ring)
	check(open(t, dir, raw(t)))
	// A crash between the mark and the removal, or a file that somebody puts back.
	if err := os.WriteFile(filepath.Join(dir, gone+keyfile.Suffix), file, 0o600); err != nil {
		t.Fatal(err)
	}
	check(open(t, dir, raw(t)))
}

// TestBackup moves every key to an empty ring under another key-encryption key.
func TestBackup(t *testing.T) {
	t.Parallel()
	from := open(t, folder(t), raw(t))
	backup := passphrase(t, "in the safe of the office")
	token, data := generate(t, from, crypto.UseToken), generate(t, from, crypto.UseData)
	sign := generate(t, from, crypto.UseSign)
	sealed, err := from.Seal(data, []byte("person"), []byte("row"))
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	to := open(t, dir, passphrase(t, "of the new machine"))
	for _, id := range []string{sign, token, data} { // in another order
		file, err := from.Export(id, backup)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Restore(file, passphrase(t, "not in the safe")); !errors.Is(err, keyfile.ErrKEK) {
			t.Errorf("wrong passphrase: %v", err)
		}
		if _, err := to.Restore(file, nil); !errors.Is(err, keyfile.ErrKEK) {
			t.Errorf("none: %v", err)
		}
		got, err := to.Restore(file, passphrase(t, "in the safe of the office"))
		if err != nil || got != id {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := to.Restore(file, backup); !errors.Is(err, keyfile.ErrExists) {
			t.Errorf("twice: %v", err)
		}
	}
	to = open(t, dir, passphrase(t, "of the new machine"))
	if opened, err := to.Open(data, sealed, []byte("row")); string(opened) != "person" {
		t.Errorf("%q, %v", opened, err)
	}
	one, err := from.MAC(token, []byte("person"))
	two, err2 := to.MAC(token, []byte("person"))
	if one != two || errors.Join(err, err2) != nil {
		t.Errorf("%v, %v", err, err2)
	}
	if newer := generate(t, to, crypto.UseSign); newer == sign {
		t.Error("the same id")
	} else if current, err := to.Current(crypto.UseSign); current != newer {
		t.Errorf("a restored key is newer than a new one: %q, %v", current, err)
	}
	if _, err := from.Export("nobody", backup); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("unknown: %v", err)
	}
	if _, err := from.Export(token, nil); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("without a key: %v", err)
	}
}

// TestReload: two processes on one folder. An unknown id has the folder read, at most once a second.
func TestReload(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	clock := cryptotest.NewClock(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	one := open(t, dir, raw(t))
	two, err := keyfile.Open(dir, raw(t), emm.New(), keyfile.WithClock(clock.Now))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = two.Close() })
	if _, err := two.Open("data-202611-0000000000000000", make([]byte, 100), nil); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("nobody's: %v", err)
	}
	id := generate(t, one, crypto.UseData)
	sealed, err := one.Seal(id, []byte("person"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Open(id, sealed, nil); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("within the second: %v", err)
	}
	clock.Add(time.Second)
	if opened, err := two.Open(id, sealed, nil); string(opened) != "person" {
		t.Errorf("a second later: %q, %v", opened, err)
	}
	id = generate(t, one, crypto.UseData)
	if sealed, err = one.Seal(id, []byte("person"), nil); err != nil {
		t.Fatal(err)
	}
	if err := two.Reload(); err != nil {
		t.Fatal(err)
	}
	if opened, err := two.Open(id, sealed, nil); string(opened) != "person" {
		t.Errorf("after: %q, %v", opened, err)
	}
	if err := one.Destroy(id, order()); err != nil {
		t.Fatal(err)
	}
	if err := two.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Open(id, sealed, nil); !errors.Is(err, crypto.ErrNoKey) {
		t.Errorf("destroyed: %v", err)
	}
	memory := keyfile.NewMemory(emm.New())
	generate(t, memory, crypto.UseData)
	if err := errors.Join(memory.Reload(), memory.Close()); err != nil || len(idsOf(memory, crypto.UseData)) != 1 {
		t.Errorf("memory: %v", err)
	}
	// A folder that went bad leaves the ring as it was, and takes no new key.
	token := generate(t, one, crypto.UseToken)
	if err := os.WriteFile(filepath.Join(dir, "token-1"+keyfile.Suffix), []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := one.Reload(); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("bad file: %v", err)
	}
	if id, err := one.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("made %q: %v", id, err)
	}
	if current, err := one.Current(crypto.UseToken); current != token {
		t.Errorf("%q, %v", current, err)
	}
}

func TestImport(t *testing.T) {
	t.Parallel()
	ring := open(t, folder(t), raw(t))
	secret := bytes.Repeat([]byte{3}, 32)
	id, err := ring.Import(crypto.UseToken, secret)
	if err != nil {
		t.Fatal(err)
	}
	clear(secret) // the ring has its own
	want := emm.New().MAC(bytes.Repeat([]byte{3}, 32), []byte("person"))
	if got, err := ring.MAC(id, []byte("person")); got != want || err != nil {
		t.Errorf("%x, %v", got, err)
	}
	private, err := emm.New().Generate()
	if err != nil {
		t.Fatal(err)
	}
	id, err = ring.Import(crypto.UseSign, private.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if key, err := ring.Public(id); !bytes.Equal(key, private.Public()) {
		t.Errorf("%x, %v", key, err)
	}
	for _, bad := range []struct {
		use    crypto.Use
		secret []byte
		want   error
	}{
		{"other", make([]byte, 32), keyfile.ErrUse},
		{crypto.UseToken, make([]byte, 31), crypto.ErrKey},
		{crypto.UseData, make([]byte, 32), crypto.ErrKey},
		{crypto.UseSign, make([]byte, 32), crypto.ErrKey},
		{crypto.UseDecrypt, bytes.Repeat([]byte{0xff}, 32), crypto.ErrKey},
		{crypto.UseDecrypt, nil, crypto.ErrKey},
	} {
		if id, err := ring.Import(bad.use, bad.secret); !errors.Is(err, bad.want) {
			t.Errorf("%s, %x: %q, %v", bad.use, bad.secret, id, err)
		}
	}
	if _, err := ring.Generate("other"); !errors.Is(err, keyfile.ErrUse) {
		t.Errorf("%v", err)
	}
}

// TestBoxes: values of many processes and of a spent box open; forged ones push nothing out.
func TestBoxes(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ring := open(t, dir, raw(t))
	id := generate(t, ring, crypto.UseData)
	var all [][]byte
	seal := func(from *keyfile.Ring) {
		t.Helper()
		sealed, err := from.Seal(id, []byte("person"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len("person")+keyfile.Overhead {
			t.Errorf("%d bytes", len(sealed))
		}
		all = append(all, sealed)
	}
	for range 3 {
		ring.SpendBox(id)
		seal(ring)
		seal(ring)
	}
	salts := map[string]bool{}
	for _, sealed := range all {
		salts[string(sealed[1:13])] = true
	}
	if len(salts) != 4 {
		t.Errorf("%d boxes, want 4", len(salts))
	}
	for range keyfile.BoxesMax + 5 {
		ring.SpendBox(id)
		seal(ring)
		seal(ring)
	}
	reader := open(t, dir, raw(t))
	for range 2 {
		for _, sealed := range all {
			if opened, err := reader.Open(id, sealed, nil); string(opened) != "person" {
				t.Fatalf("%q, %v", opened, err)
			}
		}
	}
	if n := reader.Boxes(id); n != keyfile.BoxesMax {
		t.Errorf("%d boxes are kept", n)
	}
	fresh := open(t, dir, raw(t))
	for i := range 20 {
		forged := bytes.Clone(all[0])
		forged[1] ^= byte(i + 1)
		if _, err := fresh.Open(id, forged, nil); !errors.Is(err, crypto.ErrOpen) {
			t.Errorf("forged: %v", err)
		}
	}
	if n := fresh.Boxes(id); n != 0 {
		t.Errorf("%d forged boxes are kept", n)
	}
}

// TestSpentTogether: many goroutines meet the bound of a box at once.
func TestSpentTogether(t *testing.T) {
	t.Parallel()
	ring := keyfile.NewMemory(emm.New())
	id := generate(t, ring, crypto.UseData)
	ring.SpendBox(id)
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			sealed, err := ring.Seal(id, []byte("person"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if opened, err := ring.Open(id, sealed, nil); string(opened) != "person" {
				t.Errorf("%q, %v", opened, err)
			}
		})
	}
	group.Wait()
}

func TestFull(t *testing.T) {
	t.Parallel()
	ring := keyfile.NewMemory(emm.New())
	ring.SpendSequence()
	if _, err := ring.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrFull) {
		t.Errorf("sequence: %v", err)
	}
	const limit = 4
	dir := folder(t)
	ring = open(t, dir, raw(t), keyfile.WithLimit(limit))
	for range limit - 1 {
		generate(t, ring, crypto.UseToken)
	}
	if err := ring.Destroy(generate(t, ring, crypto.UseData), order()); err != nil {
		t.Fatal(err)
	}
	if id, err := ring.Generate(crypto.UseToken); !errors.Is(err, keyfile.ErrFull) {
		t.Errorf("%q: %v", id, err)
	}
	if _, err := keyfile.Open(dir, raw(t), emm.New(), keyfile.WithLimit(limit-1)); !errors.Is(err, keyfile.ErrFull) {
		t.Errorf("files: %v", err)
	}
	open(t, dir, raw(t), keyfile.WithLimit(limit))
}

// TestNoFolder: what the system refuses is told.
func TestNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Open(file, raw(t), emm.New()); err == nil {
		t.Error("a file for a folder")
	}
	dir := folder(t)
	ring := open(t, dir, raw(t))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	id, err := ring.Generate(crypto.UseToken)
	if err == nil || id != "" {
		t.Errorf("%q is made without a file: %v", id, err)
	}
	if ids := idsOf(ring, crypto.UseToken); len(ids) != 0 {
		t.Errorf("known all the same: %v", ids)
	}
}

func FuzzRestore(f *testing.F) {
	seed := keyfile.NewMemory(emm.New())
	for _, use := range []crypto.Use{crypto.UseSign, crypto.UseToken, crypto.UseData} {
		id, err := seed.Generate(use)
		if err != nil {
			f.Fatal(err)
		}
		file, err := seed.Export(id, raw(f))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
		f.Add(file[:len(file)-1])
	}
	f.Add([]byte("GJKEY-1\n"))
	kek := raw(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		ring := keyfile.NewMemory(emm.New())
		id, err := ring.Restore(file, kek)
		if err != nil {
			if id != "" || len(idsOf(ring, crypto.UseSign)) > 0 {
				t.Fatalf("%q came in beside %v", id, err)
			}
			return
		}
		again, err := ring.Export(id, kek)
		if err != nil || len(again) != len(file) {
			t.Fatalf("%q goes out otherwise: %d and %d bytes, %v", id, len(again), len(file), err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	ring := keyfile.NewMemory(emm.New())
	id, err := ring.Generate(crypto.UseData)
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := ring.Seal(id, []byte("person"), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:keyfile.Overhead-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		opened, err := ring.Open(id, value, nil)
		if (err == nil) != bytes.Equal(value, sealed) || (err != nil && opened != nil) {
			t.Fatalf("%x: %q, %v", value, opened, err)
		}
	})
}
