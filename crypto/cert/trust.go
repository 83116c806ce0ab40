package cert

import (
	"bytes"
	"slices"
	"time"

	"gongji/crypto"
)

// Trust is what a federation trusts: its authorities and their revocation lists. It never changes; safe for concurrent
// use. Who hands in the authorities vouches for them: in the federation its root does, by the signed directory.
type Trust struct {
	suite       crypto.Suite
	authorities []*authority
}

type authority struct {
	*Certificate

	root bool  // signed by itself
	list *List // nil if there is none
}

// NewTrust takes certificates of authorities and revocation lists, in DER. Each list must be signed by one of the
// authorities. now judges whether a list is from the future. Errors: *RefusedError.
func NewTrust(suite crypto.Suite, authorities, lists [][]byte, now time.Time) (*Trust, error) {
	if len(authorities) > AuthoritiesMax || len(lists) > ListsMax {
		return nil, refuse(ReasonTooMany, "%d authorities, %d lists", len(authorities), len(lists))
	}
	t := &Trust{suite: suite}
	for i, der := range authorities {
		c, err := Parse(der)
		if err != nil {
			return nil, at(err, "authority", i)
		}
		if c.Use != UseAuthority {
			return nil, refuse(ReasonConstraints, "%s is not an authority's certificate", c.Subject)
		}
		if slices.ContainsFunc(t.authorities, func(a *authority) bool { return bytes.Equal(a.Raw, der) }) {
			return nil, refuse(ReasonTwice, "the authority %s", c.Subject)
		}
		t.authorities = append(t.authorities, &authority{Certificate: c, root: c.issuedBy(c) && c.verify(suite, c) == nil})
	}
	for i, der := range lists {
		if err := t.addList(der, now); err != nil {
			return nil, at(err, "revocation list", i)
		}
	}
	return t, nil
}

// at says which one of several was refused.
func at(err error, what string, i int) error {
	if refused, ok := errorsAs(err); ok {
		return refuse(refused.Reason, "%s %d: %s", what, i+1, refused.Detail)
	}
	return err
}

// skew is how far clocks may be apart, as for parcels.
const skew = 5 * time.Minute

func (t *Trust) addList(der []byte, now time.Time) error {
	l, err := ParseList(der)
	if err != nil {
		return err
	}
	for _, a := range t.authorities {
		if !l.issuedBy(a.Certificate) || l.verify(t.suite, a.Certificate) != nil {
			continue
		}
		switch {
		case !a.SignsList:
			return refuse(ReasonUsage, "%s may not sign lists", a.Subject)
		case a.list != nil:
			return refuse(ReasonTwice, "two lists of %s", a.Subject)
		case l.ThisUpdate.After(now.Add(skew)):
			return refuse(ReasonList, "the list of %s is from the future", a.Subject)
		}
		a.list = l
		return nil
	}
	return refuse(ReasonList, "the list of %s is of no authority here, or not signed by it", l.Issuer)
}

// Check returns nil if there is a path from c to a root: each link signed, valid at that moment, named by no list,
// within its path length. Errors: *RefusedError; of several candidates, the one that came farthest.
func (t *Trust) Check(c *Certificate, at time.Time) error {
	if c.Use == UseAuthority {
		return refuse(ReasonUsage, "an authority's certificate stands where a region's must")
	}
	return t.check(c, at, 0)
}

// check looks for the issuer of c, below which depth authorities stand.
func (t *Trust) check(c *Certificate, at time.Time, depth int) error {
	if !c.ValidAt(at) {
		return refuse(ReasonValidity, "%s is valid from %s to %s, not at %s", c.Subject,
			c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	}
	err := refuse(ReasonIssuer, "no trusted authority %s issued %s", c.Issuer, c.Subject)
	for _, a := range t.authorities {
		if !c.issuedBy(a.Certificate) {
			continue
		}
		if wrong := c.verify(t.suite, a.Certificate); wrong != nil {
			err = wrong
			continue
		}
		// The key is the issuer's: whatever is wrong with this link is what the caller should hear.
		if wrong := t.link(c, a, at, depth); wrong != nil {
			err = wrong
			continue
		}
		return nil
	}
	return err
}

// link judges the rest of the path above a certificate that a has signed.
func (t *Trust) link(c *Certificate, a *authority, at time.Time, depth int) error {
	if a.list != nil && a.list.Names(c.Serial) {
		return refuse(ReasonRevoked, "%s, serial number %s, is on the list of %s", c.Subject, c.Serial, a.Subject)
	}
	if depth+2 > PathMax || (a.PathLen >= 0 && depth > a.PathLen) {
		return refuse(ReasonPath, "%d authorities stand below %s", depth, a.Subject)
	}
	if !a.root {
		return t.check(a.Certificate, at, depth+1)
	}
	if !a.ValidAt(at) {
		return refuse(ReasonValidity, "the root %s is not valid at %s", a.Subject, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// Authorities are the authorities' certificates, in the order in which they were handed in.
func (t *Trust) Authorities() []*Certificate {
	out := make([]*Certificate, len(t.authorities))
	for i, a := range t.authorities {
		out[i] = a.Certificate
	}
	return out
}

// Lists are the revocation lists, in the order of their authorities.
func (t *Trust) Lists() []*List {
	var out []*List
	for _, a := range t.authorities {
		if a.list != nil {
			out = append(out, a.list)
		}
	}
	return out
}

// Revoked reports whether the list of an authority that signed c names it, whatever else is wrong with c.
func (t *Trust) Revoked(c *Certificate) bool {
	return slices.ContainsFunc(t.authorities, func(a *authority) bool {
		return a.list != nil && a.list.Names(c.Serial) && c.issuedBy(a.Certificate) &&
			c.verify(t.suite, a.Certificate) == nil
	})
}
