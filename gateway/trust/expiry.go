package trust

import (
	"errors"
	"time"

	"gongji/crypto/cert"
	"gongji/federation"
)

func asRefused(err error) (*cert.RefusedError, bool) { return errors.AsType[*cert.RefusedError](err) }

// Kind is what expires.
type Kind string

// The kinds.
const (
	KindKey       Kind = "key"             // a region's key, with its certificate if it has one
	KindAuthority Kind = "authority"       // an authority's certificate
	KindList      Kind = "revocation_list" // the next one is due
)

// Expiry is when something of the directory ends.
type Expiry struct {
	Kind   Kind
	Region federation.Region // of a key
	Name   string            // a key's id, or the subject of an authority
	Use    federation.KeyUse // of a key
	At     time.Time
}

// DaysLeft is how many days are left, below zero if it is over.
func (e Expiry) DaysLeft(now time.Time) float64 { return e.At.Sub(now).Hours() / 24 }

// Expiries lists what ends: of every member and use the newest key that is not revoked, judged by the shorter of key
// and certificate, since the others are being replaced; every authority; every list. What cannot be read is left out.
func Expiries(data federation.DirectoryData) []Expiry {
	var out []Expiry
	for i := range data.Members {
		m := &data.Members[i]
		for _, use := range []federation.KeyUse{federation.UseSign, federation.UseSeal} {
			if k, ok := newest(m.Keys, use); ok {
				out = append(out, Expiry{Kind: KindKey, Region: m.Code, Name: k.ID, Use: use, At: endOf(k)})
			}
		}
	}
	for _, der := range data.Authorities {
		if c, err := cert.Parse(der); err == nil {
			out = append(out, Expiry{Kind: KindAuthority, Name: c.Subject, At: c.NotAfter})
		}
	}
	for _, der := range data.RevocationLists {
		if l, err := cert.ParseList(der); err == nil {
			out = append(out, Expiry{Kind: KindList, Name: l.Issuer, At: l.NextUpdate})
		}
	}
	return out
}

// newest is the key of a use that ends last.
func newest(keys []federation.Key, use federation.KeyUse) (federation.Key, bool) {
	var best federation.Key
	for _, k := range keys {
		if k.Use == use && !k.Revoked && k.NotAfter.After(best.NotAfter) {
			best = k
		}
	}
	return best, best.ID != ""
}

func endOf(k federation.Key) time.Time {
	c, err := cert.Parse(k.Certificate)
	if err == nil && c.NotAfter.Before(k.NotAfter) {
		return c.NotAfter
	}
	return k.NotAfter
}
