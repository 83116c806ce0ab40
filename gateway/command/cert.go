package command

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
)

// certificates are the commands about the federation's certificates: a region asks for its two, an authority issues,
// revokes and lists. Keys stay in a ring of key files; a command names them by id.
type certificates struct {
	Root      certRoot   `cmd:"" help:"Make an authority's key and the certificate that it signs for itself."`
	CSR       certCSR    `cmd:"" name:"csr" help:"Ask for the certificates of a region (or of an authority below a root)."`
	Issue     certIssue  `cmd:"" help:"Issue a region's two certificates, or that of an authority, for a request."`
	Check     certCheck  `cmd:"" help:"Check certificates against authorities and lists; status 1 if one is refused."`
	Show      certShow   `cmd:"" help:"Say what stands in certificates, requests and revocation lists."`
	Revoke    certRevoke `cmd:"" help:"Put a certificate on the authority's revocation list."`
	CRL       certCRL    `cmd:"" name:"crl" help:"Sign the authority's next revocation list."`
	ImportKey certImport `cmd:"" help:"Take an encryption key that a key management centre has made (GB/T 35276)."`
}

// ringFlags say where a ring of key files is.
type ringFlags struct {
	Keys       string `required:"" placeholder:"DIR" help:"Folder of the key files."`
	KEK        string `name:"kek" placeholder:"FILE" help:"Key-encryption key of the folder."`
	Passphrase string `name:"passphrase-file" placeholder:"FILE" help:"Passphrase of the folder, instead of --kek."`
}

// with opens the ring for the time of work.
func (r ringFlags) with(work func(*keyfile.Ring) error) error {
	kek, err := r.kek()
	if err != nil {
		return err
	}
	ring, err := keyfile.Open(r.Keys, kek, emm.New())
	if err != nil {
		return fmt.Errorf("command: the key folder %s: %w", r.Keys, err)
	}
	return errors.Join(work(ring), ring.Close())
}

func (r ringFlags) kek() (*keyfile.KEK, error) {
	switch {
	case (r.KEK == "") == (r.Passphrase == ""):
		return nil, fmt.Errorf("%w: either --kek or --passphrase-file says how the key files open", ErrUsage)
	case r.KEK != "":
		return keyfile.ReadKEK(r.KEK)
	}
	raw, err := readBounded(r.Passphrase, 1<<10)
	if err != nil {
		return nil, err
	}
	return keyfile.PassphraseKEK(bytes.TrimRight(raw, "\r\n"), keyfile.DefaultCost())
}

// signer is a signing key of the ring; the newest if id is "".
func signer(ring *keyfile.Ring, id string) (cert.Signer, error) {
	if id == "" {
		var err error
		if id, err = ring.Current(crypto.UseSign); err != nil {
			return nil, fmt.Errorf("command: the ring has no signing key; make one first: %w", err)
		}
	}
	key, err := cert.RingSigner(ring, id)
	if err != nil {
		return nil, fmt.Errorf("command: key %s: %w", id, err)
	}
	return key, nil
}

// nameFlags are the parts of a subject beside the common name.
type nameFlags struct {
	Organization string `placeholder:"NAME" help:"Organization in the subject."`
	Country      string `default:"CN" help:"Country in the subject."`
}

func (n nameFlags) name(common string) cert.Name {
	return cert.Name{Country: n.Country, Organization: n.Organization, Common: common}
}

// Kinds of PEM blocks.
const (
	pemCertificate = "CERTIFICATE"
	pemRequest     = "CERTIFICATE REQUEST"
	pemList        = "X509 CRL"
	pemEnveloped   = "SM2 ENVELOPED KEY"
	pemFileMax     = 2 << 20 // bytes of a file with certificates
)

// blocks reads a file of PEM blocks of some kinds, or of one thing in DER, which is then of the first kind.
func blocks(path string, kinds ...string) ([]*pem.Block, error) {
	raw, err := readBounded(path, pemFileMax)
	if err != nil {
		return nil, err
	}
	if len(raw) > 0 && raw[0] == 0x30 {
		return []*pem.Block{{Type: kinds[0], Bytes: raw}}, nil
	}
	var out []*pem.Block
	for {
		var b *pem.Block
		if b, raw = pem.Decode(raw); b == nil {
			break
		}
		for _, kind := range kinds {
			if b.Type == kind || (kind == pemRequest && b.Type == "NEW "+pemRequest) {
				b.Type = kind
				out = append(out, b)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("command: %s has no %s in it", path, kinds[0])
	}
	return out, nil
}

// one reads a file that has exactly one of a kind.
func one(path, kind string) ([]byte, error) {
	all, err := blocks(path, kind)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("command: %s has %d of %s in it; one was expected", path, len(all), kind)
	}
	return all[0].Bytes, nil
}

// all reads what several files have of a kind.
func all(paths []string, kind string) ([][]byte, error) {
	var out [][]byte
	for _, path := range paths {
		found, err := blocks(path, kind)
		if err != nil {
			return nil, err
		}
		for _, b := range found {
			out = append(out, b.Bytes)
		}
	}
	return out, nil
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(raw)) > limit {
		return nil, fmt.Errorf("command: %s has more than %d bytes", path, limit)
	}
	return raw, nil
}

// save writes a PEM file whole, and says so. A file that is there already is kept, unless it is to be replaced.
func (p *Program) save(path, kind string, der []byte, replace bool) error {
	if _, err := os.Stat(path); err == nil && !replace {
		return fmt.Errorf("command: %s is there already; take another name", path)
	}
	temporary := path + ".new"
	raw := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return p.print("%s: written\n", path)
}

// terms are a validity that begins a little before now, for clocks that are behind.
func (p *Program) terms(days int) (cert.Terms, error) {
	const daysMax = 40 * 366
	if days < 1 || days > daysMax {
		return cert.Terms{}, fmt.Errorf("%w: --days is 1 to %d", ErrUsage, daysMax)
	}
	now := p.now()
	return cert.Terms{NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, days)}, nil
}
