package command

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/internal/auditlog"
)

type audit struct {
	Export auditExport `cmd:"" help:"Write the lines that a running region has into a file."`
	Show   auditShow   `cmd:"" help:"Read a file or folder in words."`
	Verify auditVerify `cmd:"" help:"Prove a file or folder, without a gateway: chain, numbers, signatures."`
}

type auditExport struct {
	remote

	From uint64 `default:"1" help:"Number of the first line."`
	Out  string `required:"" placeholder:"FILE" help:"The file; it must not exist."`
}

// Run writes the export.
func (e *auditExport) Run(ctx context.Context, p *Program) error {
	data, err := e.json(ctx, p, http.MethodGet, "/admin/v1/audit/log?from="+strconv.FormatUint(e.From, 10), nil)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(e.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

type auditShow struct {
	Path string `arg:"" help:"File, or folder of an archive."`
}

// Run prints a line for each line. It proves nothing: verify does.
func (s *auditShow) Run(p *Program) error {
	return eachFile(s.Path, func(_ string, r io.Reader) error {
		f, err := auditlog.NewReader(r)
		if err != nil {
			return err
		}
		for {
			item, more, err := f.Next()
			if err != nil || !more {
				return err
			}
			if item.Entry != nil {
				err = p.print("%s\n", inWords(item.Entry))
			} else {
				err = p.print("%d: checkpoint of region %q, signed %s with %q\n", item.Checkpoint.Number,
					item.Checkpoint.Region, when(item.Checkpoint.At), item.Checkpoint.KeyID)
			}
			if err != nil {
				return err
			}
		}
	})
}

// when is a time as it is in Beijing.
func when(t time.Time) string {
	return t.In(time.FixedZone("CST", 8*60*60)).Format("2006-01-02 15:04:05")
}

func inWords(e *auditlog.Entry) string {
	l := &e.Line
	var b strings.Builder
	fmt.Fprintf(&b, "%d: %s %q", e.Number, when(l.At), l.Event)
	if l.Operator != "" {
		fmt.Fprintf(&b, " by %q", l.Operator)
	}
	if l.Object != "" {
		fmt.Fprintf(&b, " on %q", l.Object)
	}
	if l.Result != "" {
		fmt.Fprintf(&b, ": %s", l.Result)
	}
	if l.Count > 1 {
		fmt.Fprintf(&b, ", %d times", l.Count)
	}
	for _, a := range l.Attrs {
		fmt.Fprintf(&b, " %s=%q", a.Name, a.Value)
	}
	return b.String()
}

// eachFile visits a file, or the files of an archive in the order of their numbers.
func eachFile(path string, visit func(name string, r io.Reader) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	files := []string{path}
	if info.IsDir() {
		if files, err = filepath.Glob(filepath.Join(path, "audit-*.jsonl")); err != nil {
			return err
		}
		slices.Sort(files)
		if len(files) == 0 {
			return fmt.Errorf("%w: %s has no files audit-*.jsonl", ErrUsage, path)
		}
	}
	for _, name := range files {
		f, err := os.Open(filepath.Clean(name))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUsage, err)
		}
		if err = errors.Join(visit(filepath.Base(name), f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

type auditVerify struct {
	Path       string   `arg:"" help:"File, or folder of an archive."`
	Directory  []string `required:"" placeholder:"FILE" help:"The federation's directory; older ones too."`
	Checkpoint string   `placeholder:"FILE" help:"A checkpoint kept elsewhere: it finds a cut end."`
	Root       []string `placeholder:"ID=BASE64" help:"Keys of the federation's root, to check directories."`
	Threshold  int      `default:"1" help:"How many roots must have signed."`
}

// Run proves the log, or names the first thing that is wrong.
func (a *auditVerify) Run(p *Program) error {
	suite := emm.New()
	keys, err := a.directories(p, suite)
	if err != nil {
		return err
	}
	v := &auditlog.Verifier{Hash: suite.Sum, Check: keys.check}
	newest, err := a.kept()
	if err != nil {
		return err
	}
	if err = eachFile(a.Path, v.File); err != nil {
		return a.refused(err)
	}
	r, err := v.End(newest)
	if err != nil {
		return a.refused(err)
	}
	return p.print("region %s, lines %d to %d, %d events, %d checkpoints, the newest of %s with %q; %d lines behind it\n"+
		"whole and signed / 完整且签名有效\n",
		r.Region, r.First, r.Last, r.Events, r.Checkpoints, when(r.Newest.At), r.Newest.KeyID, r.Unsigned())
}

// kept reads the checkpoint that was kept elsewhere; nil without one.
func (a *auditVerify) kept() (*auditlog.Checkpoint, error) {
	if a.Checkpoint == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	data, err := os.ReadFile(a.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	p, err := auditlog.DecodeCheckpoint(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUsage, a.Checkpoint, err)
	}
	return p, nil
}

func (a *auditVerify) refused(err error) error {
	if _, ok := errors.AsType[*auditlog.BrokenError](err); ok {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// memberKeys are the directories that signatures are held against.
type memberKeys struct {
	suite       crypto.Suite
	directories []*federation.Directory
}

// check finds the key in any of the directories. A key that was revoked later still signs what it signed before, as far
// as anybody can know: the checkpoint's own time is the signer's word.
func (k *memberKeys) check(p *auditlog.Checkpoint) error {
	for _, d := range k.directories {
		key, ok := d.Key(federation.Region(p.Region), p.KeyID)
		if !ok || key.Use != federation.UseSign || !key.ValidAt(p.At) {
			continue
		}
		v, err := k.suite.Verifier(crypto.Public(key.Public))
		if err == nil && v.Verify(p.Message(), p.Signature) == nil {
			return nil
		}
	}
	return crypto.ErrSignature
}

func (a *auditVerify) directories(p *Program, suite crypto.Suite) (*memberKeys, error) {
	roots := federation.Roots{Threshold: a.Threshold}
	for _, r := range a.Root {
		id, text, ok := strings.Cut(r, "=")
		public, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return nil, fmt.Errorf("%w: --root is ID=BASE64", ErrUsage)
		}
		roots.Keys = append(roots.Keys, federation.RootKey{ID: id, Public: public})
	}
	if len(a.Root) == 0 {
		_, _ = fmt.Fprintln(p.Stderr, "without --root the directory itself is taken as given / 未给出 --root,目录本身未经校验")
	}
	out := &memberKeys{suite: suite}
	for _, path := range a.Directory {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		var d *federation.Directory
		if len(a.Root) == 0 {
			d, err = federation.LoadDirectory(suite.Sum, data)
		} else {
			d, err = federation.ReadDirectory(checker{suite}, roots, data, nil)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRefused, path, err)
		}
		out.directories = append(out.directories, d)
	}
	return out, nil
}

// checker is a federation.Sealer that checks only: it has no key.
type checker struct{ suite crypto.Suite }

var _ federation.Sealer = checker{}

// Hash is SM3.
func (c checker) Hash(parts ...[]byte) [federation.HashSize]byte { return c.suite.Sum(parts...) }

// Verify checks a signature.
func (c checker) Verify(public, message, signature []byte) error {
	v, err := c.suite.Verifier(crypto.Public(public))
	if err != nil {
		return err
	}
	return v.Verify(message, signature)
}

// Sign, Seal and Open have no key to work with.
func (checker) Sign([]byte) (string, []byte, error) { return "", nil, crypto.ErrNoKey }

// Seal has no key.
func (checker) Seal(_, _, _ []byte) ([]byte, []byte, error) { return nil, nil, crypto.ErrNoKey }

// Open has no key.
func (checker) Open(_ string, _, _, _ []byte) ([]byte, error) { return nil, crypto.ErrNoKey }
