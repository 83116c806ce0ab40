package command

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gongji/federation"
	"gongji/federation/root"
)

// draftMax bounds a draft, in bytes: what a directory may say, indented.
const draftMax = 2 * federation.DirectoryTextMax

// directory are the commands of the federation's office, and of the regions that offer their keys to it.
type directory struct {
	RootKey     rootKey     `cmd:"" help:"Make a key of the root, and print its public half for the roots' file."`
	Offer       offer       `cmd:"" help:"Print what a region offers: code, name and the public halves of its keys."`
	Init        initDraft   `cmd:"" help:"Begin the first version, as a draft."`
	Renew       renew       `cmd:"" help:"Move the expiry of a draft, or begin the next version with a new expiry."`
	AddRegion   addRegion   `cmd:"" help:"Take a region in, as it offers itself."`
	Rotate      rotate      `cmd:"" help:"List a region's new keys beside the old ones."`
	Pause       pauseRegion `cmd:"" help:"Pause a region: no new holds, all else goes on."`
	Resume      resume      `cmd:"" help:"Open a region, a paused one again."`
	CloseRegion closeRegion `cmd:"" help:"Close a region: no new holds, all else goes on."`
	OpenPair    openPair    `cmd:"" help:"Open business between two regions."`
	ClosePair   closePair   `cmd:"" help:"Set the last day of business between two regions; yesterday closes at once."`
	Revoke      revoke      `cmd:"" help:"Revoke a key of a region, or all of them."`
	Certify     certify     `cmd:"" help:"List the certificate of a region's key."`
	Trust       trust       `cmd:"" help:"List certificates of authorities, and revocation lists."`
	Sign        sign        `cmd:"" help:"Sign a draft, or a directory that others have signed, with one key of the root."`
	Publish     publish     `cmd:"" help:"Put a directory with enough signatures on the topic, or into a file."`
	Show        showSigned  `cmd:"" help:"Say what a draft or directory says, and what ends soon."`
	Verify      verify      `cmd:"" help:"Check signatures, expiry and what went before; say what changes."`
}

// draftFile is the draft that a command changes. If it is not there, it begins as the version after Previous.
type draftFile struct {
	Draft    string `required:"" placeholder:"FILE" help:"The draft; begun from --previous if it is not there."`
	Previous string `placeholder:"FILE" help:"The signed directory in force, which the draft is to follow."`
}

// change reads the draft, changes it and writes it back, with a line for each change.
func (f *draftFile) change(p *Program, change func(d *federation.DirectoryData) error) error {
	d, err := f.read(p)
	if err != nil {
		return err
	}
	before, err := root.Encode(d)
	if err != nil {
		return err
	}
	if err = change(&d); err != nil {
		return err
	}
	old, err := root.Decode(before)
	if err != nil {
		return err
	}
	text, err := root.Encode(d)
	if err != nil {
		return err
	}
	if err = replaceFile(f.Draft, text); err != nil {
		return err
	}
	for _, l := range root.Changes(old, d) {
		if err = p.print("%s\n", l); err != nil {
			return err
		}
	}
	return p.print("%s: draft of version %d; sign it when it is complete / 第 %d 版草稿，完成后请签名\n",
		f.Draft, d.Version, d.Version)
}

func (f *draftFile) read(p *Program) (federation.DirectoryData, error) {
	text, err := readFile(f.Draft, draftMax)
	if err == nil {
		d, failed := root.Decode(text)
		if failed != nil {
			return d, fmt.Errorf("%s: %w", f.Draft, failed)
		}
		return d, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return federation.DirectoryData{}, err
	}
	if f.Previous == "" {
		return federation.DirectoryData{}, fmt.Errorf(
			"%s is not there: begin with init, or name the directory in force with --previous", f.Draft)
	}
	d, err := readDirectory(f.Previous)
	if err != nil {
		return federation.DirectoryData{}, err
	}
	return root.Next(d, p.now(), time.Time{}), nil
}

func (p *Program) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

// readFile reads a file of at most some bytes.
func readFile(path string, most int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > int64(most) {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), most)
	}
	return os.ReadFile(path)
}

// replaceFile replaces a file whole: whoever reads it sees the old or the new content.
func replaceFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()) // public: whoever changes it breaks the signatures
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

type initDraft struct {
	Draft string `required:"" placeholder:"FILE" help:"The draft to write; it must not be there."`
	Days  int    `default:"180" help:"Days until it expires."`
}

// Run writes the first draft.
func (c *initDraft) Run(p *Program) error {
	if _, err := os.Stat(c.Draft); err == nil {
		return fmt.Errorf("%s is there already: remove it, or go on with it", c.Draft)
	}
	expires, err := p.in(c.Days)
	if err != nil {
		return err
	}
	text, err := root.Encode(root.Begin(p.now(), expires))
	if err != nil {
		return err
	}
	if err = replaceFile(c.Draft, text); err != nil {
		return err
	}
	return p.print("%s: draft of version 1, expires %s; now add regions / 第 1 版草稿，请添加成员\n",
		c.Draft, expires.UTC().Format(time.RFC3339))
}

// in is the moment some days from now.
func (p *Program) in(days int) (time.Time, error) {
	const most = 10 * 366
	if days < 1 || days > most {
		return time.Time{}, fmt.Errorf("%w: --days is from 1 to %d", ErrUsage, most)
	}
	return p.now().AddDate(0, 0, days), nil
}

type renew struct {
	draftFile

	Days int `default:"180" help:"Days until it expires, from now."`
}

// Run moves the expiry.
func (c *renew) Run(p *Program) error {
	expires, err := p.in(c.Days)
	if err != nil {
		return err
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		d.Issued, d.Expires = p.now().UTC().Truncate(time.Second), expires.UTC().Truncate(time.Second)
		return nil
	})
}

type addRegion struct {
	draftFile

	Offer string `required:"" placeholder:"FILE" help:"What the region offers: the output of offer."`
	Open  bool   `help:"Open it at once, not as a pilot."`
}

// Run takes a region in.
func (c *addRegion) Run(p *Program) error {
	m, err := readOffer(c.Offer)
	if err != nil {
		return err
	}
	if m.State = federation.MemberPilot; c.Open {
		m.State = federation.MemberOpen
	}
	return c.change(p, func(d *federation.DirectoryData) error { return root.AddRegion(d, m) })
}

func readOffer(path string) (federation.Member, error) {
	text, err := readFile(path, draftMax)
	if err != nil {
		return federation.Member{}, err
	}
	m, err := root.DecodeMember(text)
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

type rotate struct {
	draftFile

	Offer   string `required:"" placeholder:"FILE" help:"What the region offers now, with its new keys."`
	Overlap int    `default:"30" help:"Days for which the old keys of the same use stay valid; 0: until their own end."`
}

// Run lists new keys.
func (c *rotate) Run(p *Program) error {
	m, err := readOffer(c.Offer)
	if err != nil {
		return err
	}
	var end time.Time
	if c.Overlap > 0 {
		end = p.now().AddDate(0, 0, c.Overlap)
	}
	return c.change(p, func(d *federation.DirectoryData) error { return root.Rotate(d, m.Code, m.Keys, end) })
}

type oneRegion struct {
	draftFile

	Region string `arg:"" help:"Region code."`
}

func (c *oneRegion) set(p *Program, state federation.MemberState) error {
	return c.change(p, func(d *federation.DirectoryData) error {
		return root.SetState(d, federation.Region(c.Region), state)
	})
}

type (
	pauseRegion struct{ oneRegion }
	resume      struct{ oneRegion }
	closeRegion struct{ oneRegion }
)

// Run pauses a region.
func (c *pauseRegion) Run(p *Program) error { return c.set(p, federation.MemberPaused) }

// Run opens a region.
func (c *resume) Run(p *Program) error { return c.set(p, federation.MemberOpen) }

// Run closes a region.
func (c *closeRegion) Run(p *Program) error { return c.set(p, federation.MemberClosed) }

type openPair struct {
	draftFile

	A     string `arg:"" help:"Region code."`
	B     string `arg:"" help:"Region code."`
	From  string `placeholder:"DAY" help:"First day, as 2026-12-01, by the Chinese calendar day; today if left out."`
	Until string `placeholder:"DAY" help:"Last day; none if left out."`
}

// chinaOffset: the country has one zone, without summer time.
const chinaOffset = 8 * time.Hour

// day is a Chinese calendar day, some days from today.
func (p *Program) day(days int) string {
	return p.now().UTC().Add(chinaOffset).AddDate(0, 0, days).Format(time.DateOnly)
}

func checkDay(name, day string) error {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return fmt.Errorf("%w: --%s is a day as 2026-12-01, not %q", ErrUsage, name, day)
	}
	return nil
}

// Run opens a pair.
func (c *openPair) Run(p *Program) error {
	if c.From == "" {
		c.From = p.day(0)
	}
	if err := checkDay("from", c.From); err != nil {
		return err
	}
	if c.Until != "" {
		if err := checkDay("until", c.Until); err != nil {
			return err
		}
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		return root.OpenPair(d, federation.Pair{
			A: federation.Region(c.A), B: federation.Region(c.B), From: c.From, Until: c.Until,
		})
	})
}

type closePair struct {
	draftFile

	A    string `arg:"" help:"Region code."`
	B    string `arg:"" help:"Region code."`
	Last string `placeholder:"DAY" help:"Last day; yesterday if left out: closed at once."`
}

// Run closes a pair.
func (c *closePair) Run(p *Program) error {
	if c.Last == "" {
		c.Last = p.day(-1)
	}
	if err := checkDay("last", c.Last); err != nil {
		return err
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		return root.ClosePair(d, federation.Region(c.A), federation.Region(c.B), c.Last)
	})
}

type revoke struct {
	draftFile

	Region string `arg:"" help:"Region code."`
	Key    string `placeholder:"ID" xor:"which" help:"The key to revoke."`
	All    bool   `xor:"which" help:"Revoke all keys of the region: it can neither speak nor be spoken to."`
}

// Run revokes.
func (c *revoke) Run(p *Program) error {
	if c.Key == "" && !c.All {
		return fmt.Errorf("%w: name the key with --key, or say --all", ErrUsage)
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		return root.Revoke(d, federation.Region(c.Region), c.Key)
	})
}

type certify struct {
	draftFile

	Region      string `arg:"" help:"Region code."`
	Key         string `required:"" placeholder:"ID" help:"The key."`
	Certificate string `required:"" placeholder:"FILE" help:"Its certificate, PEM or DER."`
}

// Run lists a certificate.
func (c *certify) Run(p *Program) error {
	der, err := readDER(c.Certificate)
	if err != nil {
		return err
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		if failed := root.Certify(d, federation.Region(c.Region), c.Key, der); failed != nil {
			return failed
		}
		return fit(d, federation.Region(c.Region), c.Key, der)
	})
}

type trust struct {
	draftFile

	Authority []string `placeholder:"FILE" help:"Certificate of an authority, PEM or DER."`
	CRL       []string `placeholder:"FILE" help:"Revocation list of an authority, PEM or DER."`
}

// Run lists authorities and revocation lists.
func (c *trust) Run(p *Program) error {
	var found [2][][]byte
	for i, paths := range [][]string{c.Authority, c.CRL} {
		for _, path := range paths {
			der, err := readDER(path)
			if err != nil {
				return err
			}
			found[i] = append(found[i], der)
		}
	}
	return c.change(p, func(d *federation.DirectoryData) error {
		root.Trust(d, found[0], found[1])
		return nil
	})
}

// readDER reads one object, in PEM or as it is.
func readDER(path string) ([]byte, error) {
	text, err := readFile(path, federation.DirectoryMax)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes, nil
	}
	if len(text) == 0 || text[0] != 0x30 {
		return nil, fmt.Errorf("%s is neither PEM nor DER", path)
	}
	return text, nil
}
