package hsm

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"time"

	"gongji/crypto"
)

// open connects and logs in. Errors: crypto.ErrAway; crypto.ErrAccess with ErrPIN or ErrLocked.
func (p *pool) open() (*link, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialWithin)
	defer cancel()
	c, err := p.options.Dial(ctx, "unix", p.options.Socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", crypto.ErrAway, err)
	}
	l := &link{c: c}
	if err = c.SetDeadline(time.Now().Add(loginWithin)); err == nil {
		err = p.login(l)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return l, nil
}

func away(err error) error { return fmt.Errorf("%w: login: %w", crypto.ErrAway, err) }

// hello takes the module's greeting and returns its nonce.
func hello(r io.Reader) ([]byte, error) {
	frame, err := readFrame(r, loginMax, func() error { return nil })
	if err != nil {
		return nil, away(err)
	}
	if refused := errorOf(status(frame[0])); refused != nil {
		return nil, fmt.Errorf("%w: %w", crypto.ErrAway, refused)
	}
	nonce, ok := bytes.CutPrefix(frame[1:], []byte(magic))
	if !ok || len(nonce) != nonceSize {
		return nil, away(errFrame)
	}
	return nonce, nil
}

// login proves the PIN, and has the module prove that it knows it too.
func (p *pool) login(l *link) error {
	server, err := hello(l.c)
	if err != nil {
		return err
	}
	client := make([]byte, nonceSize)
	if _, err = io.ReadFull(rand.Reader, client); err != nil {
		return away(err)
	}
	salt, err := l.step(append([]byte{byte(p.role)}, client...), saltSize)
	if err != nil {
		return err
	}
	keys, err := p.prove(salt)
	if err != nil {
		return err
	}
	login := loginOf(p.role, server, client, salt)
	stored := p.options.Suite.Sum(keys.client[:])
	proof := p.options.Suite.MAC(stored[:], login)
	subtle.XORBytes(proof[:], proof[:], keys.client[:])
	own, err := l.step(proof[:], proofSize)
	if err != nil {
		return err
	}
	want := p.options.Suite.MAC(keys.server[:], login)
	if subtle.ConstantTimeCompare(own, want[:]) != 1 {
		return fmt.Errorf("%w: %w: something else stands in the module's place", crypto.ErrAccess, ErrPIN)
	}
	return nil
}

// step sends a frame of the login and takes an answer of exactly that size.
func (l *link) step(body []byte, size int) ([]byte, error) {
	answer, err := l.round(body, loginMax)
	if err != nil {
		return nil, away(err)
	}
	if refused := errorOf(status(answer[0])); refused != nil {
		return nil, fmt.Errorf("%w: %w", crypto.ErrAccess, refused)
	}
	if len(answer) != 1+size {
		return nil, away(errFrame)
	}
	return answer[1:], nil
}

// prove derives the keys of the PIN, once for each salt.
func (p *pool) prove(salt []byte) (*proofs, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("%w: closed", crypto.ErrAway)
	}
	if p.proofs == nil || !bytes.Equal(p.salt, salt) { // a salt is no secret
		p.salt, p.proofs = bytes.Clone(salt), prove(p.options.Suite, p.pin, salt)
	}
	return p.proofs, nil
}
