package config

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Words of the field role, which older configurations have. The words of roles are the API's: docs/onboarding.md.
const (
	RolePlatform = "platform" // as roles: [all]
	RoleReader   = "reader"   // as roles: [read]
)

// Platform is one program that may ask this region. The keys of the file are brought into the region's state once;
// afterwards they are registered and revoked there (gateway platforms).
type Platform struct {
	KeyID         string   `yaml:"key_id"` // Gongji-Key; unique
	Platform      string   `yaml:"platform"`
	Region        string   `yaml:"region"` // it speaks for; empty: this region. Another region's key is known, and refused
	Public        string   `yaml:"public"` // base64 of 04 ‖ x ‖ y
	Role          string   `yaml:"role"`   // or roles
	Roles         []string `yaml:"roles"`
	RatePerSecond int      `yaml:"rate_per_second"` // 0: no limit of its own
	Revoked       bool     `yaml:"revoked"`
	// CertDigest and CertSubject bind the key to a client certificate, where they are not empty: the lower-case hex
	// SHA-256 of its SubjectPublicKeyInfo, and its subject as RFC 2253 writes it.
	CertDigest  string `yaml:"certificate_digest"`
	CertSubject string `yaml:"certificate_subject"`
}

// Granted are the roles that the platform has, whichever field says so.
func (p Platform) Granted() []string {
	switch p.Role {
	case RolePlatform:
		return []string{"all"}
	case RoleReader:
		return []string{"read"}
	}
	return p.Roles
}

// APITLS is the API's TLS, 1.3 only. With ClientCAFile clients must show a certificate. Files that change are read
// again.
type APITLS struct {
	CertFile     string `yaml:"cert_file"`
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"`
}

// Front is the mutual TLS of listen.api_front, and which fronts are trusted.
type Front struct {
	CertFile     string `yaml:"cert_file"`
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"`
	// Pins are the lower-case hex SHA-256 of the SubjectPublicKeyInfo of the fronts' certificates.
	Pins []string `yaml:"pins"`
}

// National says where the secrets of apps stand that speak the national mobile-payment convention.
type National struct {
	// SecretsFile has a line "appId secret" for each app, and nobody but its owner may read it. Empty: the region does not
	// speak the convention.
	SecretsFile string `yaml:"secrets_file"`
}

const (
	pinsMax  = 64
	rolesMax = 16
	pinBytes = 32 // SHA-256
)

func (c Config) validatePlatforms(p *problems) {
	p.check(len(c.Platforms) <= platformsMax, "platforms", fmt.Sprintf("are at most %d", platformsMax))
	ids := map[string]bool{}
	for i, f := range c.Platforms {
		field := "platforms[" + strconv.Itoa(i) + "]"
		p.check(!ids[f.KeyID], field+".key_id", "stands twice")
		ids[f.KeyID] = true
		f.validate(p, field)
	}
}

func (p Platform) validate(out *problems, field string) {
	out.check(nameForm.MatchString(p.KeyID), field+".key_id", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
	out.check(nameForm.MatchString(p.Platform), field+".platform", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
	out.check(p.Region == "" || regionForm.MatchString(p.Region), field+".region", "must have six digits")
	out.check(publicKey(p.Public), field+".public", "must be the base64 of an SM2 key, 04 ‖ x ‖ y")
	out.check(p.Role == "" || p.Role == RolePlatform || p.Role == RoleReader, field+".role", "must be platform or reader")
	out.check((p.Role == "") != (len(p.Roles) == 0), field+".roles", "either role or roles must be set")
	out.check(len(p.Roles) <= rolesMax, field+".roles", fmt.Sprintf("are at most %d", rolesMax))
	out.check(p.RatePerSecond >= 0 && p.RatePerSecond <= 1_000_000, field+".rate_per_second", "must be 0 to 1000000")
	out.check(p.CertDigest == "" || digestForm(p.CertDigest), field+".certificate_digest",
		"must be 64 lower-case hex digits")
}

func digestForm(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == pinBytes && hex.EncodeToString(b) == s
}

// validateFront: who is trusted to say who somebody is must be named, and proves it by a certificate.
func (c Config) validateFront(p *problems) {
	if c.Listen.APIFront == "" {
		p.check(c.Front.CertFile == "" && c.Front.KeyFile == "" && c.Front.ClientCAFile == "" && len(c.Front.Pins) == 0,
			"front", "needs listen.api_front")
		return
	}
	p.check(c.Front.CertFile != "", "front.cert_file", "is missing")
	p.check(c.Front.KeyFile != "", "front.key_file", "is missing")
	p.check(c.Front.ClientCAFile != "", "front.client_ca_file", "is missing")
	p.check(len(c.Front.Pins) > 0 && len(c.Front.Pins) <= pinsMax, "front.pins",
		fmt.Sprintf("must be 1 to %d digests", pinsMax))
	p.check(!slices.ContainsFunc(c.Front.Pins, func(s string) bool { return !digestForm(s) }), "front.pins",
		"must have 64 lower-case hex digits each")
}
