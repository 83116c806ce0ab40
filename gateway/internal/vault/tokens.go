package vault

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"gongji/consensus"
	"gongji/crypto"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/person"
)

// triesMax bounds how often something is made anew because a key came into force meanwhile. Two rotations do not
// follow each other so fast that it is reached.
const triesMax = 5

// Tokens are what a person is found by: under the key in force and, while tokens are being rotated, under the other
// one. The coming key may be missing here, the leaving one may not.
func (v *Vault) Tokens(i Identity) (ledger.Tokens, error) {
	k := v.keys()
	id, err := v.InForce(crypto.UseToken)
	if err != nil {
		return nil, fmt.Errorf("vault: token: %w", err)
	}
	first, err := v.TokensUnder(id, i)
	if err != nil {
		return nil, err
	}
	tokens := ledger.Tokens{first}
	other, needed := k.OtherToken()
	if other == "" || other == id {
		return tokens, nil
	}
	second, err := v.TokensUnder(other, i)
	switch {
	case err == nil:
		tokens = append(tokens, second)
	case needed || !errors.Is(err, crypto.ErrNoKey):
		return nil, err
	}
	return tokens, nil
}

// TokensUnder are a person's tokens under one key.
func (v *Vault) TokensUnder(id string, i Identity) (ledger.Tokened, error) {
	t := ledger.Tokened{Key: id}
	var err error
	if t.Token, err = v.ring.MAC(id, []byte("id\x00"), []byte(i.IDType), []byte{0}, []byte(i.Number)); err == nil {
		t.Name, err = v.ring.MAC(id, []byte("nm\x00"), []byte(i.Number), []byte{0}, []byte(i.Name))
	}
	if err != nil {
		return ledger.Tokened{}, fmt.Errorf("vault: token: %w", err)
	}
	return t, nil
}

// Person is the person of a command. no is the random number that the person gets if the state does not know
// them.
func (v *Vault) Person(i Identity, no string) (ledger.Person, error) {
	p := ledger.Person{
		New: no, Region: i.Region, Masked: person.MaskNumber(i.Number), Called: person.MaskName(i.Name),
	}
	tokens, err := v.Tokens(i)
	if err != nil {
		return ledger.Person{}, err
	}
	p.SetTokens(tokens)
	if p.Sealed, err = v.Seal(i); err != nil {
		return ledger.Person{}, err
	}
	return p, nil
}

// Finding has try look for a person, again with new tokens where a key came into force meanwhile.
func (v *Vault) Finding(i Identity, try func(ledger.Tokens) error) error {
	var failed error
	for range triesMax {
		tokens, err := v.Tokens(i)
		if err != nil {
			return err
		}
		if failed = try(tokens); !errors.Is(failed, ledger.ErrStaleKeys) {
			return failed
		}
	}
	return fmt.Errorf("%w: %w", consensus.ErrNoLeader, failed)
}

// Propose puts a command into the log and reads what it answers. One whose persons were made with keys that were no
// longer in force when it applied has done nothing: it is made anew and proposed again.
func (v *Vault) Propose(ctx context.Context, log consensus.Log, c ledger.Command) (ledger.Outcome, error) {
	for range triesMax {
		data, err := log.Propose(ctx, ledger.EncodeCommand(c))
		if err != nil {
			return ledger.Outcome{}, err
		}
		o, err := ledger.DecodeOutcome(data)
		if err != nil || o.Code != ledger.CodeStaleKeys {
			return o, err
		}
		if err = v.renew(c); err != nil {
			return ledger.Outcome{}, err
		}
	}
	return ledger.Outcome{}, fmt.Errorf("%w: the keys change faster than a command is made", consensus.ErrNoLeader)
}

// renew makes the persons of a command anew, with the keys of now.
func (v *Vault) renew(c ledger.Command) error {
	persons, bundles := ledger.PersonsOf(c)
	for _, p := range persons {
		who, err := v.Open(p.Sealed)
		if err != nil {
			return err
		}
		fresh, err := v.Person(who, p.New)
		if err != nil {
			return err
		}
		*p = fresh
	}
	for _, b := range bundles {
		if len(b.Sealed) == 0 {
			continue
		}
		who, err := v.Open(b.Sealed)
		if err != nil {
			return err
		}
		if b.Sealed, err = v.Seal(who); err != nil {
			return err
		}
	}
	return nil
}

// probed is what a key proves itself with.
const probed = "gongji-key-probe-v1"

// Probe is what a node makes with a key of a rotation, so that every other node can tell whether its key of that id is
// the same one. Errors: crypto.ErrNoKey.
func (v *Vault) Probe(use crypto.Use, id string) ([]byte, error) {
	if use == crypto.UseData {
		return v.ring.Seal(id, []byte(probed), []byte(probed))
	}
	mac, err := v.ring.MAC(id, []byte(probed))
	return mac[:], err
}

// ErrProbe: a node's key is another one than the key of that id elsewhere.
var ErrProbe = errors.New("vault: another key of the same id")

// Proves checks a probe with this node's key. Errors: crypto.ErrNoKey, ErrProbe.
func (v *Vault) Proves(use crypto.Use, id string, probe []byte) error {
	if use == crypto.UseData {
		plain, err := v.ring.Open(id, probe, []byte(probed))
		if errors.Is(err, crypto.ErrNoKey) {
			return err
		}
		if err != nil || string(plain) != probed {
			return ErrProbe
		}
		return nil
	}
	mac, err := v.ring.MAC(id, []byte(probed))
	if err == nil && subtle.ConstantTimeCompare(mac[:], probe) != 1 {
		return ErrProbe
	}
	return err
}
