package command

import (
	"bytes"
	"fmt"
	"time"

	"gongji/crypto/cert"
	"gongji/crypto/sm/emm"
	"gongji/federation"
	trusted "gongji/gateway/trust"
)

// judge says what is wrong with the certificates of a directory, as every node will. before is what went before it, of
// version 0 if nothing did. Errors: ErrRefused, unless all are warnings.
func (p *Program) judge(file string, d *federation.Directory, before federation.DirectoryData) error {
	previous := &before
	if before.Version == 0 {
		previous = nil
	}
	problems := trusted.CheckDirectory(emm.New(), d.Data(), previous, p.now())
	for _, x := range problems {
		kind := "certificate / 证书"
		if x.Warning {
			kind = "warning / 提示"
		}
		_, _ = fmt.Fprintf(p.Stderr, "%s: %s: %s\n", file, kind, x)
	}
	if trusted.Refused(problems) != nil {
		return ErrRefused
	}
	return nil
}

// fit cuts the validity of a key in a draft to that of its certificate: an offer is made before its certificate is.
func fit(d *federation.DirectoryData, region federation.Region, id string, der []byte) error {
	c, err := cert.Parse(der)
	if err != nil {
		return err
	}
	for i := range d.Members {
		if d.Members[i].Code != region {
			continue
		}
		for j := range d.Members[i].Keys {
			k := &d.Members[i].Keys[j]
			if k.ID != id {
				continue
			}
			if !bytes.Equal(k.Public, c.Public) {
				return fmt.Errorf("the certificate is of another key than %s", id)
			}
			k.NotBefore, k.NotAfter = later(k.NotBefore, c.NotBefore), earlier(k.NotAfter, c.NotAfter)
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
