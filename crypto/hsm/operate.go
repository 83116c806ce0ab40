package hsm

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"gongji/crypto"
)

// do does one request of a session of that role. It is all that a request can reach. Errors: errFrame for what cannot
// be read, else what the requester is told.
func (s *Server) do(ctx context.Context, role Role, request []byte) ([]byte, error) {
	d := &decoder{rest: request}
	op := operation(d.byte())
	if !known(op) {
		return nil, errFrame
	}
	if !role.allowed(op) {
		s.audit(ctx, "hsm_access_refused", slog.String("role", role.String()), slog.Int("operation", int(op)))
		return nil, crypto.ErrAccess
	}
	result, err := s.work(op, d)
	if errors.Is(err, errOther) {
		result, err = s.keep(ctx, op, d)
	}
	return result, err
}

func known(op operation) bool { return op >= opPing && op <= opDestroy }

// errOther: an operation that the other half does.
var errOther = errors.New("hsm: not here")

// work does what works with keys.
func (s *Server) work(op operation, d *decoder) ([]byte, error) {
	switch op {
	case opPing:
		return nil, readWhole(d)
	case opCurrent:
		return s.named(d, func(text string) (string, error) { return s.m.Keys.Current(crypto.Use(text)) })
	case opPublic:
		id := d.text()
		return s.run(d, func() ([]byte, error) { return s.m.Keys.Public(id) })
	case opSign:
		id, message := d.text(), d.bytes()
		return s.run(d, func() ([]byte, error) { return s.m.Keys.Sign(id, message) })
	case opUnwrap:
		id, wrapped := d.text(), d.bytes()
		return s.run(d, func() ([]byte, error) { return s.m.Keys.Unwrap(id, wrapped) })
	case opMAC:
		return s.mac(d)
	case opSeal:
		id, plain, additional := d.text(), d.bytes(), d.bytes()
		return s.run(d, func() ([]byte, error) { return s.m.Keys.Seal(id, plain, additional) })
	case opOpen:
		id, sealed, additional := d.text(), d.bytes(), d.bytes()
		return s.run(d, func() ([]byte, error) { return s.m.Keys.Open(id, sealed, additional) })
	case opIDs, opGenerate, opMonthly, opReload, opDestroy:
	}
	return nil, errOther
}

// keep does what lists, makes and destroys keys.
func (s *Server) keep(ctx context.Context, op operation, d *decoder) ([]byte, error) {
	switch op {
	case opIDs:
		return s.ids(d)
	case opGenerate:
		return s.named(d, func(text string) (string, error) {
			if !s.mayGenerate() {
				return "", crypto.ErrFull
			}
			id, err := s.m.Keys.Generate(crypto.Use(text))
			s.audit(ctx, "hsm_generate", slog.String("key", id), slog.Bool("done", err == nil))
			return id, err
		})
	case opMonthly:
		return s.monthly(d)
	case opReload:
		return s.run(d, func() ([]byte, error) { return nil, s.m.Keys.Reload() })
	case opDestroy:
		id, order := d.text(), crypto.Order{Who: d.text(), Reason: d.text()}
		return s.run(d, func() ([]byte, error) {
			err := s.m.Keys.Destroy(id, order)
			s.audit(ctx, "hsm_destroy", slog.String("key", id), slog.Bool("done", err == nil))
			return nil, err
		})
	case opPing, opCurrent, opPublic, opSign, opUnwrap, opMAC, opSeal, opOpen:
	}
	return nil, errOther
}

func readWhole(d *decoder) error {
	if !d.whole() {
		return errFrame
	}
	return nil
}

// run does it if the whole request could be read.
func (*Server) run(d *decoder, do func() ([]byte, error)) ([]byte, error) {
	if !d.whole() {
		return nil, errFrame
	}
	return do()
}

// named answers one text with another.
func (s *Server) named(d *decoder, do func(string) (string, error)) ([]byte, error) {
	text := d.text()
	return s.run(d, func() ([]byte, error) {
		id, err := do(text)
		return []byte(id), err
	})
}

func (s *Server) mac(d *decoder) ([]byte, error) {
	id, n := d.text(), int(d.byte())
	if n > partsMax {
		return nil, errFrame
	}
	parts := make([][]byte, n)
	for i := range parts {
		parts[i] = d.bytes()
	}
	return s.run(d, func() ([]byte, error) {
		sum, err := s.m.Keys.MAC(id, parts...)
		return sum[:], err
	})
}

func (s *Server) ids(d *decoder) ([]byte, error) {
	use := crypto.Use(d.text())
	return s.run(d, func() ([]byte, error) {
		ids, err := s.m.Keys.IDs(use)
		var e encoder
		for _, id := range ids {
			e.text(id)
		}
		return e.b, err
	})
}

func (s *Server) monthly(d *decoder) ([]byte, error) {
	at := d.number()
	return s.run(d, func() ([]byte, error) {
		now := s.m.Now()
		if at < now.Add(-monthsAway).Unix() || at > now.Add(monthsAway).Unix() {
			return nil, ErrMonth
		}
		id, err := s.m.Keys.Monthly(time.Unix(at, 0))
		return []byte(id), err
	})
}
