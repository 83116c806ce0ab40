// Package trust judges the certificates of a directory: it is the one place where package federation, to which they are
// opaque, and crypto/cert, which knows no directory, meet. The node asks it before it takes a directory, the command
// line before it signs one.
//
// For each key that is not revoked: the certificate is of that key, for that use (double certificates, GM/T 0015) and
// that region, covers the key's validity, leads to an authority of the directory, and is on no revocation list. A key
// whose certificate a list names must stand as revoked in the directory: what every node checks is the directory, and a
// list is how the federation's root knows. So a list that is overdue closes nothing, and is alarmed.
package trust

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"gongji/crypto"
	"gongji/crypto/cert"
	"gongji/federation"
)

// Reasons beside those of crypto/cert.
const (
	// ReasonDropped: the directory before had certificates, this one has none.
	ReasonDropped cert.Reason = "certificates_dropped"
	// ReasonNoList: an authority that issued a certificate here has no revocation list.
	ReasonNoList cert.Reason = "no_revocation_list"
	// ReasonRequired: this region takes only directories with certificates, this one has none.
	ReasonRequired cert.Reason = "certificates_required"
)

// Problem is one thing that is wrong with the certificates of a directory.
type Problem struct {
	Region  federation.Region // "" for authorities and lists
	KeyID   string            // "" if it is of no single key
	Reason  cert.Reason
	Detail  string
	Warning bool // the directory may be used all the same
}

// String is the problem in one line, in English and Chinese.
func (p Problem) String() string {
	where := "the authorities"
	if p.Region != "" {
		where = fmt.Sprintf("%s key %s", p.Region, p.KeyID)
	}
	return fmt.Sprintf("%s: %s: %s / %s", where, p.Reason, p.Detail, textZH(p.Reason))
}

func textZH(r cert.Reason) string {
	if text, ok := textsZH()[r]; ok {
		return text
	}
	return "证书不符合要求"
}

func textsZH() map[cert.Reason]string {
	return map[cert.Reason]string{
		cert.ReasonMalformed: "格式错误", cert.ReasonAlgorithm: "不是SM2/SM3算法", cert.ReasonKey: "证书与目录中的公钥不一致",
		cert.ReasonSubject: "证书主体不是该统筹区", cert.ReasonUsage: "密钥用途不符(双证书)",
		cert.ReasonConstraints: "基本约束不符", cert.ReasonExtension: "含有不支持的关键扩展",
		cert.ReasonValidity: "不在有效期内", cert.ReasonSignature: "签名验证失败", cert.ReasonIssuer: "无可信的签发机构",
		cert.ReasonPath: "证书链过长", cert.ReasonRevoked: "证书已被撤销，目录中的密钥也须标为撤销",
		cert.ReasonTwice: "重复", cert.ReasonMissing: "缺少证书", cert.ReasonEnvelope: "加密私钥信封无法打开", cert.ReasonTooMany: "数量超出上限",
		cert.ReasonList: "撤销列表不属于目录中的签发机构或时间不符", cert.ReasonListExpired: "撤销列表已过期，应更新",
		ReasonDropped: "上一版目录有证书，本版没有", ReasonNoList: "签发机构没有撤销列表",
		ReasonRequired: "本区要求目录附有证书，本版没有",
	}
}

// Refused is an error that names the first problems that are no warnings, or nil.
func Refused(problems []Problem) error {
	var texts []string
	for _, p := range problems {
		if !p.Warning {
			texts = append(texts, p.String())
		}
	}
	const shown = 3
	switch {
	case len(texts) == 0:
		return nil
	case len(texts) > shown:
		texts = append(texts[:shown], fmt.Sprintf("and %d more", len(texts)-shown))
	}
	return &RefusedError{text: strings.Join(texts, "; ")}
}

// RefusedError says what keeps a directory from being taken.
type RefusedError struct{ text string }

// Error names the problems.
func (e *RefusedError) Error() string { return "trust: certificates of the directory: " + e.text }

// CheckDirectory returns what is wrong with the certificates of a directory at a moment. previous is what is in force,
// or nil. A federation may run without certificates: then there are no authorities, and no key has one.
func CheckDirectory(
	suite crypto.Suite, data federation.DirectoryData, previous *federation.DirectoryData, now time.Time,
) []Problem {
	c := &check{now: now}
	if len(data.Authorities) == 0 {
		c.without(data, previous)
		return c.problems
	}
	t, err := cert.NewTrust(suite, data.Authorities, data.RevocationLists, now)
	if err != nil {
		c.add("", "", err)
		return c.problems
	}
	c.trust = t
	for i := range data.Members {
		m := &data.Members[i]
		for j := range m.Keys {
			c.key(m.Code, &m.Keys[j])
		}
	}
	for _, l := range t.Lists() {
		if l.Overdue(now) {
			c.warn(cert.ReasonListExpired, "the next list of "+l.Issuer+" is overdue")
		}
	}
	for _, a := range t.Authorities() {
		if len(data.RevocationLists) > 0 && !listed(t, a) {
			c.warn(ReasonNoList, a.Subject+" has no revocation list here")
		}
	}
	return c.problems
}

// Require returns what is wrong with a directory for a region that takes no key without a certificate: that it has no
// authority. Where there is one, CheckDirectory asks every key for its certificate.
func Require(data federation.DirectoryData) []Problem {
	if len(data.Authorities) > 0 {
		return nil
	}
	return []Problem{{
		Reason: ReasonRequired,
		Detail: "the directory has no authority and no certificates (directory.require_certificates)",
	}}
}

func listed(t *cert.Trust, a *cert.Certificate) bool {
	for _, l := range t.Lists() {
		if l.Issuer == a.Subject {
			return true
		}
	}
	return false
}

// check is one CheckDirectory.
type check struct {
	trust    *cert.Trust
	now      time.Time
	problems []Problem
}

func (c *check) add(region federation.Region, key string, err error) {
	p := Problem{Region: region, KeyID: key, Reason: cert.ReasonMalformed, Detail: err.Error()}
	if refused, ok := asRefused(err); ok {
		p.Reason, p.Detail = refused.Reason, refused.Detail
	}
	c.problems = append(c.problems, p)
}

func (c *check) warn(reason cert.Reason, detail string) {
	c.problems = append(c.problems, Problem{Reason: reason, Detail: detail, Warning: true})
}

// without judges a directory without authorities.
func (c *check) without(data federation.DirectoryData, previous *federation.DirectoryData) {
	if previous != nil && len(previous.Authorities) > 0 {
		c.problems = append(c.problems, Problem{
			Reason: ReasonDropped, Detail: "the directory before had certificates, this one has no authority",
		})
	}
	for _, m := range data.Members {
		for _, k := range m.Keys {
			if len(k.Certificate) > 0 {
				c.add(m.Code, k.ID, &cert.RefusedError{Reason: cert.ReasonIssuer, Detail: "the directory has no authority"})
			}
		}
	}
}

// key judges one key. Of a revoked one the certificate may be gone, its authority too: nobody uses it any more, and
// evidence of before names the key.
func (c *check) key(region federation.Region, k *federation.Key) {
	if k.Revoked && len(k.Certificate) == 0 {
		return
	}
	if len(k.Certificate) == 0 {
		c.add(region, k.ID, &cert.RefusedError{Reason: cert.ReasonMissing, Detail: "the key has no certificate"})
		return
	}
	certificate, err := cert.Parse(k.Certificate)
	if err != nil {
		c.add(region, k.ID, err)
		return
	}
	if err = matches(region, k, certificate); err == nil && !k.Revoked {
		err = c.trust.Check(certificate, momentOf(k, c.now))
	}
	if err != nil {
		c.add(region, k.ID, err)
	}
}

// matches holds the certificate against the key's entry.
func matches(region federation.Region, k *federation.Key, c *cert.Certificate) error {
	if !bytes.Equal(c.Public, k.Public) {
		return &cert.RefusedError{Reason: cert.ReasonKey, Detail: "the certificate is of another key"}
	}
	use := cert.UseSign
	if k.Use == federation.UseSeal {
		use = cert.UseSeal
	}
	if err := c.Check(use, string(region)); err != nil {
		return err
	}
	if k.NotBefore.Before(c.NotBefore) || k.NotAfter.After(c.NotAfter) {
		return &cert.RefusedError{Reason: cert.ReasonValidity, Detail: fmt.Sprintf(
			"the key is valid from %s to %s, its certificate from %s to %s", k.NotBefore.Format(time.RFC3339),
			k.NotAfter.Format(time.RFC3339), c.NotBefore.Format(time.RFC3339), c.NotAfter.Format(time.RFC3339))}
	}
	return nil
}

// momentOf is when the path is judged: now, or for a key of before or of later the nearest moment of its validity. An
// old key stands beside the new one until nothing signed with it has to be understood.
func momentOf(k *federation.Key, now time.Time) time.Time {
	switch {
	case now.Before(k.NotBefore):
		return k.NotBefore
	case !now.Before(k.NotAfter):
		return k.NotAfter.Add(-time.Second)
	}
	return now
}
