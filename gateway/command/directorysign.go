package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/federation/root"
	"gongji/gateway/config"
)

// directoryChecker is the half of a federation.Sealer that an office needs: it verifies, and has no keys.
type directoryChecker struct{ crypto.Suite }

var errNoKeys = errors.New("command: this has no keys")

func (c directoryChecker) Hash(parts ...[]byte) [federation.HashSize]byte { return c.Sum(parts...) }

func (c directoryChecker) Verify(public, message, signature []byte) error {
	v, err := c.Verifier(public)
	if err != nil {
		return err
	}
	return v.Verify(message, signature)
}

func (directoryChecker) Sign([]byte) (string, []byte, error) { return "", nil, errNoKeys }

func (directoryChecker) Seal(_, _, _ []byte) ([]byte, []byte, error) { return nil, nil, errNoKeys }

func (directoryChecker) Open(string, []byte, []byte, []byte) ([]byte, error) { return nil, errNoKeys }

func newDirectoryChecker() directoryChecker { return directoryChecker{emm.New()} }

// readDirectory reads a directory for its content; its signatures are not looked at.
func readDirectory(path string) (*federation.Directory, error) {
	signed, err := readFile(path, federation.DirectoryMax)
	if err != nil {
		return nil, err
	}
	d, err := federation.LoadDirectory(newDirectoryChecker().Hash, signed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// readRoots reads the roots' file: threshold and roots as in a node's configuration.
func readRoots(path string) (federation.Roots, error) {
	var out federation.Roots
	text, err := readFile(path, config.FileMax)
	if err != nil {
		return out, err
	}
	var file struct {
		Threshold int `yaml:"threshold"`
		Roots     []struct {
			ID     string `yaml:"id"`
			Public []byte `yaml:"-"`
			Base64 string `yaml:"public"`
		} `yaml:"roots"`
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err = d.Decode(&file); err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	out.Threshold = file.Threshold
	for _, r := range file.Roots {
		public, failed := decodeBase64(r.Base64)
		if failed != nil {
			return out, fmt.Errorf("%s: root %s: %w", path, r.ID, failed)
		}
		out.Keys = append(out.Keys, federation.RootKey{ID: r.ID, Public: public})
	}
	if err = out.Check(); err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

type sign struct {
	File string `arg:"" help:"A draft, or a directory that others have signed."`
	ringFlags

	Key      string `placeholder:"ID" help:"The key of the ring; the newest if left out."`
	Roots    string `required:"" placeholder:"FILE" help:"The roots' file: threshold, and roots with id and public."`
	Previous string `placeholder:"FILE" help:"The directory in force; needed from version 2 on."`
	Out      string `required:"" placeholder:"FILE" help:"Where the signed directory is written."`
}

// Run signs, and says how many have signed.
func (c *sign) Run(p *Program) error {
	roots, err := readRoots(c.Roots)
	if err != nil {
		return err
	}
	envelope, err := c.envelope()
	if err != nil {
		return err
	}
	s := newDirectoryChecker()
	d, err := federation.LoadDirectory(s.Hash, envelope)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	before, err := c.follows(s, roots, d, p.now())
	if err != nil {
		return err
	}
	if err = p.judge(c.File, d, before); err != nil {
		return err
	}
	for _, l := range append(root.Head(d.Data(), p.now()), root.Changes(before, d.Data())...) {
		if err = p.print("%s\n", l); err != nil {
			return err
		}
	}
	signed, id, err := c.signWith(s, envelope)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(roots.Keys, func(k federation.RootKey) bool { return k.ID == id }) {
		return fmt.Errorf("key %s is none of the roots in %s: nothing was written", id, c.Roots)
	}
	good, err := federation.DirectorySigners(s, roots, signed)
	if err != nil {
		return err
	}
	if !slices.Contains(good, id) {
		return fmt.Errorf("key %s is not the one that %s lists under that id: nothing was written", id, c.Roots)
	}
	if err = replaceFile(c.Out, signed); err != nil {
		return err
	}
	return p.print("%s: signed by %s: %d of %d signatures; %s\n", c.Out, strings.Join(good, ", "), len(good),
		roots.Threshold, enough(len(good), roots.Threshold))
}

func enough(good, threshold int) string {
	if good >= threshold {
		return "it can be published / 签名已足，可以发布"
	}
	return fmt.Sprintf("%d more must sign / 尚缺 %d 个签名", threshold-good, threshold-good)
}

// envelope is the file as it is, or a draft put into its signed form without signatures.
func (c *sign) envelope() ([]byte, error) {
	text, err := readFile(c.File, draftMax)
	if err != nil {
		return nil, err
	}
	if _, err = federation.LoadDirectory(newDirectoryChecker().Hash, text); err == nil {
		return text, nil
	}
	d, err := root.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a signed directory nor a draft: %w", c.File, err)
	}
	envelope, err := federation.SignDirectory(d)
	if err != nil {
		return nil, fmt.Errorf("%s: the draft does not fit together: %w", c.File, err)
	}
	return envelope, nil
}

// follows checks that nobody signs what cannot be published, and returns what went before.
func (c *sign) follows(
	s directoryChecker, roots federation.Roots, d *federation.Directory, now time.Time,
) (federation.DirectoryData, error) {
	if d.Expired(now) {
		return federation.DirectoryData{}, fmt.Errorf("%s has expired: renew it", c.File)
	}
	if c.Previous == "" {
		if d.Version() > 1 {
			return federation.DirectoryData{}, errors.New("version 2 and above: name the directory in force with --previous")
		}
		return federation.DirectoryData{}, nil
	}
	signed, err := readFile(c.Previous, federation.DirectoryMax)
	if err != nil {
		return federation.DirectoryData{}, err
	}
	previous, err := federation.ReadDirectory(s, roots, signed, nil)
	if err != nil {
		return federation.DirectoryData{}, fmt.Errorf("%s: %w", c.Previous, err)
	}
	return previous.Data(), next(d, previous)
}

// next is stricter than Follows: an office leaves no version out.
func next(d, previous *federation.Directory) error {
	if previous == nil {
		if d.Version() != 1 {
			return fmt.Errorf("version %d needs version %d before it", d.Version(), d.Version()-1)
		}
		return nil
	}
	if d.Version() != previous.Version()+1 {
		return fmt.Errorf("version %d cannot follow version %d: begin the draft anew from the directory in force",
			d.Version(), previous.Version())
	}
	if err := d.Follows(previous); err != nil {
		return fmt.Errorf("it names another version %d before it than this one: begin the draft anew: %w",
			previous.Version(), err)
	}
	return nil
}

func (c *sign) signWith(s directoryChecker, envelope []byte) ([]byte, string, error) {
	var signed []byte
	id := c.Key
	err := c.with(func(ring *keyfile.Ring) error {
		var err error
		if id == "" {
			if id, err = ring.Current(crypto.UseSign); err != nil {
				return fmt.Errorf("the ring has no signing key: make one with root-key: %w", err)
			}
		}
		signed, err = federation.CountersignDirectory(s.Hash, envelope, func(message []byte) (string, []byte, error) {
			signature, failed := ring.Sign(id, message)
			return id, signature, failed
		})
		return err
	})
	return signed, id, err
}

type showSigned struct {
	File string `arg:"" help:"A draft or a directory."`
	JSON bool   `help:"Print all of it as JSON."`
}

// Run says what a directory says.
func (c *showSigned) Run(p *Program) error {
	text, err := readFile(c.File, draftMax)
	if err != nil {
		return err
	}
	var data federation.DirectoryData
	if d, failed := federation.LoadDirectory(newDirectoryChecker().Hash, text); failed == nil {
		data = d.Data()
	} else if data, err = root.Decode(text); err != nil {
		return fmt.Errorf("%s is neither a signed directory nor a draft: %w", c.File, err)
	}
	if c.JSON {
		all, failed := root.Encode(data)
		if failed != nil {
			return failed
		}
		return p.print("%s", all)
	}
	content := root.Changes(federation.DirectoryData{}, data)
	lines := slices.Concat(root.Head(data, p.now()), content, root.Ends(data, p.now()))
	for _, l := range lines {
		if err = p.print("%s\n", l); err != nil {
			return err
		}
	}
	return nil
}

type verify struct {
	File     string `arg:"" help:"A signed directory."`
	Roots    string `required:"" placeholder:"FILE" help:"The roots' file."`
	Previous string `placeholder:"FILE" help:"The directory before it."`
}

// Run verifies as a region would.
func (c *verify) Run(p *Program) error {
	roots, err := readRoots(c.Roots)
	if err != nil {
		return err
	}
	signed, err := readFile(c.File, federation.DirectoryMax)
	if err != nil {
		return err
	}
	s := newDirectoryChecker()
	var previous *federation.Directory
	var before federation.DirectoryData
	if c.Previous != "" {
		if previous, err = readDirectory(c.Previous); err != nil {
			return err
		}
		before = previous.Data()
	}
	d, err := federation.ParseDirectory(s, roots, signed, previous, p.now())
	if err != nil {
		good, _ := federation.DirectorySigners(s, roots, signed) // none where the form is bad
		_, _ = fmt.Fprintf(p.Stderr, "%s: refused / 不予采用: %v; good signatures / 有效签名: %d of %d\n",
			c.File, err, len(good), roots.Threshold)
		return ErrRefused
	}
	if err = p.judge(c.File, d, before); err != nil {
		return err
	}
	good, err := federation.DirectorySigners(s, roots, signed)
	if err != nil {
		return err
	}
	lines := slices.Concat(root.Head(d.Data(), p.now()), root.Changes(before, d.Data()), root.Ends(d.Data(), p.now()))
	for _, l := range lines {
		if err = p.print("%s\n", l); err != nil {
			return err
		}
	}
	return p.print("%s: good, signed by %s / 签名有效\n", c.File, strings.Join(good, ", "))
}

type publish struct {
	File string `arg:"" help:"The signed directory."`
	kafkaFlags

	Roots    string `required:"" placeholder:"FILE" help:"The roots' file."`
	Previous string `placeholder:"FILE" help:"The directory in force; what stands on the topic or in --to if left out."`
	To       string `placeholder:"FILE" help:"Write it to this file, which nodes watch."`
}

// Run publishes a directory that follows the one before. The same once more is no error.
func (c *publish) Run(ctx context.Context, p *Program) error {
	if c.To == "" && len(c.Brokers) == 0 {
		return fmt.Errorf("%w: name --brokers, --to or both", ErrUsage)
	}
	roots, err := readRoots(c.Roots)
	if err != nil {
		return err
	}
	signed, err := readFile(c.File, federation.DirectoryMax)
	if err != nil {
		return err
	}
	s := newDirectoryChecker()
	d, err := federation.ParseDirectory(s, roots, signed, nil, p.now())
	if err != nil {
		return fmt.Errorf("%s is not published: %w", c.File, err)
	}
	var board federation.Board
	if len(c.Brokers) > 0 {
		bus, failed := c.open()
		if failed != nil {
			return failed
		}
		defer func() { _ = bus.Close() }()
		board = bus
	}
	previous, err := c.before(ctx, s, roots, board, d)
	if err != nil {
		return err
	}
	if previous == nil || previous.Digest() != d.Digest() {
		if err = next(d, previous); err != nil {
			return fmt.Errorf("%s is not published: %w", c.File, err)
		}
	}
	return c.put(ctx, p, board, d)
}

func (c *publish) put(ctx context.Context, p *Program, board federation.Board, d *federation.Directory) error {
	if c.To != "" {
		if err := replaceFile(c.To, d.Signed()); err != nil {
			return err
		}
		if err := p.print("%s: version %d / 已写入第 %d 版\n", c.To, d.Version(), d.Version()); err != nil {
			return err
		}
	}
	if board == nil {
		return nil
	}
	if err := root.Post(ctx, board, d); err != nil {
		return err
	}
	return p.print("%s: version %d is on the topic / 第 %d 版已发布\n", federation.DirectoryTopic, d.Version(), d.Version())
}

// before is the newest directory that is known: of the file named, of the topic, of the file that is written.
func (c *publish) before(
	ctx context.Context, s directoryChecker, roots federation.Roots, board federation.Board, d *federation.Directory,
) (*federation.Directory, error) {
	var newest *federation.Directory
	take := func(o *federation.Directory) {
		if o != nil && (newest == nil || o.Version() > newest.Version()) {
			newest = o
		}
	}
	for _, path := range []string{c.Previous, c.To} {
		if path == "" {
			continue
		}
		signed, err := readFile(path, federation.DirectoryMax)
		if errors.Is(err, fs.ErrNotExist) && path == c.To {
			continue
		}
		if err != nil {
			return nil, err
		}
		o, err := federation.ReadDirectory(s, roots, signed, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		take(o)
	}
	if board != nil {
		o, err := root.Newest(ctx, board, s, roots)
		if err != nil {
			return nil, err
		}
		take(o)
	}
	if newest != nil && newest.Version() == d.Version() && newest.Digest() != d.Digest() {
		return nil, fmt.Errorf("another version %d is published already: begin the draft anew from it", d.Version())
	}
	return newest, nil
}
