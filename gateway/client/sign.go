package client

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// signed adds the four headers of api.md section 1; each try has a time and nonce of its own.
func (c *Client) signed(r *http.Request, body []byte) error {
	if c.sign == nil {
		return nil
	}
	at, nonce := FormatTime(c.now()), rand.Text()
	sum := c.hash(body)
	message := r.Method + "\n" + r.URL.RequestURI() + "\n" + at + "\n" + nonce + "\n" + hex.EncodeToString(sum[:]) + "\n"
	keyID, sig, err := c.sign([]byte(message))
	if err != nil {
		return errors.Join(errSign, err)
	}
	r.Header.Set("Gongji-Key", keyID)
	r.Header.Set("Gongji-Time", at)
	r.Header.Set("Gongji-Nonce", nonce)
	r.Header.Set("Gongji-Signature", base64.StdEncoding.EncodeToString(sig))
	return nil
}

// skewIgnored is what the clocks may differ by without being set right: Date has whole seconds, and answers take time.
// It is far below what a gateway takes, 300 s.
const skewIgnored = 30 * time.Second

// compare learns from a refusal for its time how far a node's clock is off this one's. A stranger on the way could have
// written the header: it counts only from a node that has proven itself by TLS, or is this machine.
func (c *Client) compare(node, date string) {
	if c.sign == nil || !proven(node) {
		return
	}
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	off := theirs.Sub(c.clock())
	if off.Abs() < skewIgnored {
		off = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = off
}

func proven(node string) bool {
	u, err := url.Parse(node)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// now is the time as the nodes have it.
func (c *Client) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock().Add(c.skew)
}
