package command_test

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/command"
)

var update = flag.Bool("update", false, "write the golden files anew")

// bureau is the federation's office with three holders of root keys, and two regions, each with a folder of its own.
type bureau struct {
	t     *testing.T
	dir   string
	now   time.Time
	story strings.Builder
	keys  int
	names []string // what is random, and what stands for it in the golden file
}

func newBureau(t *testing.T) *bureau {
	t.Helper()
	o := &bureau{t: t, dir: t.TempDir(), now: time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)}
	o.names = []string{o.dir + "/", ""}
	for _, holder := range []string{"a", "b", "c", "x"} {
		o.ring(holder)
	}
	roots := "threshold: 2\nroots:\n"
	for _, holder := range []string{"a", "b", "c"} {
		out, _, err := o.run("directory", "root-key", "--keys", o.path(holder), "--kek", o.path(holder+".kek"))
		if err != nil {
			t.Fatal(err)
		}
		id := regexp.MustCompile(`id: (\S+)`).FindStringSubmatch(out)
		o.names = append(o.names, id[1], "ROOT-"+strings.ToUpper(holder))
		roots += out
	}
	o.write("roots.yaml", roots)
	for _, code := range []string{"310000", "110000"} {
		o.ring(code, crypto.UseSign, crypto.UseDecrypt)
		o.offer(code)
	}
	return o
}

func (o *bureau) path(name string) string { return filepath.Join(o.dir, name) }

func (o *bureau) write(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(o.path(name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// ring makes keys in a holder's ring, which is made if it is not there.
func (o *bureau) ring(name string, uses ...crypto.Use) {
	o.t.Helper()
	var kek *keyfile.KEK
	var err error
	if _, missing := os.Stat(o.path(name + ".kek")); missing != nil {
		if err = os.Mkdir(o.path(name), 0o700); err == nil {
			kek, err = keyfile.CreateKEK(o.path(name + ".kek"))
		}
	} else {
		kek, err = keyfile.ReadKEK(o.path(name + ".kek"))
	}
	if err != nil {
		o.t.Fatal(err)
	}
	ring, err := keyfile.Open(o.path(name), kek, emm.New())
	if err != nil {
		o.t.Fatal(err)
	}
	for _, use := range uses {
		id, failed := ring.Generate(use)
		if failed != nil {
			o.t.Fatal(failed)
		}
		o.keys++
		o.names = append(o.names, id, fmt.Sprintf("KEY-%d", o.keys))
	}
	if err = ring.Close(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *bureau) offer(code string) {
	o.t.Helper()
	out, _, err := o.run("directory", "offer", "--keys", o.path(code), "--kek", o.path(code+".kek"),
		"--code", code, "--name", "统筹区 "+code)
	if err != nil {
		o.t.Fatal(err)
	}
	o.write(code+".json", out)
}

func (o *bureau) run(args ...string) (string, string, error) {
	var out, errs strings.Builder
	p := command.Program{Stdout: &out, Stderr: &errs, Now: func() time.Time { return o.now }}
	err := p.Run(o.t.Context(), args)
	return out.String(), errs.String(), err
}

// does runs a command on files of the bureau and writes what it says into the story; a file is an argument with a dot.
func (o *bureau) does(line string, more ...string) error {
	args := []string{"directory"}
	for _, word := range append(strings.Fields(line), more...) {
		if name, ok := strings.CutPrefix(word, "@"); ok {
			word = o.path(name)
		}
		args = append(args, word)
	}
	out, errs, err := o.run(args...)
	o.story.WriteString("$ gateway " + strings.Join(args, " ") + "\n" + out + errs)
	if err != nil {
		o.story.WriteString("! " + err.Error() + "\n")
	}
	o.story.WriteString("\n")
	return err
}

func (o *bureau) must(lines ...string) {
	o.t.Helper()
	for _, line := range lines {
		if err := o.does(line); err != nil {
			o.t.Fatalf("%s: %v", line, err)
		}
	}
}

func (o *bureau) refuses(lines ...string) {
	o.t.Helper()
	for _, line := range lines {
		if err := o.does(line); err == nil {
			o.t.Errorf("%s: done", line)
		}
	}
}

func (o *bureau) sign(file, holder, out, more string) string {
	return "sign @" + file + " --keys @" + holder + " --kek @" + holder + ".kek --roots @roots.yaml --out @" + out + more
}

// sortKeys sorts neighbouring lines about keys: they come in the order of random ids.
func sortKeys(text string) string {
	lines := strings.Split(text, "\n")
	for from := 0; from < len(lines); from++ {
		to := from
		for to < len(lines) && strings.Contains(lines[to], "key KEY-") && !strings.HasPrefix(lines[to], "!") {
			to++
		}
		slices.Sort(lines[from:to])
		from = max(from, to-1)
	}
	return strings.Join(lines, "\n")
}

// TestDirectoryStory: the federation's office from the first version to a revocation, with two of three
// signatures; everything that it prints and refuses stands in the golden file.
func TestDirectoryStory(t *testing.T) {
	t.Parallel()
	o := newBureau(t)
	o.refuses("pause --draft @v1.json 110000", "init --draft @v1.json --days 0")
	o.must("init --draft @v1.json --days 100", "add-region --draft @v1.json --offer @110000.json --open",
		"add-region --draft @v1.json --offer @310000.json", "open-pair --draft @v1.json 310000 110000 --from 2026-12-01")
	o.refuses("init --draft @v1.json", "add-region --draft @v1.json --offer @310000.json",
		"open-pair --draft @v1.json 310000 350100", "open-pair --draft @v1.json 310000 110000 --until soon",
		"add-region --draft @v1.json --offer @v1.json", "publish @v1.json --roots @roots.yaml",
		"publish @v1.json --roots @roots.yaml --to @live.json", o.sign("v1.json", "x", "v1.signed", ""))
	o.must(o.sign("v1.json", "a", "v1.signed", ""))
	o.refuses("publish @v1.signed --roots @roots.yaml --to @live.json", "verify @v1.signed --roots @roots.yaml")
	o.must(o.sign("v1.signed", "c", "v1.signed", ""), "verify @v1.signed --roots @roots.yaml",
		"publish @v1.signed --roots @roots.yaml --to @live.json", "publish @v1.signed --roots @roots.yaml --to @live.json")

	o.now = o.now.AddDate(0, 0, 60)
	o.ring("110000", crypto.UseSign)
	o.offer("110000")
	key := o.names[len(o.names)-2]
	o.must("resume --draft @v2.json --previous @live.json 310000",
		"rotate --draft @v2.json --offer @110000.json --overlap 20",
		"renew --draft @v2.json --days 200", "revoke --draft @v2.json 110000 --key "+key,
		"close-pair --draft @v2.json 110000 310000", "pause --draft @v2.json 110000", "close-region --draft @v2.json 310000")
	o.refuses("revoke --draft @v2.json 110000 --key none", "revoke --draft @v2.json 110000",
		"pause --draft @v2.json 110000", "rotate --draft @v2.json --offer @110000.json",
		"close-pair --draft @v2.json 110000 350100", "revoke --draft @v2.json 350100 --all",
		o.sign("v2.json", "a", "v2.signed", ""))
	o.must(o.sign("v2.json", "b", "v2.signed", " --previous @live.json"),
		o.sign("v2.signed", "b", "v2.signed", " --previous @live.json"),
		o.sign("v2.signed", "a", "v2.signed", " --previous @live.json"),
		"show @v2.signed", "verify @v2.signed --roots @roots.yaml --previous @live.json",
		"publish @v2.signed --roots @roots.yaml --to @live.json")
	o.refuses("publish @v1.signed --roots @roots.yaml --to @live.json",
		"verify @v1.signed --roots @roots.yaml --previous @live.json")

	// Another second version, signed by two as well: it forks.
	o.must("renew --draft @fork.json --previous @v1.signed --days 10",
		o.sign("fork.json", "a", "fork.signed", " --previous @v1.signed"),
		o.sign("fork.signed", "b", "fork.signed", " --previous @v1.signed"))
	o.refuses("publish @fork.signed --roots @roots.yaml --to @live.json",
		"verify @fork.signed --roots @roots.yaml --previous @live.json")
	o.now = o.now.AddDate(1, 0, 0)
	o.refuses("verify @v2.signed --roots @roots.yaml", "publish @v2.signed --roots @roots.yaml --to @other.json",
		o.sign("v2.signed", "c", "v2.signed", " --previous @v1.signed"))

	got := sortKeys(strings.NewReplacer(o.names...).Replace(o.story.String()))
	path := filepath.Join("testdata", "directory.txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%v\n%s", err, got)
	}
}

// TestChangedSignedFile: no byte of a signed directory can be changed unseen.
func TestChangedSignedFile(t *testing.T) {
	t.Parallel()
	o := newBureau(t)
	o.must("init --draft @v1.json", "add-region --draft @v1.json --offer @110000.json",
		o.sign("v1.json", "a", "v1.signed", ""), o.sign("v1.signed", "b", "v1.signed", ""))
	signed, err := os.ReadFile(o.path("v1.signed"))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(signed); i += 37 {
		bent := []byte(string(signed))
		bent[i] ^= 1
		o.write("bent", string(bent))
		_, _, err := o.run("directory", "verify", o.path("bent"), "--roots", o.path("roots.yaml"))
		if !errors.Is(err, command.ErrRefused) {
			t.Errorf("byte %d: %v", i, err)
		}
	}
}

// TestPublishOnTheTopic: what is published stands on the topic once, what does not follow is not published.
func TestPublishOnTheTopic(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	o := newBureau(t)
	brokers := " --create-topic --brokers " + cluster.ListenAddrs()[0]
	o.must("init --draft @v1.json", "add-region --draft @v1.json --offer @110000.json",
		o.sign("v1.json", "a", "v1.signed", ""), o.sign("v1.signed", "b", "v1.signed", ""),
		"renew --draft @v2.json --previous @v1.signed", o.sign("v2.json", "a", "v2.signed", " --previous @v1.signed"),
		o.sign("v2.signed", "b", "v2.signed", " --previous @v1.signed"))
	o.refuses("publish @v2.signed --roots @roots.yaml" + brokers)
	o.must("publish @v1.signed --roots @roots.yaml"+brokers, "publish @v2.signed --roots @roots.yaml"+brokers)
	o.refuses("publish @v1.signed --roots @roots.yaml" + brokers)
	if out := o.story.String(); !strings.Contains(out, federation.DirectoryTopic+": version 2 is on the topic") {
		t.Error(out)
	}
	o.refuses("publish @v2.signed --roots @roots.yaml --user u --brokers " + net.JoinHostPort("127.0.0.1", "1"))
}
