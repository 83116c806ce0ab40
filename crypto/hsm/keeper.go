package hsm

import (
	"slices"
	"time"

	"gongji/crypto"
)

// text asks for one text by another.
func (c *Client) text(op operation, argument string) (string, error) {
	var e encoder
	e.text(argument)
	answer, err := c.users.ask(op, &e)
	return string(answer), err
}

// Current returns the id of the newest key of a use.
func (c *Client) Current(use crypto.Use) (string, error) { return c.text(opCurrent, string(use)) }

// Public returns the public half of a sign or decrypt key.
func (c *Client) Public(id string) (crypto.Public, error) {
	var e encoder
	e.text(id)
	answer, err := c.users.ask(opPublic, &e)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// with asks for something by a key's id and contents.
func (c *Client) with(op operation, id string, contents ...[]byte) ([]byte, error) {
	var e encoder
	e.text(id)
	for _, b := range contents {
		e.bytes(b)
	}
	return c.users.ask(op, &e)
}

// Sign signs with a key of crypto.UseSign.
func (c *Client) Sign(id string, message []byte) ([]byte, error) { return c.with(opSign, id, message) }

// Unwrap opens a wrapped secret with a key of crypto.UseDecrypt.
func (c *Client) Unwrap(id string, wrapped []byte) ([]byte, error) {
	return c.with(opUnwrap, id, wrapped)
}

// MAC returns HMAC-SM3 with a key of crypto.UseToken or crypto.UseEvidence over the concatenation of parts.
func (c *Client) MAC(id string, parts ...[]byte) ([crypto.HashSize]byte, error) {
	if len(parts) > partsMax {
		parts = [][]byte{slices.Concat(parts...)}
	}
	var e encoder
	e.text(id)
	e.b = append(e.b, byte(len(parts)))
	for _, part := range parts {
		e.bytes(part)
	}
	answer, err := c.users.ask(opMAC, &e)
	if err != nil {
		return [crypto.HashSize]byte{}, err
	}
	if len(answer) != crypto.HashSize {
		return [crypto.HashSize]byte{}, ErrRequest
	}
	return [crypto.HashSize]byte(answer), nil
}

// Seal seals with a key of crypto.UseData.
func (c *Client) Seal(id string, plaintext, additional []byte) ([]byte, error) {
	return c.with(opSeal, id, plaintext, additional)
}

// Open opens what Seal sealed.
func (c *Client) Open(id string, sealed, additional []byte) ([]byte, error) {
	return c.with(opOpen, id, sealed, additional)
}

// Generate has the module make a key. After crypto.ErrAway nobody knows whether it did: IDs tells.
func (c *Client) Generate(use crypto.Use) (string, error) { return c.text(opGenerate, string(use)) }

// Monthly returns the data key of the month of t. Other errors: ErrMonth for one that is more than 62 days from the
// module's now.
func (c *Client) Monthly(t time.Time) (string, error) {
	var e encoder
	e.number(t.Unix())
	answer, err := c.users.ask(opMonthly, &e)
	return string(answer), err
}

// IDs returns the ids of a use, newest first.
func (c *Client) IDs(use crypto.Use) ([]string, error) {
	var e encoder
	e.text(string(use))
	answer, err := c.users.ask(opIDs, &e)
	if err != nil {
		return nil, err
	}
	d := &decoder{rest: answer}
	var ids []string
	for len(d.rest) > 0 {
		ids = append(ids, d.text())
	}
	if !d.whole() {
		return nil, ErrRequest
	}
	return ids, nil
}

// Destroy has the module destroy a key, in a session with the officer's PIN. Without that PIN: crypto.ErrAccess.
func (c *Client) Destroy(id string, order crypto.Order) error {
	if !order.Valid() {
		return crypto.ErrOrder
	}
	if c.officers == nil {
		return crypto.ErrAccess
	}
	var e encoder
	e.text(id)
	e.text(order.Who)
	e.text(order.Reason)
	_, err := c.officers.ask(opDestroy, &e)
	return err
}

// Reload has the module take notice of what another process did to its keys.
func (c *Client) Reload() error {
	_, err := c.users.ask(opReload, &encoder{})
	return err
}
