package command

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"gongji/crypto"
	"gongji/crypto/keyfile"
	"gongji/crypto/sm/emm"
	"gongji/gateway/client"
	"gongji/gateway/internal/operator"
)

// ErrWaits: the act was written down and waits for a second person.
var ErrWaits = errors.New("command: a second person must approve it")

// tokenFile is where the token of a listener's session is kept: in the user's own folder, for nobody else, or where
// --session says.
func (r remote) tokenFile() (string, error) {
	if r.Session != "" {
		return r.Session, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("command: no folder for the session: %w", err)
	}
	name := sha256.Sum256([]byte(strings.TrimSuffix(r.Admin, "/"))) // a file name, no secret
	return filepath.Join(dir, "gongji", "session-"+hex.EncodeToString(name[:8])), nil
}

func (r remote) token() string {
	path, err := r.tokenFile()
	if err != nil {
		return ""
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// client speaks to the listener: TLS 1.3 at least, with a certificate of our own where one is named.
func (r remote) client() (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13}
	if r.CA != "" {
		pem, err := os.ReadFile(r.CA)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUsage, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s has no certificate", ErrUsage, r.CA)
		}
	}
	if (r.TLSCert == "") != (r.TLSKey == "") {
		return nil, fmt.Errorf("%w: --tls-cert and --tls-key go together", ErrUsage)
	}
	if r.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(r.TLSCert, r.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("%w: --tls-cert: %w", ErrUsage, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, DisableKeepAlives: true, // one call and no more
	}}, nil
}

// problem prints a problem document, in both languages; false when the answer is none.
func (p *Program) problem(data []byte) bool {
	var x client.Problem
	if json.Unmarshal(data, &x) != nil || x.Code == "" {
		return false
	}
	_, _ = fmt.Fprintf(p.Stderr, "%s: %s / %s\n", x.Code, x.Detail, x.DetailZH)
	if x.Code == "unauthenticated" {
		_, _ = fmt.Fprintln(p.Stderr, "No session, or it has ended: gateway login. / 会话不存在或已失效,请先 gateway login。")
	}
	return true
}

// waits says that an act waits for the second person.
func (p *Program) waits(data []byte) error {
	var a struct{ ID, Digest string }
	if err := json.Unmarshal(data, &a); err != nil && len(data) > 0 {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	if a.ID == "" {
		return nil // another kind of work that goes on
	}
	err := p.print("%s waits for a second person: gateway acts approve %s --digest %s\n", a.ID, a.ID, a.Digest)
	return errors.Join(err, ErrWaits)
}

func (r remote) json(ctx context.Context, p *Program, method, path string, body any) ([]byte, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return r.send(ctx, p, call{method, path, "application/json", data})
}

// factors are both factors of an operator: a key in a wrapped file, and a passphrase.
type factors struct {
	Name           string `required:"" help:"The operator's name."`
	Key            string `required:"" placeholder:"DIR" help:"Folder of the operator's key."`
	KeyPassphrase  string `required:"" placeholder:"FILE" help:"File with the passphrase of that folder."`
	PassphraseFile string `required:"" placeholder:"FILE" help:"File with the passphrase of the login, another one."`
}

// open opens the key and reads the passphrase of the login.
func (f *factors) open() (*keyfile.Ring, []byte, error) {
	wrap, err := passphrase(f.KeyPassphrase)
	if err != nil {
		return nil, nil, err
	}
	word, err := passphrase(f.PassphraseFile)
	if err != nil {
		return nil, nil, err
	}
	if string(wrap) == string(word) {
		return nil, nil, fmt.Errorf("%w: both passphrases are the same: whoever guesses one would have both", ErrUsage)
	}
	kek, err := keyfile.PassphraseKEK(wrap, keyfile.DefaultCost())
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrUsage, f.KeyPassphrase, err)
	}
	ring, err := keyfile.Open(f.Key, kek, emm.New())
	return ring, word, err
}

// passphrase reads a file that only its owner may read.
func passphrase(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s can be read by others: chmod 600", ErrUsage, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return []byte(strings.TrimRight(string(data), "\r\n")), nil
}

type login struct {
	remote
	factors
}

// Run answers a challenge and keeps the session's token.
func (l *login) Run(ctx context.Context, p *Program) error {
	ring, word, err := l.open()
	if err != nil {
		return err
	}
	answer, err := l.answer(ctx, p, ring, word)
	if err = errors.Join(err, ring.Close()); err != nil {
		return err
	}
	var in struct {
		Token, Operator, Role string
	}
	if err = json.Unmarshal(answer, &in); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	path, err := l.tokenFile()
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(in.Token+"\n"), 0o600)
	}
	if err != nil {
		return err
	}
	return p.print("%s, %s; the session ends after a quarter of an hour without use, or eight hours\n",
		in.Operator, in.Role)
}

func (l *login) answer(ctx context.Context, p *Program, ring *keyfile.Ring, word []byte) ([]byte, error) {
	data, err := l.json(ctx, p, http.MethodPost, "/admin/v1/challenges", nil)
	if err != nil {
		return nil, err
	}
	var c struct {
		Challenge    []byte
		Node, Region string
	}
	if err = json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("command: the node's answer: %w", err)
	}
	id, err := ring.Current(crypto.UseSign)
	if err != nil {
		return nil, fmt.Errorf("%w: %s has no key: gateway operators enroll makes one", ErrUsage, l.Key)
	}
	signature, err := ring.Sign(id, operator.LoginMessage(c.Region, c.Node, l.Name, c.Challenge))
	if err != nil {
		return nil, err
	}
	return l.json(ctx, p, http.MethodPost, "/admin/v1/sessions", map[string]any{
		"name": l.Name, "challenge": c.Challenge, "signature": signature, "passphrase": string(word),
	})
}

type logout struct{ remote }

// Run ends the session, and forgets its token in any case.
func (l *logout) Run(ctx context.Context, p *Program) error {
	_, err := l.json(ctx, p, http.MethodDelete, "/admin/v1/sessions", nil)
	if path, none := l.tokenFile(); none == nil {
		if gone := os.Remove(path); gone != nil && !errors.Is(gone, os.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	return err
}

type sessionOf struct{ remote }

// Run says whose session it is.
func (w *sessionOf) Run(ctx context.Context, p *Program) error {
	data, err := w.json(ctx, p, http.MethodGet, "/admin/v1/whoami", nil)
	if err != nil {
		return err
	}
	var who struct{ Operator, Role, Region, Node string }
	if err = json.Unmarshal(data, &who); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	return p.print("%s, %s of region %s, at %s\n", who.Operator, who.Role, who.Region, who.Node)
}
