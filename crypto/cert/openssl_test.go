//go:build integration

package cert_test

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/crypto/sm/emm"
)

// openssl is the OpenSSL command line in a folder of its own. OpenSSL 3.0 takes an empty SM2 user id unless told, and
// tells only the certificate named on the command line: so a path is checked link by link.
type openssl struct {
	t   *testing.T
	dir string
}

const distID = "distid:" + crypto.UserID

func newOpenSSL(t *testing.T) openssl {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("the openssl command is needed: %v", err)
	}
	return openssl{t: t, dir: t.TempDir()}
}

func (o openssl) path(name string) string { return filepath.Join(o.dir, name) }

func (o openssl) try(args ...string) (string, error) {
	c := exec.CommandContext(o.t.Context(), "openssl", args...)
	c.Dir = o.dir
	out, err := c.CombinedOutput()
	return string(out), err
}

func (o openssl) run(args ...string) string {
	o.t.Helper()
	out, err := o.try(args...)
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (o openssl) write(name, kind string, content []byte) {
	o.t.Helper()
	if kind != "" {
		content = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	}
	if err := os.WriteFile(o.path(name), content, 0o600); err != nil {
		o.t.Fatal(err)
	}
}

func (o openssl) read(name string) []byte {
	o.t.Helper()
	raw, err := os.ReadFile(o.path(name))
	if err != nil {
		o.t.Fatal(err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		return block.Bytes
	}
	return raw
}

// key makes an SM2 key in a file, and a certificate request for it.
func (o openssl) key(name, subject string) {
	o.t.Helper()
	o.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-pkeyopt", "ec_param_enc:named_curve",
		"-out", name+".key")
	o.run("req", "-new", "-sm3", "-sigopt", distID, "-key", name+".key", "-subj", subject, "-out", name+".csr")
}

// TestOpenSSLReadsOurs: OpenSSL verifies our request, every link of our path, and our revocation list.
func TestOpenSSLReadsOurs(t *testing.T) {
	o, f := newOpenSSL(t), newFederation(t)
	o.write("region.csr", "CERTIFICATE REQUEST", f.request.Raw)
	o.run("req", "-verify", "-noout", "-vfyopt", distID, "-in", "region.csr")
	for name, der := range map[string][]byte{"root": f.rootDER, "middle": f.middleDER, "sign": f.sign, "seal": f.seal} {
		o.write(name+".pem", "CERTIFICATE", der)
	}
	at := []string{"-attime", "1795435200", "-x509_strict"}
	o.run(append([]string{"verify", "-CAfile", "root.pem", "-vfyopt", distID}, append(at, "middle.pem")...)...)
	for _, leaf := range []string{"sign.pem", "seal.pem"} {
		args := []string{"verify", "-partial_chain", "-trusted", "middle.pem", "-vfyopt", distID}
		o.run(append(args, append(at, leaf)...)...)
	}
	if out, err := o.try("verify", "-CAfile", "root.pem", "-vfyopt", distID, "sign.pem"); err == nil {
		t.Errorf("a path with a hole: %s", out)
	}
	text := o.run("x509", "-noout", "-text", "-in", "sign.pem") + o.run("x509", "-noout", "-text", "-in", "seal.pem")
	for _, want := range []string{
		"SM2-with-SM3", "Digital Signature, Non Repudiation", "Key Encipherment", "CA:FALSE", region,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl does not see %q in\n%s", want, text)
		}
	}
	serial := parse(t, f.sign).Serial
	o.write("list.pem", "X509 CRL", list(t, f.middle, 5, serial))
	text = o.run("crl", "-noout", "-text", "-in", "list.pem")
	if !strings.Contains(strings.ToLower(text), serial) || !strings.Contains(text, "Key Compromise") {
		t.Errorf("openssl does not see the revoked one in\n%s", text)
	}
}

// TestOpenSSLsRead: we issue for OpenSSL's requests, and check certificates and lists that OpenSSL has issued.
func TestOpenSSLsRead(t *testing.T) {
	o, f := newOpenSSL(t), newFederation(t)
	o.key("stranger", "/C=CN/O=other/CN=310000")
	r := must[*cert.Request](t)(cert.ParseRequest(f.suite, o.read("stranger.csr")))
	c := parse(t, must[[]byte](t)(f.middle.Sign(r, year(0, 1))))
	if err := f.trust(t).Check(c, now); err != nil || c.Region != "310000" {
		t.Errorf("%+v, %v", c, err)
	}

	o.write("ca.cnf", "", []byte(`[req]
distinguished_name=dn
[dn]
[ca]
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
[sign]
basicConstraints=CA:FALSE
keyUsage=critical,digitalSignature,nonRepudiation
authorityKeyIdentifier=keyid
[seal]
keyUsage=keyEncipherment,dataEncipherment,keyAgreement
[both]
keyUsage=digitalSignature,nonRepudiation,keyEncipherment
[odd]
keyUsage=digitalSignature,nonRepudiation
nameConstraints=critical,permitted;DNS:example.org
[list]
authorityKeyIdentifier=keyid
[default]
default_ca=authority
[authority]
database=index.txt
crlnumber=number.txt
default_md=sm3
`))
	o.key("ca", "/C=CN/CN=OpenSSL Root")
	o.run("x509", "-req", "-sm3", "-sigopt", distID, "-vfyopt", distID, "-in", "ca.csr", "-signkey", "ca.key", "-days",
		"3650",
		"-extfile", "ca.cnf", "-extensions", "ca", "-out", "ca.pem")
	o.key("region", "/C=CN/O=region/CN="+region)
	moment := time.Now()
	trust := must[*cert.Trust](t)(cert.NewTrust(f.suite, [][]byte{o.read("ca.pem")}, nil, moment))
	for section, want := range map[string]cert.Reason{
		"sign": "", "seal": "", "both": cert.ReasonUsage, "odd": cert.ReasonExtension,
	} {
		o.run("x509", "-req", "-sm3", "-sigopt", distID, "-vfyopt", distID, "-in", "region.csr", "-CA", "ca.pem", "-CAkey",
			"ca.key", "-CAcreateserial", "-days", "365", "-extfile", "ca.cnf", "-extensions", section, "-out", section+".pem")
		c, err := cert.Parse(o.read(section + ".pem"))
		if want != "" {
			refused(t, err, want)
			continue
		}
		if err != nil || c.Check(cert.Use(section), region) != nil {
			t.Errorf("%s: %+v, %v", section, c, err)
			continue
		}
		if err = trust.Check(c, moment.Add(time.Minute)); err != nil {
			t.Errorf("%s: %v", section, err)
		}
	}
	// Without the user id of GB/T 35276 a signature is another one.
	o.run("x509", "-req", "-sm3", "-vfyopt", distID, "-in", "region.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
		"-CAcreateserial",
		"-days", "365", "-extfile", "ca.cnf", "-extensions", "sign", "-out", "empty.pem")
	refused(t, trust.Check(parse(t, o.read("empty.pem")), moment.Add(time.Minute)), cert.ReasonSignature)
	o.list(moment)
}

// list checks a list that OpenSSL makes: it names the signing certificate, and not the other.
func (o openssl) list(moment time.Time) {
	o.t.Helper()
	c := parse(o.t, o.read("sign.pem"))
	entry := "R\t361231000000Z\t261101000000Z,keyCompromise\t" + strings.ToUpper(c.Serial) +
		"\tunknown\t/CN=" + region + "\n"
	o.write("index.txt", "", []byte(entry))
	o.write("number.txt", "", []byte("07\n"))
	o.run("ca", "-config", "ca.cnf", "-name", "authority", "-gencrl", "-crldays", "30", "-md", "sm3", "-sigopt", distID,
		"-keyfile", "ca.key", "-cert", "ca.pem", "-crlexts", "list", "-out", "list.pem")
	suite := emm.New()
	trust, err := cert.NewTrust(suite, [][]byte{o.read("ca.pem")}, [][]byte{o.read("list.pem")}, moment.Add(time.Minute))
	if err != nil {
		o.t.Fatal(err)
	}
	refused(o.t, trust.Check(c, moment.Add(time.Minute)), cert.ReasonRevoked)
	if err = trust.Check(parse(o.t, o.read("seal.pem")), moment.Add(time.Minute)); err != nil {
		o.t.Error(err)
	}
}

// TestOpenSSLSignatures: signatures and SM2 ciphertexts (ASN.1, GB/T 35276) both ways.
func TestOpenSSLSignatures(t *testing.T) {
	o, f := newOpenSSL(t), newFederation(t)
	message := []byte("四川省医疗保障局 signs")
	o.write("message", "", message)
	o.write("sign.pem", "CERTIFICATE", f.sign)
	o.write("seal.pem", "CERTIFICATE", f.seal)
	for _, use := range []string{"sign", "seal"} {
		o.write(use+".pub", "", []byte(o.run("x509", "-pubkey", "-noout", "-in", use+".pem")))
	}
	o.write("signature", "", must[[]byte](t)(f.ring.Sign(f.signID, message)))
	verify := []string{"pkeyutl", "-verify", "-rawin", "-digest", "sm3", "-pkeyopt", distID, "-in", "message"}
	o.run(append(verify, "-pubin", "-inkey", "sign.pub", "-sigfile", "signature")...)
	if _, err := o.try(append(verify, "-pubin", "-inkey", "seal.pub", "-sigfile", "signature")...); err == nil {
		t.Error("another key verifies")
	}

	o.key("theirs", "/CN="+region)
	r := must[*cert.Request](t)(cert.ParseRequest(f.suite, o.read("theirs.csr")))
	o.run("pkeyutl", "-sign", "-rawin", "-digest", "sm3", "-pkeyopt", distID, "-in", "message", "-inkey", "theirs.key",
		"-out",
		"theirs.signature")
	v := must[crypto.Verifier](t)(f.suite.Verifier(r.Public))
	if err := v.Verify(message, o.read("theirs.signature")); err != nil {
		t.Error(err)
	}

	secret := bytes.Repeat([]byte{0x5a, 0xc3}, 8)
	o.write("secret", "", secret)
	o.run("pkeyutl", "-encrypt", "-pubin", "-inkey", "seal.pub", "-in", "secret", "-out", "wrapped")
	opened, err := f.ring.Unwrap(f.sealID, o.read("wrapped"))
	if err != nil || !bytes.Equal(opened, secret) {
		t.Errorf("%x, %v", opened, err)
	}
	wrapper := must[crypto.Wrapper](t)(f.suite.Wrapper(r.Public))
	o.write("ours", "", must[[]byte](t)(wrapper.Wrap(secret)))
	o.run("pkeyutl", "-decrypt", "-inkey", "theirs.key", "-in", "ours", "-out", "opened")
	if !bytes.Equal(o.read("opened"), secret) {
		t.Errorf("openssl opened %x", o.read("opened"))
	}
}
