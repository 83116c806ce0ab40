package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
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

// Errors of the checks of evidence.
var (
	// ErrDoubtful: everything verifies, and there is a doubt: a key that signed was revoked afterwards, or the bundle was
	// made without some archive.
	ErrDoubtful = errors.New("command: good, with a doubt: a key was revoked afterwards, or an archive was missing")
	// ErrUnjudged: nothing is known to be wrong, and no directory that was given answers for a signature.
	ErrUnjudged = errors.New("command: cannot be judged with the directories that were given")
)

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
	JSON      bool     `help:"One JSON document instead of text. verdict: good, doubtful, bad or unjudged."`
}

// idKey reads an ID=KEY of the command line.
func idKey(flag, text string) (string, []byte, error) {
	id, key, ok := strings.Cut(text, "=")
	public, err := base64.StdEncoding.DecodeString(key)
	if !ok || err != nil {
		return "", nil, fmt.Errorf("%w: %s is ID=KEY with the key in base64, as in a configuration", ErrUsage, flag)
	}
	return id, public, nil
}

// directories reads the directories and checks their own signatures.
func (t *believed) directories(s federation.Sealer) (*evidence.Directories, error) {
	roots := federation.Roots{Threshold: t.Threshold}
	for _, r := range t.Root {
		id, public, err := idKey("--root", r)
		if err != nil {
			return nil, err
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
			return nil, fmt.Errorf("%w: %s: %w", ErrUnjudged, path, err)
		}
		list = append(list, d)
	}
	dirs, err := evidence.NewDirectories(list...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnjudged, err)
	}
	return dirs, nil
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

// verdictOf is what a check came to: its word, and the error that makes the exit status.
func verdictOf(err error, doubts int) (string, error) {
	switch {
	case errors.Is(err, evidence.ErrDirectories), errors.Is(err, ErrUnjudged):
		return "unjudged", ErrUnjudged
	case err != nil:
		return "bad", ErrRefused
	case doubts > 0:
		return "doubtful", ErrDoubtful
	}
	return "good", nil
}

// tellWrong says in both languages why something is not good.
func (p *Program) tellWrong(path, verdict string, err error) {
	what := "不成立 / not good"
	if verdict == "unjudged" {
		what = "无法判定 / cannot be judged"
	}
	_, _ = fmt.Fprintf(p.Stderr, "%s: %s: %v\n", path, what, err)
}

// printJSON prints what a check found as one document.
func (p *Program) printJSON(document map[string]any, path, verdict string, err error) error {
	document["file"], document["verdict"] = path, verdict
	if err != nil {
		document["problem"] = err.Error()
	}
	data, failed := json.MarshalIndent(document, "", "  ")
	if failed != nil {
		return failed
	}
	return p.print("%s\n", data)
}

// linesJSON are sentences as a document has them.
func linesJSON(lines []evidence.Line) []map[string]string {
	out := []map[string]string{}
	for _, l := range lines {
		out = append(out, map[string]string{
			"time": l.Time.Format(time.RFC3339Nano), "region": l.Region, "zh": l.ZH, "en": l.EN,
		})
	}
	return out
}

type verifyBundle struct {
	believed

	File     string   `arg:"" help:"What GET /v1/payments/{id}/evidence gave; -: standard input."`
	Platform []string `placeholder:"ID=KEY" help:"A platform's key, from the platform: it must have signed its requests."`
	Body     []string `placeholder:"FILE" help:"Body of a request that somebody shows: is it the one that was signed?"`
	Person   string   `placeholder:"TYPE:NUMBER:NAME:REGION" help:"Is it this person whom the bundle is about?"`
	Lang     string   `enum:"both,zh,en" default:"both" help:"Language: both, zh or en."`
}

// Run checks the bundle and prints what it proves. Errors: ErrRefused for one that is not good, ErrDoubtful,
// ErrUnjudged, ErrUsage, those of files.
func (e *verifyBundle) Run(p *Program) error {
	v, err := e.verifier()
	if err != nil {
		return err
	}
	data, err := readWhole(e.File, evidence.BundleMax)
	if err != nil {
		return err
	}
	r, wrong := v.Verify(data)
	if r == nil {
		r = &evidence.Report{}
	}
	verdict, result := verdictOf(wrong, len(r.Doubts))
	switch {
	case e.JSON:
		err = e.document(p, r, verdict, wrong)
	case wrong != nil:
		p.tellWrong(e.File, verdict, wrong)
	default:
		err = e.tell(p, r)
	}
	return errors.Join(err, result)
}

// verifier is made of the flags.
func (e *verifyBundle) verifier() (*evidence.Verifier, error) {
	v := &evidence.Verifier{Sealer: checker{emm.New()}, Platforms: map[string][]byte{}}
	var err error
	if v.Directories, err = e.directories(v.Sealer); err != nil {
		return nil, err
	}
	for _, text := range e.Platform {
		id, public, err := idKey("--platform", text)
		if err != nil {
			return nil, err
		}
		v.Platforms[id] = public
	}
	for _, path := range e.Body {
		body, err := readWhole(path, 1<<20)
		if err != nil {
			return nil, err
		}
		v.Bodies = append(v.Bodies, body)
	}
	if e.Person != "" {
		parts := strings.SplitN(e.Person, ":", 4)
		if len(parts) != 4 {
			return nil, fmt.Errorf("%w: --person is TYPE:NUMBER:NAME:REGION, as 01:110101199001011237:张三:110000", ErrUsage)
		}
		v.Person = &vault.Identity{IDType: parts[0], Number: parts[1], Name: parts[2], Region: parts[3]}
	}
	return v, nil
}

func (e *verifyBundle) document(p *Program, r *evidence.Report, verdict string, wrong error) error {
	d := map[string]any{}
	if wrong == nil {
		d = map[string]any{
			"subject": r.Subject, "region": r.Region, "prepared": r.Prepared.Format(time.RFC3339Nano),
			"proofs": r.Proofs, "receipts": r.Receipts, "requests": r.Requests, "bodies": r.Bodies,
			"persons": r.Persons, "persons_all": r.PersonsAll, "lines": linesJSON(r.Lines), "doubts": linesJSON(r.Doubts),
		}
	}
	return p.printJSON(d, e.File, verdict, wrong)
}

func (e *verifyBundle) tell(p *Program, r *evidence.Report) error {
	err := p.print("%s: ok: %s, prepared by %s at %s: %d signed messages, %d receipts, %d requests of platforms\n", e.File,
		r.Subject, r.Region, r.Prepared.Format(time.RFC3339), r.Proofs, r.Receipts, r.Requests)
	for _, l := range r.Lines {
		err = errors.Join(err, e.line(p, "", l))
	}
	if e.Person != "" {
		err = errors.Join(err, p.print("person / 人员: %d of %d messages are about this person / %d 条报文中 %d 条与该人员相符\n",
			r.Persons, r.PersonsAll, r.PersonsAll, r.Persons))
	}
	if len(e.Body) > 0 {
		err = errors.Join(err, p.print("body / 请求体: %d of %d requests were signed with what is shown / %d 个请求中 %d 个与所出示者相符\n",
			r.Bodies, r.Requests, r.Requests, r.Bodies))
	}
	for _, l := range r.Doubts {
		err = errors.Join(err, e.line(p, "! ", l))
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
