package command

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
)

type certRoot struct {
	ringFlags
	nameFlags

	Name    string `required:"" help:"Common name of the authority."`
	Days    int    `default:"7300" help:"Validity in days."`
	PathLen int    `default:"1" help:"How many authorities may stand below it."`
	Out     string `required:"" placeholder:"FILE" help:"Certificate, PEM."`
}

// Run makes a new key in the ring, and its certificate.
func (c *certRoot) Run(p *Program) error {
	terms, err := p.terms(c.Days)
	if err != nil {
		return err
	}
	return c.with(func(ring *keyfile.Ring) error {
		id, err := ring.Generate(crypto.UseSign)
		if err != nil {
			return err
		}
		key, err := signer(ring, id)
		if err != nil {
			return err
		}
		der, err := cert.NewRoot(key, c.name(c.Name), terms, c.PathLen)
		if err != nil {
			return err
		}
		return errors.Join(p.print("key %s\n", id), p.save(c.Out, pemCertificate, der, false))
	})
}

type certCSR struct {
	ringFlags
	nameFlags

	Region    string `placeholder:"CODE" help:"Six digits of the region that asks."`
	Authority string `placeholder:"NAME" help:"Common name, if an authority asks instead of a region."`
	Key       string `placeholder:"ID" help:"Signing key; the newest if it is not named."`
	SealKey   string `placeholder:"ID" help:"Encryption key; the newest if it is not named."`
	Out       string `required:"" placeholder:"FILE" help:"Request, PEM."`
}

// Run has the ring sign a request. A region's carries its encryption key too.
func (c *certCSR) Run(p *Program) error {
	common := c.Region + c.Authority
	if (c.Region == "") == (c.Authority == "") || c.Region != "" && !federation.Region(c.Region).Valid() {
		return fmt.Errorf("%w: either --region with six digits, or --authority", ErrUsage)
	}
	return c.with(func(ring *keyfile.Ring) error {
		key, err := signer(ring, c.Key)
		if err != nil {
			return err
		}
		var seal crypto.Public
		if c.Region != "" {
			id := c.SealKey
			if id == "" {
				if id, err = ring.Current(crypto.UseDecrypt); err != nil {
					return fmt.Errorf("command: the ring has no encryption key; make one first: %w", err)
				}
			}
			if seal, err = ring.Public(id); err != nil {
				return fmt.Errorf("command: key %s: %w", id, err)
			}
		}
		der, err := cert.NewRequest(key, c.name(common), seal)
		if err != nil {
			return err
		}
		return p.save(c.Out, pemRequest, der, false)
	})
}

// issuerFlags say who issues.
type issuerFlags struct {
	ringFlags

	CA  string `required:"" name:"ca" placeholder:"FILE" help:"Certificate of the authority, PEM."`
	Key string `placeholder:"ID" help:"Key of the authority; the one of its certificate if it is not named."`
}

// issuer finds the key of the authority's certificate in the ring.
func (i issuerFlags) issuer(ring *keyfile.Ring) (*cert.Issuer, error) {
	der, err := one(i.CA, pemCertificate)
	if err != nil {
		return nil, err
	}
	ids := []string{i.Key}
	if i.Key == "" {
		if ids, err = ring.IDs(crypto.UseSign); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		key, failed := signer(ring, id)
		if failed != nil {
			return nil, failed
		}
		issuer, failed := cert.NewIssuer(der, key)
		refusal, refused := errors.AsType[*cert.RefusedError](failed)
		switch {
		case failed == nil:
			return issuer, nil
		case !refused || refusal.Reason != cert.ReasonKey:
			return nil, failed
		}
	}
	return nil, fmt.Errorf("command: the ring has not the key of %s", i.CA)
}

type certIssue struct {
	issuerFlags

	Request   string `arg:"" help:"Request, PEM."`
	Region    string `placeholder:"CODE" help:"Region whose identity you have checked; the request must be of it."`
	Authority bool   `help:"Issue an authority's certificate instead of a region's."`
	SealKey   string `placeholder:"FILE" help:"Enveloped key (GB/T 35276): issue the encryption certificate for its pair."`
	Days      int    `default:"1095" help:"Validity in days."`
	Out       string `required:"" placeholder:"DIR" help:"Folder of the certificates."`
}

// Run issues. What the request asks for beside the subject and the keys is not looked at: the usages are the
// authority's to set.
func (c *certIssue) Run(p *Program) error {
	terms, err := p.terms(c.Days)
	if err != nil {
		return err
	}
	der, err := one(c.Request, pemRequest)
	if err != nil {
		return err
	}
	r, err := cert.ParseRequest(emm.New(), der)
	if err != nil {
		return err
	}
	if !c.Authority && (c.Region == "" || r.Region != c.Region) {
		return fmt.Errorf("%w: the request is of %q; --region must say the same", ErrUsage, r.Region)
	}
	return c.with(func(ring *keyfile.Ring) error {
		issuer, err := c.issuer(ring)
		if err != nil {
			return err
		}
		if c.Authority {
			made, err := issuer.Authority(r, terms, 0)
			if err != nil {
				return err
			}
			return p.save(filepath.Join(c.Out, "authority.pem"), pemCertificate, made, false)
		}
		return c.double(p, issuer, r, terms)
	})
}

// double issues both certificates of a region, or the signing one alone if there is no encryption key.
func (c *certIssue) double(p *Program, issuer *cert.Issuer, r *cert.Request, terms cert.Terms) error {
	sign, err := issuer.Sign(r, terms)
	if err != nil {
		return err
	}
	public := r.Seal
	if c.SealKey != "" {
		der, failed := one(c.SealKey, pemEnveloped)
		if failed != nil {
			return failed
		}
		e, failed := cert.ParseEnveloped(der)
		if failed != nil {
			return failed
		}
		public = e.Public
	}
	err = p.save(filepath.Join(c.Out, r.Region+"-sign.pem"), pemCertificate, sign, false)
	if public == nil || err != nil {
		return err
	}
	seal, err := issuer.Seal(r, public, terms)
	if err != nil {
		return err
	}
	return p.save(filepath.Join(c.Out, r.Region+"-seal.pem"), pemCertificate, seal, false)
}

// listFlags say what list is made.
type listFlags struct {
	issuerFlags

	List string `required:"" placeholder:"FILE" help:"The authority's list, PEM: replaced, or made if it is not there."`
	Days int    `default:"30" help:"Days until the next list."`
}

type certCRL struct{ listFlags }

// Run signs the list again, with the next number.
func (c *certCRL) Run(p *Program) error { return c.next(p, nil) }

type certRevoke struct {
	listFlags

	Certificate string `xor:"which" placeholder:"FILE" help:"The certificate, PEM."`
	Serial      string `xor:"which" placeholder:"HEX" help:"Its serial number, if the certificate is not at hand."`
	Reason      string `default:"unspecified" help:"One of ${reasons}."`
}

// codes are the reason codes of RFC 5280 5.3.1.
func codes() map[string]int {
	return map[string]int{
		"unspecified": 0, "key_compromise": 1, "affiliation_changed": 3, "superseded": 4, "cessation_of_operation": 5,
	}
}

func reasons() string { return strings.Join(slices.Sorted(maps.Keys(codes())), ", ") }

// Run puts one entry on the list. The directory must say that the key is revoked, too: that is what the nodes check.
func (c *certRevoke) Run(p *Program) error {
	code, known := codes()[c.Reason]
	if !known {
		return fmt.Errorf("%w: --reason is one of %s", ErrUsage, reasons())
	}
	entry := cert.Entry{
		Serial: strings.ToLower(strings.ReplaceAll(c.Serial, ":", "")), Since: p.now(), Code: code,
	}
	if c.Certificate != "" {
		der, err := one(c.Certificate, pemCertificate)
		if err != nil {
			return err
		}
		parsed, err := cert.Parse(der)
		if err != nil {
			return err
		}
		entry.Serial = parsed.Serial
	}
	if entry.Serial == "" {
		return fmt.Errorf("%w: --certificate or --serial says what is revoked", ErrUsage)
	}
	if err := c.next(p, &entry); err != nil {
		return err
	}
	return p.print("serial number %s is on the list. Publish the list in the federation's directory, and mark the key as "+
		"revoked there: gateway directory revoke\n", entry.Serial)
}

// next signs the list that follows the one in the file, with one entry more.
func (l listFlags) next(p *Program, entry *cert.Entry) error {
	const daysMax = 366
	if l.Days < 1 || l.Days > daysMax {
		return fmt.Errorf("%w: --days is 1 to %d", ErrUsage, daysMax)
	}
	return l.with(func(ring *keyfile.Ring) error {
		issuer, err := l.issuer(ring)
		if err != nil {
			return err
		}
		number, entries, err := l.present(issuer)
		if err != nil {
			return err
		}
		if entry != nil {
			for _, e := range entries {
				if e.Serial == entry.Serial {
					return fmt.Errorf("command: serial number %s is on the list already", e.Serial)
				}
			}
			entries = append(entries, *entry)
		}
		now := p.now()
		der, err := issuer.List(entries, number, now.Add(-time.Minute), now.AddDate(0, 0, l.Days))
		if err != nil {
			return err
		}
		return p.save(l.List, pemList, der, true)
	})
}

// present reads the list that is there, which must be the authority's own.
func (l listFlags) present(issuer *cert.Issuer) (*big.Int, []cert.Entry, error) {
	der, err := one(l.List, pemList)
	if notThere(err) {
		return big.NewInt(1), nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := cert.ParseList(der)
	if err != nil {
		return nil, nil, err
	}
	if err = list.Verify(emm.New(), issuer.Certificate()); err != nil {
		return nil, nil, err
	}
	return new(big.Int).Add(list.Number, big.NewInt(1)), list.Entries, nil
}
