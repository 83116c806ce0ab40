package command

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }

type certCheck struct {
	CA     []string `required:"" name:"ca" placeholder:"FILE" help:"Certificates of the authorities, root and below, PEM."`
	CRL    []string `name:"crl" placeholder:"FILE" help:"Revocation lists, PEM."`
	Region string   `placeholder:"CODE" help:"The region that the certificates must be of."`
	Use    string   `enum:",sign,seal" default:"" help:"The use that they must have: sign or seal."`
	At     string   `placeholder:"TIME" help:"Moment at which they are judged, RFC 3339; now if it is not named."`
	Files  []string `arg:"" name:"file" help:"Certificates, PEM."`
}

// Run checks every certificate of the files.
func (c *certCheck) Run(p *Program) error {
	now := p.now()
	if c.At != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, c.At); err != nil {
			return fmt.Errorf("%w: --at: %w", ErrUsage, err)
		}
	}
	authorities, err := all(c.CA, pemCertificate)
	if err != nil {
		return err
	}
	lists, err := all(c.CRL, pemList)
	if err != nil {
		return err
	}
	trust, err := cert.NewTrust(emm.New(), authorities, lists, now)
	if err != nil {
		return err
	}
	for _, l := range trust.Lists() {
		if l.Overdue(now) {
			_, _ = fmt.Fprintf(p.Stderr, "the next list of %q is overdue since %s\n", l.Issuer,
				l.NextUpdate.Format(time.RFC3339))
		}
	}
	return c.files(p, trust, now)
}

func (c *certCheck) files(p *Program, trust *cert.Trust, now time.Time) error {
	bad := false
	for _, path := range c.Files {
		found, err := blocks(path, pemCertificate)
		if err != nil {
			return err
		}
		for _, b := range found {
			parsed, err := c.check(trust, b.Bytes, now)
			if err != nil {
				bad = true
				_, _ = fmt.Fprintf(p.Stderr, "%s: %v\n", path, err)
				continue
			}
			if err = p.print("%s: ok: %q for %s, until %s\n", path, parsed.Subject, parsed.Use,
				parsed.NotAfter.Format(time.RFC3339)); err != nil {
				return err
			}
		}
	}
	if bad {
		return ErrRefused
	}
	return nil
}

func (c *certCheck) check(trust *cert.Trust, der []byte, now time.Time) (*cert.Certificate, error) {
	parsed, err := cert.Parse(der)
	if err != nil {
		return nil, err
	}
	use, region := cert.Use(c.Use), c.Region
	if use == "" {
		use = parsed.Use
	}
	if region == "" {
		region = parsed.Region
	}
	if err = parsed.Check(use, region); err != nil {
		return nil, err
	}
	return parsed, trust.Check(parsed, now)
}

type certShow struct {
	Files []string `arg:"" name:"file" help:"Certificates, requests and revocation lists, PEM."`
}

// Run prints a few lines for each. Nothing is verified but the form, and a request's own signature.
func (c *certShow) Run(p *Program) error {
	for _, path := range c.Files {
		found, err := blocks(path, pemCertificate, pemRequest, pemList)
		if err != nil {
			return err
		}
		for _, b := range found {
			if err = p.show(path, b.Type, b.Bytes); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	}
	return nil
}

func (p *Program) show(path, kind string, der []byte) error {
	switch kind {
	case pemRequest:
		r, err := cert.ParseRequest(emm.New(), der)
		if err != nil {
			return err
		}
		return p.print("%s: request of %q\n  signing key    %x\n  encryption key %x\n", path, r.Subject, r.Public, r.Seal)
	case pemList:
		l, err := cert.ParseList(der)
		if err != nil {
			return err
		}
		err = p.print("%s: list %s of %q, %s to %s\n", path, l.Number, l.Issuer, l.ThisUpdate.Format(time.RFC3339),
			l.NextUpdate.Format(time.RFC3339))
		for _, e := range l.Entries {
			err = errors.Join(err, p.print("  %s since %s, reason code %d\n", e.Serial, e.Since.Format(time.RFC3339), e.Code))
		}
		return err
	}
	parsed, err := cert.Parse(der)
	if err != nil {
		return err
	}
	return p.print("%s: certificate for %s of %q\n  issuer %q\n  serial number %s\n  valid  %s to %s\n  key    %x\n", path,
		parsed.Use, parsed.Subject, parsed.Issuer, parsed.Serial, parsed.NotBefore.Format(time.RFC3339),
		parsed.NotAfter.Format(time.RFC3339), parsed.Public)
}

type certImport struct {
	ringFlags

	Key  string `placeholder:"ID" help:"Encryption key that the envelope is for; each is tried if none is named."`
	File string `arg:"" help:"SM2EnvelopedKey, DER or PEM."`
}

// Run brings the pair into the ring. The envelope must be for an encryption key: a signing key of the ring opens
// nothing.
func (c *certImport) Run(p *Program) error {
	der, err := one(c.File, pemEnveloped)
	if err != nil {
		return err
	}
	e, err := cert.ParseEnveloped(der)
	if err != nil {
		return err
	}
	return c.with(func(ring *keyfile.Ring) error {
		ids, err := openers(ring, c.Key)
		if err != nil {
			return err
		}
		for _, id := range ids {
			made, failed := e.Import(emm.New(), ring, id)
			if failed == nil {
				return p.print("key %s: %x\n", made, e.Public)
			}
			err = failed
		}
		return fmt.Errorf("command: no encryption key of the ring opens %s: %w", c.File, err)
	})
}

func openers(ring *keyfile.Ring, id string) ([]string, error) {
	if id != "" {
		return []string{id}, nil
	}
	ids, err := ring.IDs(crypto.UseDecrypt)
	if err == nil && len(ids) == 0 {
		err = fmt.Errorf("command: the ring has no encryption key: %w", crypto.ErrNoKey)
	}
	return ids, err
}
