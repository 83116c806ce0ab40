package keyfile_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cryptotest"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/crypto/sm/gmsm"
)

// cheap is the least work that a passphrase may cost.
func cheap() keyfile.Cost { return keyfile.Cost{Time: 1, MemoryKiB: 8 << 10, Threads: 1} }

func raw(t testing.TB) *keyfile.KEK {
	t.Helper()
	kek, err := keyfile.RawKEK(bytes.Repeat([]byte{7}, keyfile.KEKSize))
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func passphrase(t *testing.T, text string) *keyfile.KEK {
	t.Helper()
	kek, err := keyfile.PassphraseKEK([]byte(text), cheap())
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func folder(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "keys")
}

func open(t *testing.T, dir string, kek *keyfile.KEK, options ...keyfile.Option) *keyfile.Ring {
	t.Helper()
	ring, err := keyfile.Open(dir, kek, emm.New(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return ring
}

// order is that of whoever destroys keys in tests.
func order() crypto.Order { return crypto.Order{Who: "tester", Reason: "its month is over"} }

func idsOf(ring *keyfile.Ring, use crypto.Use) []string {
	ids, _ := ring.IDs(use)
	return ids
}

func generate(t *testing.T, ring *keyfile.Ring, use crypto.Use) string {
	t.Helper()
	id, err := ring.Generate(use)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestContract(t *testing.T) {
	t.Parallel()
	t.Run("files", func(t *testing.T) {
		t.Parallel()
		cryptotest.RunRingContract(t, emm.New(), func(t *testing.T) cryptotest.Ring {
			t.Helper()
			return open(t, folder(t), raw(t))
		})
	})
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		memory := func(*testing.T) cryptotest.Ring { return keyfile.NewMemory(emm.New()) }
		cryptotest.RunRingContract(t, emm.New(), memory)
	})
}

// TestReopened: everything works as before, under both kinds of key, and with the other engine.
func TestReopened(t *testing.T) {
	t.Parallel()
	for name, kek := range map[string]func() *keyfile.KEK{
		"raw":        func() *keyfile.KEK { return raw(t) },
		"passphrase": func() *keyfile.KEK { return passphrase(t, "correct horse battery staple") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t)
			ring := open(t, dir, kek())
			ids := map[crypto.Use]string{}
			for _, use := range []crypto.Use{
				crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
			} {
				generate(t, ring, use)
				ids[use] = generate(t, ring, use)
			}
			token, err := ring.MAC(ids[crypto.UseToken], []byte("person"))
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := ring.Seal(ids[crypto.UseData], []byte("person"), nil)
			if err != nil {
				t.Fatal(err)
			}
			again, err := keyfile.Open(dir, kek(), gmsm.New())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = again.Close() })
			for use, id := range ids {
				if current, err := again.Current(use); current != id {
					t.Errorf("%s: %q, want %q (%v)", use, current, id, err)
				}
				if !slices.Equal(idsOf(again, use), idsOf(ring, use)) || len(idsOf(again, use)) != 2 {
					t.Errorf("%s: %v", use, idsOf(again, use))
				}
			}
			if same, err := again.MAC(ids[crypto.UseToken], []byte("person")); same != token || err != nil {
				t.Errorf("token: %v", err)
			}
			if opened, err := again.Open(ids[crypto.UseData], sealed, nil); string(opened) != "person" {
				t.Errorf("data: %q, %v", opened, err)
			}
			for _, use := range []crypto.Use{crypto.UseSign, crypto.UseDecrypt} {
				one, err := ring.Public(ids[use])
				two, err2 := again.Public(ids[use])
				if !bytes.Equal(one, two) || errors.Join(err, err2) != nil {
					t.Errorf("%s: %x, %x, %v, %v", use, one, two, err, err2)
				}
			}
		})
	}
}

func TestWrongKEK(t *testing.T) {
	t.Parallel()
	other, err := keyfile.RawKEK(make([]byte, keyfile.KEKSize))
	if err != nil {
		t.Fatal(err)
	}
	rawDir, passDir := folder(t), folder(t)
	generate(t, open(t, rawDir, raw(t)), crypto.UseSign)
	generate(t, open(t, passDir, passphrase(t, "correct horse battery staple")), crypto.UseSign)
	for name, test := range map[string]struct {
		dir string
		kek *keyfile.KEK
	}{
		"another key":        {rawDir, other},
		"passphrase for key": {rawDir, passphrase(t, "correct horse battery staple")},
		"key for passphrase": {passDir, raw(t)},
		"another passphrase": {passDir, passphrase(t, "correct horse battery stapler")},
		"none":               {rawDir, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ring, err := keyfile.Open(test.dir, test.kek, emm.New())
			if !errors.Is(err, keyfile.ErrKEK) || ring != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// only is the one key file of a folder.
func only(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+keyfile.Suffix))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	return names[0]
}

// TestChangedFile flips each byte of a file: none goes unseen, header or secret.
func TestChangedFile(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	id := generate(t, open(t, dir, raw(t)), crypto.UseToken)
	path := only(t, dir)
	genuine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(what string, file []byte) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		ring, err := keyfile.Open(dir, raw(t), emm.New())
		if ring != nil || (!errors.Is(err, keyfile.ErrKEK) && !errors.Is(err, keyfile.ErrFormat)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range genuine {
		changed := bytes.Clone(genuine)
		changed[i] ^= 1
		refuse("changed", changed)
		refuse("cut", genuine[:i])
	}
	refuse("longer", append(bytes.Clone(genuine), 0))
	refuse("much longer", append(bytes.Clone(genuine), make([]byte, keyfile.FileMax)...))
	if err := os.WriteFile(path, genuine, 0o600); err != nil {
		t.Fatal(err)
	}
	if current, err := open(t, dir, raw(t)).Current(crypto.UseToken); current != id {
		t.Errorf("the genuine one: %q, %v", current, err)
	}
	if err := os.Rename(path, filepath.Join(dir, "token-202611-0000000000000000"+keyfile.Suffix)); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Open(dir, raw(t), emm.New()); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("under another name: %v", err)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	ring := open(t, dir, raw(t))
	generate(t, ring, crypto.UseToken)
	file := only(t, dir)
	for path, want := range map[string]os.FileMode{dir: 0o700, file: 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	for _, test := range []struct {
		path      string
		mode, was os.FileMode
	}{{file, 0o640, 0o600}, {file, 0o604, 0o600}, {dir, 0o750, 0o700}, {dir, 0o701, 0o700}} {
		if err := os.Chmod(test.path, test.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.Open(dir, raw(t), emm.New()); !errors.Is(err, keyfile.ErrPermissions) {
			t.Errorf("%v: %v", test.mode, err)
		}
		if err := os.Chmod(test.path, test.was); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Open(dir, raw(t), emm.New()); !errors.Is(err, keyfile.ErrFormat) {
		t.Errorf("a folder for a file: %v", err)
	}
}

// TestOtherFilesLeftAlone: what a crash or a person left in the folder is no key.
func TestOtherFilesLeftAlone(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	id := generate(t, open(t, dir, raw(t)), crypto.UseToken)
	for _, name := range []string{id + keyfile.Suffix + keyfile.Temporary, "README", "Notes" + keyfile.Suffix, ".x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half a key"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if ids := idsOf(open(t, dir, raw(t)), crypto.UseToken); !slices.Equal(ids, []string{id}) {
		t.Errorf("%v", ids)
	}
}

func TestKEKFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	made, err := keyfile.CreateKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	id := generate(t, open(t, dir, made), crypto.UseToken)
	read, err := keyfile.ReadKEK(path)
	if err != nil {
		t.Fatal(err)
	}
	if current, err := open(t, dir, read).Current(crypto.UseToken); current != id {
		t.Errorf("%q, %v", current, err)
	}
	if _, err := keyfile.CreateKEK(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	if _, err := keyfile.ReadKEK(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "short": strings.Repeat("a", 62), "long": strings.Repeat("a", 66),
		"no digits": strings.Repeat("g", 64), "two line ends": strings.Repeat("a", 63) + "\n\n",
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := keyfile.ReadKEK(bad); !errors.Is(err, keyfile.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.ReadKEK(path); !errors.Is(err, keyfile.ErrPermissions) {
		t.Errorf("readable by others: %v", err)
	}
}

func TestKEKBounds(t *testing.T) {
	t.Parallel()
	if _, err := keyfile.RawKEK(make([]byte, 31)); !errors.Is(err, crypto.ErrKey) {
		t.Errorf("short key: %v", err)
	}
	for _, size := range []int{0, keyfile.PassphraseMin - 1, keyfile.PassphraseMax + 1} {
		if _, err := keyfile.PassphraseKEK(make([]byte, size), cheap()); !errors.Is(err, keyfile.ErrPassphrase) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	for _, cost := range []keyfile.Cost{
		{},
		{Time: 0, MemoryKiB: 8 << 10, Threads: 1},
		{Time: 17, MemoryKiB: 8 << 10, Threads: 1},
		{Time: 1, MemoryKiB: 8<<10 - 1, Threads: 1},
		{Time: 1, MemoryKiB: 256<<10 + 1, Threads: 1},
		{Time: 1, MemoryKiB: 8 << 10, Threads: 0},
		{Time: 1, MemoryKiB: 8 << 10, Threads: 9},
	} {
		if _, err := keyfile.PassphraseKEK(make([]byte, 20), cost); !errors.Is(err, keyfile.ErrFormat) {
			t.Errorf("%+v: %v", cost, err)
		}
	}
	if _, err := keyfile.PassphraseKEK(make([]byte, 20), keyfile.DefaultCost()); err != nil {
		t.Errorf("default: %v", err)
	}
}

// repeatable is randomness of a seed.
func repeatable(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

func TestRepeatable(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 11, 30, 15, 59, 59, 0, time.UTC) }
	run := func(seed string) []string {
		ring := keyfile.NewMemory(emm.New(), keyfile.WithRandom(repeatable(seed)), keyfile.WithClock(now))
		sign, data := generate(t, ring, crypto.UseSign), generate(t, ring, crypto.UseData)
		key, err := ring.Public(sign)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := ring.Seal(data, []byte("person"), nil)
		if err != nil {
			t.Fatal(err)
		}
		return []string{sign, data, string(key), string(sealed)}
	}
	if !slices.Equal(run("one"), run("one")) {
		t.Error("not repeated")
	}
	for i, value := range run("two") {
		if value == run("one")[i] {
			t.Errorf("value %d does not depend on the seed", i)
		}
	}
	if id := run("one")[1]; !strings.HasPrefix(id, "data-202611-") {
		t.Error(id)
	}
}

func TestMonthly(t *testing.T) {
	t.Parallel()
	ring := open(t, folder(t), raw(t))
	monthly := func(text string) string {
		t.Helper()
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		id, err := ring.Monthly(at)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	november := monthly("2026-11-01T00:00:00+08:00")
	if !strings.HasPrefix(november, "data-202611-") || monthly("2026-11-30T23:59:59+08:00") != november {
		t.Error(november)
	}
	if got := monthly("2026-10-31T16:00:00Z"); got != november {
		t.Errorf("midnight is China's: %s", got)
	}
	december := monthly("2026-11-30T16:00:00Z")
	if !strings.HasPrefix(december, "data-202612-") {
		t.Error(december)
	}
	if err := ring.Destroy(november, order()); err != nil {
		t.Fatal(err)
	}
	if again := monthly("2026-11-30T23:59:59+08:00"); again == november || !strings.HasPrefix(again, "data-202611-") {
		t.Errorf("after it was destroyed: %s", again)
	}
}

// TestKeeper: a ring on disk and one in memory are key keepers.
func TestKeeper(t *testing.T) {
	t.Parallel()
	for name, fresh := range map[string]func(t *testing.T) crypto.KeyKeeper{
		"disk":   func(t *testing.T) crypto.KeyKeeper { return open(t, folder(t), raw(t)) },
		"memory": func(*testing.T) crypto.KeyKeeper { return keyfile.NewMemory(emm.New()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cryptotest.RunKeeperContract(t, emm.New(), fresh)
		})
	}
}
