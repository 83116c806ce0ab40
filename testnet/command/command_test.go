package command_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gongji/internal/freeport"
	"gongji/testnet/command"
)

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, diagnosis bytes.Buffer
	err := command.Run(t.Context(), args, &out, &diagnosis)
	return out.String(), err
}

func TestHelp(t *testing.T) {
	out, err := run(t, "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		"check", "books", "load", "chaos",
		"--once", "--quiet", "--base-port", "--data", "--kafka", "--processes", "--report",
	} {
		if !strings.Contains(out, word) {
			t.Errorf("the help does not name %s:\n%s", word, out)
		}
	}
	if strings.Contains(out, "Run one node") {
		t.Error("the help shows the hidden command")
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--no-such-flag"},
		{"dance"},
		{"node"},
		{"load", "--rate", "0"},
		{"load", "--rate", "many"},
		{"load", "--duration", "soon"},
		{"chaos", "--hostile", "--flood", "0"},
		{"chaos", "--hostile", "--clients", "0"},
		{"chaos", "--hostile", "--kinds", "rain"},
	} {
		if _, err := run(t, args...); !errors.Is(err, command.ErrUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestHostileHelp: the help of chaos says what --hostile is and takes.
func TestHostileHelp(t *testing.T) {
	out, err := run(t, "chaos", "--help")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{
		"--hostile", "fourth member", "--flood", "--clients", "--kinds", "captures", "--duration",
	} {
		if !strings.Contains(out, word) {
			t.Errorf("the help does not name %s:\n%s", word, out)
		}
	}
}

// TestNobodyRuns: tools say so when there is no federation, and a foreign folder is left alone.
func TestNobodyRuns(t *testing.T) {
	dir := t.TempDir()
	for _, tool := range []string{"check", "books", "load", "chaos"} {
		if _, err := run(t, tool, "--data", dir); err == nil || !strings.Contains(err.Error(), "no running testnet") {
			t.Errorf("%s: %v", tool, err)
		}
	}
	if _, err := run(t, "chaos", "--hostile", "--data", dir); err == nil || !strings.Contains(err.Error(), "no running") {
		t.Errorf("chaos --hostile: %v", err)
	}
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(t, "--once", "--data", dir, "--base-port", strconv.Itoa(freeport.Base(t))); err == nil {
		t.Error("a federation was made in a foreign folder")
	}
	if _, err := run(t, "--once", "--data", filepath.Join(dir, "new"), "--base-port", "80"); err == nil {
		t.Error("a federation was made on port 80")
	}
	if left, err := os.ReadFile(file); err != nil || string(left) != "x" {
		t.Errorf("the foreign file is now %q, %v", left, err)
	}
}
