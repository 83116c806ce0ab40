package topology

import (
	"fmt"
	"math/big"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/federation"
)

// certifier is the federation's authority for the regions' double certificates (GM/T 0015), below a root. It exists
// only while the folder is made; the directory carries both, and the authority's revocation list.
type certifier struct {
	suite  crypto.Suite
	root   []byte
	issuer *cert.Issuer
	list   []byte // empty
	terms  cert.Terms
}

func newCertifier(now time.Time) (*certifier, error) {
	suite := emm.New()
	a := &certifier{suite: suite, terms: cert.Terms{NotBefore: now.Add(-validBefore), NotAfter: now.Add(validFor)}}
	rootKey, err := suite.Generate()
	if err != nil {
		return nil, fmt.Errorf("topology: authority: %w", err)
	}
	key, err := suite.Generate()
	if err != nil {
		return nil, fmt.Errorf("topology: authority: %w", err)
	}
	if a.root, err = cert.NewRoot(rootKey, cert.Name{Common: "testnet root"}, a.terms, 1); err != nil {
		return nil, err
	}
	root, err := cert.NewIssuer(a.root, rootKey)
	if err != nil {
		return nil, err
	}
	request, err := a.request(key, "testnet regions", nil)
	if err != nil {
		return nil, err
	}
	der, err := root.Authority(request, a.terms, 0)
	if err != nil {
		return nil, err
	}
	if a.issuer, err = cert.NewIssuer(der, key); err != nil {
		return nil, err
	}
	a.list, err = a.issuer.List(nil, big.NewInt(1), now.Add(-validBefore), now.Add(validFor))
	return a, err
}

func (a *certifier) request(key cert.Signer, common string, seal crypto.Public) (*cert.Request, error) {
	der, err := cert.NewRequest(key, cert.Name{Organization: "testnet", Common: common}, seal)
	if err != nil {
		return nil, err
	}
	return cert.ParseRequest(a.suite, der)
}

// certify lists a region's two keys as the directory does, with their certificates.
func (a *certifier) certify(ring *keyfile.Ring, code, signID, sealID string) ([]federation.Key, error) {
	key, err := cert.RingSigner(ring, signID)
	if err != nil {
		return nil, err
	}
	seal, err := ring.Public(sealID)
	if err != nil {
		return nil, err
	}
	request, err := a.request(key, code, seal)
	if err != nil {
		return nil, err
	}
	signDER, err := a.issuer.Sign(request, a.terms)
	if err != nil {
		return nil, err
	}
	sealDER, err := a.issuer.Seal(request, nil, a.terms)
	if err != nil {
		return nil, err
	}
	listed := federation.Key{NotBefore: a.terms.NotBefore.Truncate(time.Second), NotAfter: a.terms.NotAfter}
	sign, other := listed, listed
	sign.ID, sign.Use, sign.Public, sign.Certificate = signID, federation.UseSign, key.Public(), signDER
	other.ID, other.Use, other.Public, other.Certificate = sealID, federation.UseSeal, seal, sealDER
	return []federation.Key{sign, other}, nil
}
