package topology

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	"gongji/federation/root"
	"gongji/gateway/config"
)

// How long what is made here is valid. A testnet's folder is not kept for years.
const (
	validBefore = 24 * time.Hour // for clocks that are a little behind
	validFor    = 2 * 365 * 24 * time.Hour
	pairsFrom   = "2020-01-01"
	protocol    = 1
)

// Files of a region's folder.
const (
	keysName   = "keys"
	kekName    = "kek"
	peopleName = "people.json"
	rulesName  = "rules.json"
	caName     = "ca.crt"
	certName   = "node.crt"
	keyName    = "node.key"
)

// makeRegionKeys fills a region's ring: a key of every use, wrapped under a key-encryption key in a
// file beside. It returns the two public keys as the directory lists them.
func (a *certifier) makeRegionKeys(dir, code string, now time.Time) ([]federation.Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	kek, err := keyfile.CreateKEK(filepath.Join(dir, kekName))
	if err != nil {
		return nil, err
	}
	ring, err := keyfile.Open(filepath.Join(dir, keysName), kek, emm.New())
	if err != nil {
		return nil, err
	}
	keys, err := a.fillRing(ring, code, now)
	return keys, errors.Join(err, ring.Close())
}

func (a *certifier) fillRing(ring *keyfile.Ring, code string, now time.Time) ([]federation.Key, error) {
	for _, use := range []crypto.Use{crypto.UseToken, crypto.UseEvidence} {
		if _, err := ring.Generate(use); err != nil {
			return nil, err
		}
	}
	if _, err := ring.Monthly(now); err != nil {
		return nil, err
	}
	signID, err := ring.Generate(crypto.UseSign)
	if err != nil {
		return nil, err
	}
	sealID, err := ring.Generate(crypto.UseDecrypt)
	if err != nil {
		return nil, err
	}
	return a.certify(ring, code, signID, sealID)
}

// RootRing opens the key ring of the federation's office, under a folder of a testnet: tests and demonstrations sign
// later versions of the directory with it.
func RootRing(l Layout) (*keyfile.Ring, error) {
	kek, err := keyfile.ReadKEK(filepath.Join(l.Office(), kekName))
	if err != nil {
		return nil, err
	}
	return keyfile.Open(filepath.Join(l.Office(), keysName), kek, emm.New())
}

// makeRoot makes the office's ring with the one key of the root.
func makeRoot(l Layout) error {
	if err := os.MkdirAll(l.Office(), 0o700); err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	if _, err := keyfile.CreateKEK(filepath.Join(l.Office(), kekName)); err != nil {
		return err
	}
	ring, err := RootRing(l)
	if err != nil {
		return err
	}
	_, err = ring.Generate(crypto.UseSign)
	return errors.Join(err, ring.Close())
}

// makeDirectory signs the first directory by the same code as `gateway directory`. It returns the root for the nodes'
// configuration.
func makeDirectory(l Layout, keys map[string][]federation.Key, a *certifier, now time.Time) (config.Root, error) {
	if err := makeRoot(l); err != nil {
		return config.Root{}, err
	}
	data := root.Begin(now.Add(-validBefore), now.Add(validFor))
	root.Trust(&data, [][]byte{a.root, a.issuer.Certificate().Raw}, [][]byte{a.list})
	for i, r := range Regions() {
		err := root.AddRegion(&data, federation.Member{
			Code: federation.Region(r.Code), Name: r.NameZH, Aliases: []string{r.Name}, State: federation.MemberOpen,
			Protocol: protocol, Keys: keys[r.Code],
		})
		if err != nil {
			return config.Root{}, err
		}
		for _, other := range Regions()[:i] {
			pair := federation.Pair{A: federation.Region(r.Code), B: federation.Region(other.Code), From: pairsFrom}
			if err = root.OpenPair(&data, pair); err != nil {
				return config.Root{}, err
			}
		}
	}
	ring, err := RootRing(l)
	if err != nil {
		return config.Root{}, err
	}
	listed, err := signFirst(l, ring, data)
	return listed, errors.Join(err, ring.Close())
}

func signFirst(l Layout, ring *keyfile.Ring, data federation.DirectoryData) (config.Root, error) {
	id, err := ring.Current(crypto.UseSign)
	if err != nil {
		return config.Root{}, err
	}
	public, err := ring.Public(id)
	if err != nil {
		return config.Root{}, err
	}
	signed, err := federation.SignDirectory(data, func(message []byte) (string, []byte, error) {
		signature, failed := ring.Sign(id, message)
		return id, signature, failed
	})
	if err != nil {
		return config.Root{}, err
	}
	return config.Root{ID: id, Public: base64.StdEncoding.EncodeToString(public)}, writeFile(l.Directory(), signed)
}

// authority is a cluster's own certificate authority. It exists only while the folder is made.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
	now         time.Time
}

func newAuthority(dir, name string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("topology: certificates: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-validBefore), NotAfter: now.Add(validFor),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("topology: certificates: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("topology: certificates: %w", err)
	}
	a := &authority{certificate: certificate, key: key, serial: 1, now: now}
	return a, writeFile(filepath.Join(dir, caName), pemBlock("CERTIFICATE", der))
}

// issue writes a node's certificate, for both sides of a connection, and its key.
func (a *authority) issue(dir, id string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("topology: certificates: %w", err)
	}
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: id},
		NotBefore: a.now.Add(-validBefore), NotAfter: a.now.Add(validFor), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    []string{id, "localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("topology: certificates: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("topology: certificates: %w", err)
	}
	return errors.Join(
		writeFile(filepath.Join(dir, certName), pemBlock("CERTIFICATE", der)),
		writeFile(filepath.Join(dir, keyName), pemBlock("PRIVATE KEY", secret)),
	)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// writeFile replaces a file whole: whoever reads it sees the old or the new content.
func writeFile(path string, content []byte) error {
	temporary := path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil { //nolint:gosec // in the folder that its user named
		return fmt.Errorf("topology: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("topology: %w", err)
	}
	return nil
}
