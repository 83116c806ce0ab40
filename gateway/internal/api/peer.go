package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"slices"

	"gongji/gateway/internal/policy"
)

// The headers by which a trusted front (a terminator of TLCP) tells whose certificate it has checked. On every other
// listener a request that carries one is refused: who is let through there could be anybody.
const (
	headerFrontDigest  = "Gongji-Client-Cert-Digest"
	headerFrontSubject = "Gongji-Client-Subject"
)

// peer is who stands at the other end of the connection, as a certificate says that was checked: here, or by a trusted
// front. Empty without one.
type peer struct {
	digest  string // lower-case hex SHA-256 of the certificate's SubjectPublicKeyInfo
	subject string // RFC 2253
}

type peerKey struct{}

func withPeer(r *http.Request, p peer) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), peerKey{}, p))
}

func peerOf(r *http.Request) peer {
	p, _ := r.Context().Value(peerKey{}).(peer)
	return p
}

// KeyDigest is what a key is bound to: the lower-case hex SHA-256 of a certificate's SubjectPublicKeyInfo.
func KeyDigest(subjectPublicKeyInfo []byte) string {
	sum := sha256.Sum256(subjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// checked is the certificate that the TLS layer has verified, nil without one.
func checked(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}

// direct serves those who connect themselves: their certificate is the connection's.
func (f *Face) direct(w http.ResponseWriter, r *http.Request) {
	if len(r.Header.Values(headerFrontDigest)) > 0 || len(r.Header.Values(headerFrontSubject)) > 0 {
		f.audit("front_header_refused", "no_front")
		f.send(w, f.refuse(&Error{Code: policy.CodeUnauthenticated}))
		return
	}
	var p peer
	if cert := checked(r.TLS); cert != nil {
		p = peer{KeyDigest(cert.RawSubjectPublicKeyInfo), cert.Subject.String()}
		if len(p.subject) > subjectMax {
			p.subject = "" // no key can be bound to it
		}
	}
	f.ServeHTTP(w, withPeer(r, p))
}

// Bounds of what a front may say.
const subjectMax = 1 << 10

// fronted serves what a trusted front hands on: the connection's certificate must be one of the pinned ones, and the
// client's identity is what the front says.
func (f *Face) fronted(pins []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		cert := checked(r.TLS)
		if cert == nil || !slices.Contains(pins, KeyDigest(cert.RawSubjectPublicKeyInfo)) {
			f.audit("front_refused", "not_pinned")
			f.send(w, f.refuse(&Error{Code: policy.CodeUnauthenticated}))
			return
		}
		digests, subjects := r.Header.Values(headerFrontDigest), r.Header.Values(headerFrontSubject)
		p := peer{r.Header.Get(headerFrontDigest), r.Header.Get(headerFrontSubject)}
		if len(digests) > 1 || len(subjects) > 1 || p.digest+p.subject == "" || len(p.subject) > subjectMax ||
			p.digest != "" && !ValidDigest(p.digest) {
			f.audit("front_refused", "no_client")
			f.send(w, f.refuse(&Error{Code: policy.CodeUnauthenticated}))
			return
		}
		f.ServeHTTP(w, withPeer(r, p))
	}
}

// ValidDigest reports whether s has the form of a KeyDigest.
func ValidDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// bound reports whether the connection is one that a key may be used on.
func (p *Platform) bound(at peer) bool {
	return (p.CertDigest == "" || p.CertDigest == at.digest) && (p.CertSubject == "" || p.CertSubject == at.subject)
}
