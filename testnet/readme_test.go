//go:build integration && unix

package main_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gongji/internal/freeport"
	"gongji/testnet/topology"
)

// curlBlock is the README's block of curl, for a testnet with another base port.
func curlBlock(t *testing.T, path string, base int) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "```sh\nBJ=")
	block, _, closed := strings.Cut(rest, "\n```")
	if !found || !closed {
		t.Fatal("the block of curl is not there")
	}
	return regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllStringFunc("BJ="+block, func(address string) string {
		_, port, _ := strings.Cut(address, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatal(err)
		}
		return "127.0.0.1:" + strconv.Itoa(n-topology.BasePort+base)
	})
}

// TestREADME runs what the README tells people to type, in both languages' versions, which are the same.
func TestREADME(t *testing.T) {
	base := freeport.Base(t)
	block := curlBlock(t, filepath.Join("..", "README.md"), base)
	if other := curlBlock(t, filepath.Join("..", "README.zh-CN.md"), base); other != block {
		t.Error("the two READMEs differ in their curl")
	}
	if n := strings.Count(block, "\n") + 1; n != 10 {
		t.Errorf("the ten lines are %d", n)
	}
	r := up(t, filepath.Join(t.TempDir(), "net"), "--base-port", strconv.Itoa(base), "--load-accounts", "3")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "bash", "-euc", block).CombinedOutput()
	text := string(out)
	if err != nil || strings.Count(text, `"status":"captured"`) < 2 || !strings.Contains(text, `"status":"held"`) ||
		strings.Contains(text, `"origin"`) {
		t.Errorf("%v\n%s", err, text)
	}
	r.interrupt(t)
}
