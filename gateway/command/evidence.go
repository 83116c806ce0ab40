package command

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/vault"
)

// ErrDoubtful: everything verifies, but a key that signed was revoked afterwards.
var ErrDoubtful = errors.New("command: good, but signed with a key that was revoked afterwards")

// proofs are the commands about evidence. They need no running region and no network.
type proofs struct {
	Verify        verifyBundle  `cmd:"" help:"Check a bundle offline and say in words what it proves."`
	VerifyArchive verifyArchive `cmd:"" help:"Check a folder of archives: chain, signatures, and that nothing is missing."`
}

// believed is what a check goes by.
type believed struct {
	Directory []string `placeholder:"FILE" help:"Signed directory; give every version, since keys rotate."`
	Root      []string `placeholder:"ID=KEY" help:"Root key that the directories are signed with, base64 of 04|x|y."`
	Threshold int      `default:"1" help:"How many of the roots must have signed."`
}

// directories reads the directories and checks their own signatures.
func (t *believed) directories(s federation.Sealer) (*evidence.Directories, error) {
	roots := federation.Roots{Threshold: t.Threshold}
	for _, r := range t.Root {
		id, key, ok := strings.Cut(r, "=")
		public, err := base64.StdEncoding.DecodeString(key)
		if !ok || err != nil {
			return nil, fmt.Errorf("%w: --root is ID=KEY with the key in base64, as in a configuration's directory.roots",
				ErrUsage)
		}
		roots.Keys = append(roots.Keys, federation.RootKey{ID: id, Public: public})
	}
	if len(t.Directory) == 0 || len(t.Root) == 0 {
		return nil, fmt.Errorf("%w: --directory FILE and --root ID=KEY say whom to believe", ErrUsage)
	}
	list := make([]*federation.Directory, 0, len(t.Directory))
	for _, path := range t.Directory {
		data, err := readWhole(path, federation.DirectoryMax)
		if err != nil {
			return nil, err
		}
		d, err := federation.ReadDirectory(s, roots, bytes.TrimSpace(data), nil)
		if err != nil {
			return nil, fmt.Errorf("command: %s: %w", path, err)
		}
		list = append(list, d)
	}
	return evidence.NewDirectories(list...)
}

// readWhole reads a file, or the standard input for "-", of at most limit bytes.
func readWhole(path string, limit int64) ([]byte, error) {
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("command: %s has more than %d bytes", path, limit)
	}
	return data, err
}

type verifyBundle struct {
	believed

	File   string `arg:"" help:"What GET /v1/payments/{id}/evidence gave; -: standard input."`
	Person string `placeholder:"TYPE:NUMBER:NAME:REGION" help:"Is it this person whom the bundle is about?"`
	Lang   string `enum:"both,zh,en" default:"both" help:"Language: both, zh or en."`
}

// Run checks the bundle and prints what it proves. Errors: ErrRefused for one that is not good, ErrDoubtful.
func (e *verifyBundle) Run(p *Program) error {
	s := checker{emm.New()}
	dirs, err := e.directories(s)
	if err != nil {
		return err
	}
	data, err := readWhole(e.File, evidence.BundleMax)
	if err != nil {
		return err
	}
	v := &evidence.Verifier{Sealer: s, Directories: dirs}
	if e.Person != "" {
		parts := strings.SplitN(e.Person, ":", 4)
		if len(parts) != 4 {
			return fmt.Errorf("%w: --person is TYPE:NUMBER:NAME:REGION, as 01:110101199001011237:张三:110000", ErrUsage)
		}
		v.Person = &vault.Identity{IDType: parts[0], Number: parts[1], Name: parts[2], Region: parts[3]}
	}
	r, err := v.Verify(data)
	if err != nil {
		_, _ = fmt.Fprintf(p.Stderr, "%s: 不成立 / not good: %v\n", e.File, err)
		return ErrRefused
	}
	return e.tell(p, r)
}

func (e *verifyBundle) tell(p *Program, r *evidence.Report) error {
	err := p.print("%s: ok: %s, prepared by %s at %s: %d signed messages, %d receipts\n", e.File, r.Subject, r.Region,
		r.Prepared.Format(time.RFC3339), r.Proofs, r.Receipts)
	for _, l := range r.Lines {
		err = errors.Join(err, e.line(p, "", l))
	}
	if e.Person != "" {
		err = errors.Join(err, p.print("person / 人员: %d of %d messages are about this person / %d 条报文中 %d 条与该人员相符\n",
			r.Persons, r.PersonsAll, r.PersonsAll, r.Persons))
	}
	for _, l := range r.Doubts {
		err = errors.Join(err, e.line(p, "! ", l))
	}
	if err == nil && len(r.Doubts) > 0 {
		return ErrDoubtful
	}
	return err
}

func (e *verifyBundle) line(p *Program, mark string, l evidence.Line) error {
	at := l.Time.Format(time.RFC3339)
	var err error
	if e.Lang != "en" {
		err = p.print("%s%s %s\n", mark, at, l.ZH)
	}
	if e.Lang != "zh" {
		err = errors.Join(err, p.print("%s%s %s\n", mark, at, l.EN))
	}
	return err
}

type verifyArchive struct {
	believed

	Dir        string `arg:"" help:"Folder of archives: NNNNNNNN.archive and .seal."`
	Checkpoint string `placeholder:"FILE" help:"Seal that was kept elsewhere: the folder must reach it."`
}

// Run checks the folder. Without directories the digests are checked and no signature.
func (a *verifyArchive) Run(p *Program) error {
	v := &evidence.ArchiveVerifier{Sealer: checker{emm.New()}}
	if len(a.Directory) > 0 {
		dirs, err := a.directories(v.Sealer)
		if err != nil {
			return err
		}
		v.Directories = dirs
	}
	if a.Checkpoint != "" {
		if err := a.checkpoint(v); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return err
	}
	r, err := v.Verify(root)
	err = errors.Join(err, root.Close())
	if err != nil {
		_, _ = fmt.Fprintf(p.Stderr, "%s: 不成立 / not good: %v\n", a.Dir, err)
		return ErrRefused
	}
	what := "digests and " + fmt.Sprint(r.Signatures) + " signatures"
	if v.Directories == nil {
		what = "digests alone, no signature: give --directory and --root"
	}
	err = p.print("%s: ok: archives %d to %d of %s, %d records, %d seals; checked %s; newest %s\n", a.Dir, r.First, r.Last,
		r.Region, r.Records, r.Seals, what, r.Digest)
	if r.Unsealed {
		err = errors.Join(err, p.print("the newest is not sealed yet / 最新一份尚未封存\n"))
	}
	return err
}

func (a *verifyArchive) checkpoint(v *evidence.ArchiveVerifier) error {
	data, err := readWhole(a.Checkpoint, 1<<16)
	if err != nil {
		return err
	}
	if v.Checkpoint, err = evidence.DecodeSeal(data); err != nil {
		return err
	}
	if v.Directories != nil {
		return evidence.CheckSeal(v.Sealer, v.Directories, v.Checkpoint)
	}
	return nil
}
