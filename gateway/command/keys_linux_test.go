package command_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gongji/crypto"
	"gongji/crypto/hsm"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/gateway/command"
)

// typing runs a command line with somebody at the terminal who gives these answers, one after another.
func typing(t *testing.T, answers []string, args ...string) (string, string, error) {
	t.Helper()
	var out, errs strings.Builder
	next := func(string) (string, error) {
		if len(answers) == 0 {
			return "", errors.New("nobody answers")
		}
		a := answers[0]
		answers = answers[1:]
		return a, nil
	}
	p := command.Program{
		Stdout: &out, Stderr: &errs, Ask: next,
		Secret: func(q string) ([]byte, error) { a, err := next(q); return []byte(a), err },
	}
	err := p.Run(t.Context(), args)
	return out.String(), errs.String(), err
}

// ids are the ids that a list of keys begins its lines with, by use; the current ones first.
func ids(t *testing.T, list string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) < 4 {
			t.Fatalf("%q", line)
		}
		out[f[1]] = append(out[f[1]], f[0])
	}
	return out
}

// TestKeys: a ring from its making to the destruction of a key, its backup, its restoration, and another
// key-encryption key, by the command line alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir, kek := filepath.Join(t.TempDir(), "keys"), filepath.Join(t.TempDir(), "kek")
	ring := []string{"--dir", dir, "--kek-file", kek}
	ok := func(answers []string, args ...string) string {
		t.Helper()
		out, errs, err := typing(t, answers, args...)
		if err != nil {
			t.Fatalf("%q: %v\n%s", args, err, errs)
		}
		return out
	}
	on := func(args ...string) []string { return append(args, ring...) }
	made := ids(t, ok(nil, on("keys", "init")...))
	if len(made) != 5 {
		t.Fatalf("%v", made)
	}
	old := made["data"][0]
	fresh := ids(t, ok(nil, on("keys", "generate", "--use", "data", "--reason", "a new month")...))["data"][0]
	listed := ids(t, ok(nil, on("keys", "list")...))
	if got := listed["data"]; len(got) != 2 || got[0] != fresh {
		t.Errorf("%v", listed)
	}
	secret := file(t, "backup-passphrase", "in the safe of the office\n")
	backup := filepath.Join(t.TempDir(), "backup")
	out := ok(nil, on("keys", "backup", "--out", backup, "--backup-passphrase-file", secret)...)
	if !strings.Contains(out, "6 keys") {
		t.Errorf("%q", out)
	}
	destroy := on("keys", "destroy", old, "--reason", "its month is over")
	for name, answers := range map[string][]string{"another id": {fresh}, "nobody": nil} {
		if _, _, err := typing(t, answers, destroy...); err == nil {
			t.Errorf("%s: destroyed", name)
		}
	}
	current := on("keys", "destroy", fresh, "--reason", "x")
	if _, _, err := typing(t, []string{fresh}, current...); !errors.Is(err, command.ErrRefused) {
		t.Errorf("the current key: %v", err)
	}
	if _, _, err := typing(t, []string{old}, on("keys", "destroy", old)...); !errors.Is(err, command.ErrUsage) {
		t.Errorf("without a reason: %v", err)
	}
	ok([]string{old}, destroy...)
	if out = ok(nil, on("keys", "verify")...); !strings.Contains(out, "ok: 5 keys, 1 destroyed") {
		t.Errorf("%q", out)
	}
	head := strings.TrimSpace(out[strings.LastIndex(out, " ")+1:])

	// Another machine, which types its passphrase; the destroyed key is in that backup and comes with it.
	other := filepath.Join(t.TempDir(), "keys")
	restore := []string{"keys", "restore", "--in", backup, "--backup-passphrase-file", secret, "--dir", other}
	out = ok([]string{"of the new machine", "of the new machine"}, restore...)
	if strings.Count(out, "read back") != 6 {
		t.Errorf("%q", out)
	}
	out = ok([]string{"of the new machine"}, restore...)
	if strings.Count(out, "was there already") != 6 {
		t.Errorf("%q", out)
	}
	out = ok(nil, append(restore[:6:6], ring...)...) // and where it was destroyed it stays so
	if !strings.Contains(out, old+": was destroyed here, and stays so") {
		t.Errorf("%q", out)
	}

	next := filepath.Join(t.TempDir(), "kek")
	ok(nil, on("keys", "rewrap", "--new-kek-file", next, "--reason", "a year is over")...)
	if _, _, err := typing(t, nil, on("keys", "list")...); !errors.Is(err, keyfile.ErrKEK) {
		t.Errorf("the old key-encryption key: %v", err)
	}
	verify := []string{"keys", "verify", "--dir", dir, "--kek-file", next}
	ok(nil, append(verify, "--head", head)...)
	if _, errs, err := typing(t, nil, append(verify, "--head", "00")...); !errors.Is(err, command.ErrRefused) ||
		!strings.Contains(errs, "anew") {
		t.Errorf("%q %v", errs, err)
	}
	if err := os.Remove(filepath.Join(dir, fresh+".key")); err != nil {
		t.Fatal(err)
	}
	if _, errs, err := typing(t, nil, verify...); !errors.Is(err, command.ErrRefused) || !strings.Contains(errs, fresh) {
		t.Errorf("%q %v", errs, err)
	}
}

// TestKeysRefused: what is wrong is said before anything is changed, and no folder is made by mistake.
func TestKeysRefused(t *testing.T) {
	t.Parallel()
	dir, loose := filepath.Join(t.TempDir(), "keys"), file(t, "loose", "a passphrase that others can read\n")
	if err := os.Chmod(loose, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		answers []string
		args    []string
		want    error
	}{
		"no ring":       {nil, []string{"keys", "list", "--dir", dir}, os.ErrNotExist},
		"nothing typed": {nil, []string{"keys", "init", "--dir", dir}, nil},
		"two passphrases": {
			[]string{"one passphrase or", "another passphrase"},
			[]string{"keys", "init", "--dir", dir},
			command.ErrRefused,
		},
		"short":    {[]string{"short", "short"}, []string{"keys", "init", "--dir", dir}, keyfile.ErrPassphrase},
		"readable": {nil, []string{"keys", "init", "--dir", dir, "--passphrase-file", loose}, keyfile.ErrPermissions},
		"both": {
			nil, []string{"keys", "init", "--dir", dir, "--passphrase-file", loose, "--kek-file", "x"}, command.ErrUsage,
		},
		"argument": {nil, []string{"keys", "init", "--dir", dir, "--passphrase", "secret"}, command.ErrUsage},
		"use":      {nil, []string{"keys", "generate", "--use", "all", "--reason", "x", "--dir", dir}, command.ErrUsage},
		"reason":   {nil, []string{"keys", "generate", "--use", "data", "--reason", "a\nb", "--dir", dir}, command.ErrUsage},
		"no backup": {
			nil, []string{"keys", "restore", "--in", filepath.Join(t.TempDir(), "none"), "--dir", dir}, os.ErrNotExist,
		},
		"pin without a ring": {nil, []string{"keys", "pin", "--role", "user", "--dir", dir}, os.ErrNotExist},
	} {
		_, _, err := typing(t, test.answers, test.args...)
		if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s made the folder", name)
		}
	}
}

const childEnv = "GONGJI_TEST_COMMAND"

// TestMain is also the program of the tests that need a process of their own.
func TestMain(m *testing.M) {
	if line := os.Getenv(childEnv); line != "" {
		p := command.Program{Stdout: os.Stdout, Stderr: os.Stderr}
		if err := p.Run(context.Background(), strings.Fields(line)); err != nil {
			_, _ = os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestKeyModule: `gateway keys serve` is a process that has the keys; another one works with them, and the
// system writes no memory of it to disk.
func TestKeyModule(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "keys") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	keys, kek, socket := filepath.Join(dir, "k"), filepath.Join(dir, "kek"), filepath.Join(dir, "s")
	pin := file(t, "pin", "a pin of some randomness\n")
	made, _, err := run(t, "keys", "init", "--dir", keys, "--kek-file", kek)
	if err != nil {
		t.Fatal(err)
	}
	line := "keys serve --dir " + keys + " --kek-file " + kek + " --socket " + socket
	if _, _, err := run(t, strings.Fields(line+" --core-dumps")...); !errors.Is(err, command.ErrRefused) {
		t.Errorf("without a PIN: %v", err)
	}
	if _, _, err := run(t, "keys", "pin", "--dir", keys, "--role", "user", "--pin-file", pin); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(context.Background(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+line)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	defer stop()
	var c *hsm.Client
	deadline := time.Now().Add(time.Minute)
	for c == nil && time.Now().Before(deadline) {
		c, err = hsm.Open(hsm.Options{Socket: socket, PIN: []byte("a pin of some randomness"), Suite: emm.New()})
	}
	if err != nil {
		stop()
		t.Fatalf("%v: %s", err, &out)
	}
	id, err := c.Current(crypto.UseSign)
	if err != nil || ids(t, made)["sign"][0] != id {
		t.Errorf("%q, %v", id, err)
	}
	public, err := c.Public(id)
	if err != nil || !strings.Contains(made, base64.StdEncoding.EncodeToString(public)) {
		t.Errorf("%v", err)
	}
	var core unix.Rlimit
	if err := unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_CORE, nil, &core); err != nil || core.Cur != 0 || core.Max != 0 {
		t.Errorf("core dumps: %+v, %v", core, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
