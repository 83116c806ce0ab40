package command

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// keys are the commands about a region's secret keys. None prints a secret, and none takes one as an argument: the
// list of processes shows arguments to everybody.
type keys struct {
	Init     keysInit     `cmd:"" help:"Make a key ring: a folder with a key of every use."`
	List     keysList     `cmd:"" help:"List the keys: id, use, time, whether it is the current one, public half."`
	Generate keysGenerate `cmd:"" help:"Make a new key, which is then the current one of its use."`
	Backup   keysBackup   `cmd:"" help:"Write all keys into one file, under another key-encryption key, and read it back."`
	Restore  keysRestore  `cmd:"" help:"Add the keys of a backup that the ring has not, and read them back."`
	Destroy  keysDestroy  `cmd:"" help:"Destroy a key for good. The id must be typed again."`
	Rewrap   keysRewrap   `cmd:"" help:"Wrap the ring under another key-encryption key or passphrase."`
	Verify   keysVerify   `cmd:"" help:"Open and try every key, and hold the journal against the folder."`
	PIN      keysPIN      `cmd:"" name:"pin" help:"Give a role of the key module a PIN."`
	Serve    keysServe    `cmd:"" help:"Serve the keys to programs that must not have them, over a Unix socket."`
}

// sealing is where a key-encryption key comes from: a file of it, a file of a passphrase, or the terminal.
type sealing struct {
	kek, passphrase, derivation string
}

const (
	derivationArgon  = "argon2id"
	derivationPBKDF2 = "pbkdf2-sm3"
)

// open asks for the key-encryption key; a new passphrase is asked for twice.
func (s sealing) open(p *Program, label string, fresh bool) (*keyfile.KEK, error) {
	switch {
	case s.kek != "" && s.passphrase != "":
		return nil, fmt.Errorf("%w: name a file of the key-encryption key or of the passphrase, not both", ErrUsage)
	case s.kek != "":
		_, err := os.Lstat(s.kek)
		if fresh && errors.Is(err, os.ErrNotExist) {
			return keyfile.CreateKEK(s.kek)
		}
		return keyfile.ReadKEK(s.kek)
	}
	secret, err := p.secret(s.passphrase, label, fresh)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	if s.derivation == derivationPBKDF2 {
		return keyfile.PBKDF2KEK(secret, keyfile.IterationsDefault)
	}
	return keyfile.PassphraseKEK(secret, keyfile.DefaultCost())
}

// secret reads a passphrase or PIN from a file, or from the terminal without showing it.
func (p *Program) secret(path, label string, fresh bool) ([]byte, error) {
	if path != "" {
		return keyfile.ReadPassphrase(path)
	}
	if p.Secret == nil {
		return nil, fmt.Errorf("%w: there is no terminal to ask for the %s: name a file of it", ErrUsage, label)
	}
	one, err := p.Secret(label + ": ")
	if err != nil || !fresh {
		return one, err
	}
	two, err := p.Secret(label + ", again: ")
	defer clear(two)
	if err == nil && string(one) != string(two) {
		err = fmt.Errorf("%w: the two are not the same", ErrRefused)
	}
	return one, err
}

// keyRing name a ring and what opens it.
type keyRing struct {
	Dir        string `default:"keys" placeholder:"FOLDER" help:"The ring's folder."`
	KEK        string `name:"kek-file" placeholder:"FILE" help:"File of the key-encryption key."`
	Passphrase string `name:"passphrase-file" placeholder:"FILE" help:"File of the passphrase; else it is asked for."`
}

func (f keyRing) sealing() sealing { return sealing{kek: f.KEK, passphrase: f.Passphrase} }

// there refuses a folder that is not there: only init makes one.
func (f keyRing) there() error {
	info, err := os.Stat(f.Dir)
	if err == nil && !info.IsDir() {
		err = errors.New("is no folder")
	}
	if err != nil {
		return fmt.Errorf("command: the ring's folder %s: %w (gateway keys init makes one)", f.Dir, err)
	}
	return nil
}

// open opens the ring for something that who runs this does for that reason.
func (f keyRing) open(p *Program, reason string) (*keyfile.Ring, error) {
	if err := f.there(); err != nil {
		return nil, err
	}
	kek, err := f.sealing().open(p, "Passphrase", false)
	if err != nil {
		return nil, err
	}
	return keyfile.Open(f.Dir, kek, emm.New(), keyfile.WithOrder(crypto.Order{Who: whoami(), Reason: reason}))
}

// with opens the ring, does something, and closes it.
func (f keyRing) with(p *Program, reason string, do func(*keyfile.Ring) error) error {
	ring, err := f.open(p, reason)
	if err != nil {
		return err
	}
	return errors.Join(do(ring), ring.Close())
}

// whoami is who runs this command, as the system says: for the journal.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return name + "@" + host
}

type keysInit struct {
	keyRing

	Derivation string `enum:"argon2id,pbkdf2-sm3" default:"argon2id" help:"How a passphrase becomes a key: ${enum}."`
}

// Run makes a key of every use.
func (c *keysInit) Run(p *Program) error {
	found, err := filepath.Glob(filepath.Join(c.Dir, "*.key"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s has %d keys already", ErrRefused, c.Dir, len(found))
	}
	s := c.sealing()
	s.derivation = c.Derivation
	kek, err := s.open(p, "New passphrase", true)
	if err != nil {
		return err
	}
	order := crypto.Order{Who: whoami(), Reason: "init"}
	ring, err := keyfile.Open(c.Dir, kek, emm.New(), keyfile.WithOrder(order))
	if err != nil {
		return err
	}
	for _, use := range []crypto.Use{crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseEvidence} {
		if _, err = ring.Generate(use); err != nil {
			return errors.Join(err, ring.Close())
		}
	}
	_, err = ring.Monthly(time.Now())
	return errors.Join(err, p.printKeys(ring.Infos()), ring.Close())
}

func (p *Program) printKeys(all []keyfile.Info) error {
	for _, i := range all {
		state := "older"
		if i.Current {
			state = "current"
		}
		err := p.print("%-34s %-8s %s %-7s %s\n", i.ID, i.Use, i.Created.Format(time.RFC3339), state,
			base64.StdEncoding.EncodeToString(i.Public))
		if err != nil {
			return err
		}
	}
	return nil
}

type keysList struct{ keyRing }

// Run prints a line for each key.
func (c *keysList) Run(p *Program) error {
	return c.with(p, "list", func(r *keyfile.Ring) error { return p.printKeys(r.Infos()) })
}

type keysGenerate struct {
	keyRing

	Use    string `enum:"sign,decrypt,token,data,evidence" required:"" help:"What the key is for: ${enum}."`
	Reason string `required:"" help:"Why, for the journal."`
}

// Run makes a key. One to sign with signs only when the directory lists it; see docs/operations.md.
func (c *keysGenerate) Run(p *Program) error {
	if err := reasoned(c.Reason); err != nil {
		return err
	}
	return c.with(p, c.Reason, func(r *keyfile.Ring) error {
		id, err := r.Generate(crypto.Use(c.Use))
		if err != nil {
			return err
		}
		all := slices.DeleteFunc(r.Infos(), func(i keyfile.Info) bool { return i.ID != id })
		return p.printKeys(all)
	})
}

func reasoned(reason string) error {
	if !(crypto.Order{Who: "x", Reason: reason}).Valid() {
		return fmt.Errorf("%w: --reason must be one line of at most %d bytes", ErrUsage, crypto.OrderMax)
	}
	return nil
}

type keysDestroy struct {
	keyRing

	ID     string `arg:"" help:"Id of the key."`
	Reason string `required:"" help:"Why, for the journal."`
}

// Run destroys a key that is not the current one, after its id was typed again.
func (c *keysDestroy) Run(p *Program) error {
	if err := reasoned(c.Reason); err != nil {
		return err
	}
	return c.with(p, c.Reason, func(r *keyfile.Ring) error {
		at := slices.IndexFunc(r.Infos(), func(i keyfile.Info) bool { return i.ID == c.ID })
		if at < 0 {
			return fmt.Errorf("%w: the ring has no key %q", ErrRefused, c.ID)
		}
		if r.Infos()[at].Current {
			return fmt.Errorf("%w: %s is the current key of its use: make another one first", ErrRefused, c.ID)
		}
		if err := p.retyped(c.ID); err != nil {
			return err
		}
		if err := r.Destroy(c.ID, crypto.Order{Who: whoami(), Reason: c.Reason}); err != nil {
			return err
		}
		return p.print("destroyed: %s\n", c.ID)
	})
}

// retyped asks for the id of a key that is to be destroyed.
func (p *Program) retyped(id string) error {
	typed, err := p.ask("What is sealed under " + id + " is lost for ever. Type the id again: ")
	if err != nil {
		return err
	}
	if typed != id {
		return fmt.Errorf("%w: that is another id; nothing was destroyed", ErrRefused)
	}
	return nil
}

// ask reads one line of an answer, from the terminal or what stands in its place.
func (p *Program) ask(question string) (string, error) {
	if p.Ask == nil {
		return "", fmt.Errorf("%w: there is no terminal to ask", ErrUsage)
	}
	return p.Ask(question)
}

type keysVerify struct {
	keyRing

	Head string `help:"Digest of the journal's end as noted before: it must still stand in the journal."`
}

// Run prints what is there and everything that is wrong.
func (c *keysVerify) Run(p *Program) error {
	if err := c.there(); err != nil {
		return err
	}
	kek, err := c.sealing().open(p, "Passphrase", false)
	if err != nil {
		return err
	}
	report, err := keyfile.Verify(c.Dir, kek, emm.New())
	if err != nil {
		return err
	}
	known := slices.ContainsFunc(report.Journal, func(e keyfile.Entry) bool { return e.Hash == c.Head })
	if c.Head != "" && !known {
		report.Problems = append(report.Problems, "the journal was written anew: it has no line with digest "+c.Head)
	}
	for _, problem := range report.Problems {
		if _, err = io.WriteString(p.Stderr, problem+"\n"); err != nil {
			return err
		}
	}
	if len(report.Problems) > 0 {
		return ErrRefused
	}
	return p.print("ok: %d keys, %d destroyed, %d lines of the journal, which ends in %s\n", len(report.Keys),
		len(report.Destroyed), len(report.Journal), report.Head())
}
