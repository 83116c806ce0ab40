package command_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/gateway/client"
	"gongji/gateway/command"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/simtest/regiontest"
)

// court is what a court is given of a running federation: a bundle, folders of archives, and directories.
type court struct {
	t         *testing.T
	bundle    string
	body      string
	key       string // of the platform
	archives  map[string]string
	trust     []string // the directory of the time, and the root
	later     []string // with the version that revokes everybody's keys behind it
	afterward []string // that version alone
}

// hearing runs a federation in virtual time in which a hospital's signed requests are paid from Beijing, and gives what
// is left of it.
func hearing(t *testing.T, act func(c *court)) {
	t.Helper()
	c := &court{t: t, archives: map[string]string{}}
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{Archives: filepath.Join(folder, "archives"), ArchiveKeep: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		synctest.Wait()
		<-time.After(2 * time.Second)
		sh, bj := f.Regions[regiontest.Shanghai], f.Regions[regiontest.Beijing]
		payer := regiontest.Employee(string(regiontest.Beijing), "王建国", 1, 1_000_000)
		child := regiontest.Resident(string(regiontest.Beijing), "王小明", 2)
		if err := bj.Open(t.Context(), payer, child); err != nil {
			t.Fatal(err)
		}
		if _, err := bj.Grant(t.Context(), payer, child); err != nil {
			t.Fatal(err)
		}
		hospital, err := sh.Platform(t.Context(), "hospital")
		if err != nil {
			t.Fatal(err)
		}
		c.key = hospital.KeyID + "=" + base64.StdEncoding.EncodeToString(hospital.Key.Public())
		for _, visit := range []string{"v-1", "v-2", "v-3"} {
			c.pays(t, sh, hospital, sh.PaymentRequest(child, visit, "100.00"))
			<-time.After(30 * time.Second)
		}
		synctest.Wait()
		for _, r := range []*regiontest.Region{sh, bj} {
			c.archives[string(r.Code)] = f.ArchiveDir(r, r.Node)
		}
		root := f.Roots.Keys[0].ID + "=" + base64.StdEncoding.EncodeToString(f.Roots.Keys[0].Public)
		first := file(t, "directory-1.json", string(f.Directory.Signed()))
		c.trust = []string{"--root", root, "--directory", first}
		for i := range f.Data.Members {
			f.Data.Members[i].Keys = slices.Clone(f.Data.Members[i].Keys)
			for k := range f.Data.Members[i].Keys {
				f.Data.Members[i].Keys[k].Revoked = true
			}
		}
		if err := f.Redirect(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := file(t, "directory-2.json", string(f.Directory.Signed()))
		c.later = append(slices.Clone(c.trust), "--directory", second)
		c.afterward = []string{"--root", root, "--directory", second}
		act(c)
	})
}

// pays makes and confirms a payment, and keeps its bundle and the body of its request.
func (c *court) pays(t *testing.T, sh *regiontest.Region, hospital *regiontest.Platform, f client.PaymentRequest) {
	t.Helper()
	body, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	key, err := hospital.Request("POST", "/v1/payments", body)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := sh.Desk.CreatePayment(t.Context(), key, f)
	if err != nil {
		t.Fatal(err)
	}
	key, err = hospital.Request("POST", "/v1/payments/"+p.PaymentID+"/confirm?wait=5", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err = sh.Desk.Confirm(t.Context(), key, p.PaymentID, nil, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Second)
	data, err := sh.Desk.Evidence(t.Context(), "hospital", p.PaymentID)
	if err != nil {
		t.Fatal(err)
	}
	c.bundle, c.body = file(t, "bundle.json", string(data)), file(t, "body.json", string(body))
}

// check runs `gateway evidence …` and compares the exit status.
func (c *court) check(status int, args ...string) string {
	c.t.Helper()
	out, wrong, err := run(c.t, append([]string{"evidence"}, args...)...)
	if got := command.Status(err); got != status {
		c.t.Errorf("%q: status %d, want %d: %s%s %v", args, got, status, out, wrong, err)
	}
	return out + wrong
}

func (c *court) verify(status int, path string, flags ...string) string {
	c.t.Helper()
	return c.check(status, append([]string{"verify", path}, flags...)...)
}

// TestEvidenceVerify: the command says offline who asked whom for what and when, in both languages, and its exit status
// tells what is good, what was changed, what is good with a doubt, and what the directories cannot answer for.
func TestEvidenceVerify(t *testing.T) {
	hearing(t, func(c *court) {
		text := c.verify(command.StatusGood, c.bundle, c.trust...)
		for _, want := range []string{
			"platform hospital asked 310000 at 2000-01-01T", "to begin this payment (POST /v1/payments)", "to confirm it (POST",
			"平台 hospital 于 2000-01-01T", "发起支付（POST /v1/payments）", "key key-hospital as 310000 registered it",
			"110000 told 310000: holds 100.00", "110000 acknowledged what 310000 had told it: asks to hold 100.00",
			"110000 告知 310000：已为", "2 requests of platforms",
		} {
			if !strings.Contains(text, want) {
				c.t.Errorf("it does not say %q:\n%s", want, text)
			}
		}
		if strings.Contains(text, "王小明") || strings.Contains(text, "王建国") {
			c.t.Error("a person is named")
		}
		if zh := c.verify(command.StatusGood, c.bundle, append(c.trust, "--lang", "zh")...); strings.Contains(zh, " told ") {
			c.t.Error("English in Chinese")
		}
		text = c.verify(command.StatusGood, c.bundle, append(c.trust, "--platform", c.key, "--body", c.body)...)
		for _, want := range []string{"which is the one given as the platform's", "with the body that was shown"} {
			if !strings.Contains(text, want) {
				c.t.Errorf("no %q in %s", want, text)
			}
		}
		other := "key-hospital=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{4}, 65))
		c.verify(command.StatusRefused, c.bundle, append(c.trust, "--platform", other)...)
		if text = c.verify(command.StatusDoubtful, c.bundle, c.later...); !strings.Contains(text, "! ") {
			c.t.Error(text)
		}
		if text = c.verify(command.StatusUnjudged, c.bundle, c.afterward...); !strings.Contains(text, "cannot be judged") {
			c.t.Error(text)
		}
		c.verify(command.StatusUnjudged, c.bundle, "--directory", c.trust[3], "--root", c.key)
		c.verify(command.StatusUsage, c.bundle, "--directory", c.trust[3])
		c.verify(command.StatusUsage, c.bundle, append(c.trust, "--platform", "x")...)
		c.verify(command.StatusRefused, filepath.Join(c.t.TempDir(), "none"), c.trust...)
		c.documents()
		c.flipped()
	})
}

// documents are the JSON of each verdict.
func (c *court) documents() {
	c.t.Helper()
	for _, x := range []struct {
		flags   []string
		verdict string
		status  int
	}{
		{c.trust, "good", command.StatusGood},
		{c.later, "doubtful", command.StatusDoubtful},
		{c.afterward, "unjudged", command.StatusUnjudged},
	} {
		var d struct {
			Verdict, Subject, Problem string
			Requests                  int
			Lines, Doubts             []struct{ ZH, EN string }
		}
		text := c.verify(x.status, c.bundle, append(slices.Clone(x.flags), "--json")...)
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			c.t.Fatalf("%v: %s", err, text)
		}
		unjudged := x.verdict == "unjudged"
		if d.Verdict != x.verdict || unjudged != (d.Problem != "") || unjudged != (len(d.Lines) == 0) ||
			(x.verdict == "doubtful") != (len(d.Doubts) > 0) {
			c.t.Errorf("%s: %+v", x.verdict, d)
		}
	}
}

// flipped: whatever byte of the file is changed, the command refuses it. Every byte is tried in package desk.
func (c *court) flipped() {
	c.t.Helper()
	good, err := os.ReadFile(c.bundle)
	if err != nil {
		c.t.Fatal(err)
	}
	bad := filepath.Join(c.t.TempDir(), "bad.json")
	for i := 0; i < len(good); i += max(1, len(good)/60) {
		data := slices.Clone(good)
		data[i] ^= 1 << (i % 7)
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			c.t.Fatal(err)
		}
		if text := c.verify(command.StatusRefused, bad, c.trust...); !strings.Contains(text, "不成立 / not good") {
			c.t.Errorf("byte %d: %s", i, text)
		}
	}
}

// folder is a copy of Shanghai's archives, without their indexes.
func (c *court) folder() string {
	c.t.Helper()
	dir := c.t.TempDir()
	list, err := os.ReadDir(c.archives["310000"])
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range list {
		if !strings.HasSuffix(e.Name(), ".index") {
			c.copy(filepath.Join(c.archives["310000"], e.Name()), filepath.Join(dir, e.Name()))
		}
	}
	return dir
}

func (c *court) copy(from, to string) {
	c.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// newest is the number of the last archive of a folder.
func (c *court) newest(dir string) uint64 {
	c.t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*.archive"))
	if err != nil || len(list) < 3 {
		c.t.Fatal(list, err)
	}
	return uint64(len(list))
}

// TestEvidenceVerifyArchive: a folder of archives is checked alone; a file that is missing in the middle, swapped, cut
// short, of another region or made up is found and named, and what does not belong there is told.
func TestEvidenceVerifyArchive(t *testing.T) {
	hearing(t, func(c *court) {
		verify := func(status int, dir string, flags ...string) string {
			c.t.Helper()
			return c.check(status, append([]string{"verify-archive", dir}, flags...)...)
		}
		dir := c.folder()
		last := c.newest(dir)
		in := func(dir, name string) string { return filepath.Join(dir, name) }
		text := verify(command.StatusGood, dir, c.trust...)
		if !strings.Contains(text, "of 310000") || !strings.Contains(text, " 6 requests of platforms") {
			c.t.Error(text)
		}
		if text = verify(command.StatusGood, dir); !strings.Contains(text, "no signature of a region") {
			c.t.Error(text)
		}
		verify(command.StatusDoubtful, dir, c.later...)
		verify(command.StatusUnjudged, dir, c.afterward...)
		text = verify(command.StatusGood, dir, append(c.trust, "--json")...)
		if !strings.Contains(text, `"verdict": "good"`) {
			c.t.Error(text)
		}
		verify(command.StatusRefused, c.t.TempDir(), c.trust...) // there is none
		second := evidence.ArchiveName(2)
		tail := evidence.ArchiveName(last)
		next := evidence.ArchiveName(last + 1)
		seal := in(c.t.TempDir(), "seal")
		c.copy(in(dir, evidence.SealName(last)), seal)
		for what, x := range map[string]struct {
			damage func(dir string)
			named  string
		}{
			"missing in the middle": {func(d string) { c.remove(in(d, second), in(d, evidence.SealName(2))) }, second},
			"missing seal":          {func(d string) { c.remove(in(d, evidence.SealName(2))) }, evidence.SealName(2)},
			"swapped": {func(d string) {
				c.copy(in(dir, evidence.ArchiveName(1)), in(d, second))
				c.copy(in(dir, second), in(d, evidence.ArchiveName(1)))
			}, evidence.ArchiveName(1)},
			"swapped with the seals": {func(d string) {
				c.copy(in(dir, evidence.ArchiveName(1)), in(d, second))
				c.copy(in(dir, evidence.SealName(1)), in(d, evidence.SealName(2)))
			}, second},
			"cut short":    {func(d string) { c.cut(in(d, tail)) }, tail},
			"missing tail": {func(d string) { c.remove(in(d, tail), in(d, evidence.SealName(last))) }, "the tail is missing"},
			"of another region": {func(d string) {
				c.copy(in(c.archives["110000"], second), in(d, second))
				c.copy(in(c.archives["110000"], evidence.SealName(2)), in(d, evidence.SealName(2)))
			}, second},
			"one too many":   {func(d string) { c.copy(in(dir, second), in(d, next)) }, next},
			"a seal alone":   {func(d string) { c.copy(seal, in(d, evidence.SealName(last+1))) }, next},
			"a strange name": {func(d string) { c.copy(in(dir, second), in(d, "2.archive")) }, "2.archive"},
			"a changed seal": {func(d string) { c.cut(in(d, evidence.SealName(2))) }, evidence.SealName(2)},
			"a changed byte": {func(d string) { c.flip(in(d, second)) }, second},
		} {
			bad := c.folder()
			x.damage(bad)
			text := verify(command.StatusRefused, bad, append(c.trust, "--checkpoint", seal)...)
			if !strings.Contains(text, x.named) || !strings.Contains(text, "不成立 / not good") {
				c.t.Errorf("%s: %s", what, text)
			}
		}
		if err := os.WriteFile(in(dir, "notes.txt"), nil, 0o600); err != nil {
			c.t.Fatal(err)
		}
		text = verify(command.StatusGood, dir, c.trust...)
		if !strings.Contains(text, "not a part of it / 不属于档案: notes.txt") {
			c.t.Error(text)
		}
	})
}

func (c *court) remove(names ...string) {
	c.t.Helper()
	for _, n := range names {
		if err := os.Remove(n); err != nil {
			c.t.Fatal(err)
		}
	}
}

// change writes a file anew as change leaves it.
func (c *court) change(name string, change func([]byte) []byte) {
	c.t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(data), 0o600)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *court) cut(name string) { c.change(name, func(b []byte) []byte { return b[:len(b)*2/3] }) }

func (c *court) flip(name string) {
	c.change(name, func(b []byte) []byte {
		b[len(b)/2] ^= 1
		return b
	})
}
