package operator_test

import (
	"bytes"
	"errors"
	"testing"

	"gongji/crypto"
	"gongji/crypto/sm/emm"
	"gongji/gateway/internal/operator"
)

// TestSeparateDuties: no role runs the system and decides about keys, or audits either (R-28, GB/T 22239).
func TestSeparateDuties(t *testing.T) {
	t.Parallel()
	for _, r := range []operator.Role{
		operator.RoleObserver, operator.RoleOperator, operator.RoleSecurity, operator.RoleAuditor,
	} {
		n := 0
		for _, d := range []operator.Duty{operator.Operate, operator.Secure, operator.Audit} {
			if r.Has(d) {
				n++
			}
		}
		if n > 1 || !r.Has(operator.Observe) || !r.Valid() || r.Has("") {
			t.Errorf("%s has %d duties", r, n)
		}
	}
	if operator.Role("root").Valid() || operator.Role("").Has(operator.Observe) {
		t.Error("unknown roles have duties")
	}
}

// TestRegistration: each field is bound by the operator's own signature.
func TestRegistration(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	key, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	salt := bytes.Repeat([]byte{7}, operator.SaltSize)
	enroll := func(passphrase string) (operator.Registration, error) {
		return operator.Enroll(suite, "li.wei", key.Public(), []byte(passphrase), salt, key.Sign)
	}
	r, err := enroll("correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	if !r.Fits(suite.Hash, []byte("correct horse battery")) || r.Fits(suite.Hash, []byte("correct horse batterz")) ||
		r.Fits(suite.Hash, nil) {
		t.Error("the passphrase")
	}
	if _, err = enroll("short"); !errors.Is(err, operator.ErrPassphrase) {
		t.Error(err)
	}
	other, err := suite.Generate()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*operator.Registration){
		"name":       func(r *operator.Registration) { r.Name = "li.wey" },
		"bad name":   func(r *operator.Registration) { r.Name = "Li Wei" },
		"key":        func(r *operator.Registration) { r.Public = other.Public() },
		"no key":     func(r *operator.Registration) { r.Public = make([]byte, crypto.PublicSize) },
		"salt":       func(r *operator.Registration) { r.Salt = bytes.Repeat([]byte{8}, operator.SaltSize) },
		"iterations": func(r *operator.Registration) { r.Iterations++ },
		"few":        func(r *operator.Registration) { r.Iterations = 1 },
		"hash":       func(r *operator.Registration) { r.Hash = bytes.Repeat([]byte{1}, 32) },
		"signature":  func(r *operator.Registration) { r.Signature = nil },
	} {
		bad := r
		change(&bad)
		if !errors.Is(bad.Check(suite), operator.ErrRegistration) {
			t.Errorf("%s may be changed", name)
		}
	}
}

// TestActDigest: what the second person approves binds every part, and no part runs into the next.
func TestActDigest(t *testing.T) {
	t.Parallel()
	suite := emm.New()
	base := operator.Act{Method: "POST", Target: "/a", ContentType: "application/json", Body: []byte("{}")}
	seen := map[[32]byte]bool{base.Digest(suite): true}
	for _, a := range []operator.Act{
		{Method: "PUT", Target: "/a", ContentType: "application/json", Body: []byte("{}")},
		{Method: "POST", Target: "/b", ContentType: "application/json", Body: []byte("{}")},
		{Method: "POST", Target: "/a", ContentType: "application/jso", Body: []byte("n{}")},
		{Method: "POST", Target: "/a", ContentType: "application/json", Body: []byte("{ }")},
		{Method: "POST/", Target: "a", ContentType: "application/json", Body: []byte("{}")},
	} {
		if seen[a.Digest(suite)] {
			t.Errorf("%+v has another one's digest", a)
		}
		seen[a.Digest(suite)] = true
	}
}
