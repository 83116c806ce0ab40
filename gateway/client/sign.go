package client

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
)

// signed adds the four headers of api.md section 1; each try has a time and nonce of its own.
func (c *Client) signed(r *http.Request, body []byte) error {
	if c.sign == nil {
		return nil
	}
	at, nonce := FormatTime(c.clock()), rand.Text()
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
