package ledger

import (
	"encoding/binary"
	"slices"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
)

// Bounds of what is kept for a trace.
const (
	momentsMax = 32   // transitions of one thing; the first ones and the newest stay
	ledMax     = 1024 // changes of leader
)

// Moment is one transition: from when a thing was in a state. The state is the number of its own table.
type Moment struct {
	At    time.Time
	State uint8
}

// Walk is the record.Record of a Moment.
func (m *Moment) Walk(c *record.Coder) {
	c.Time(&m.At)
	record.Int(c, &m.State)
}

// moments notes the state that a thing has now, if it is another one than before.
func moments(list []Moment, now time.Time, state uint8) []Moment {
	n := len(list)
	if state == 0 || n > 0 && list[n-1].State == state {
		return list
	}
	if n < momentsMax {
		return append(list, Moment{now, state})
	}
	kept := append([]Moment(nil), list[:n/2]...)
	kept = append(kept, list[n/2+1:]...)
	return append(kept, Moment{now, state})
}

// KindLed is the number of a Led.
const KindLed Kind = 65

// Led is a leader's first word: from its stamp on, until the next one, this node led.
type Led struct{ Node string }

// Kind and Walk make a Led a Command.
func (*Led) Kind() Kind { return KindLed }

// Walk walks over the fields.
func (l *Led) Walk(c *record.Coder) { record.Str(c, &l.Node) }

func ledKey(at time.Time) []byte {
	return binary.BigEndian.AppendUint64([]byte{keyArchive, 'l'}, uint64(at.UnixMicro()))
}

// led notes who leads, and forgets the oldest beyond the bound.
func (x *tx) led(now time.Time, c *Led) Outcome {
	if c.Node == "" || len(c.Node) > textMax {
		return refuse(policy.CodeInvalidRequest)
	}
	n := 0
	var oldest []byte
	x.Scan([]byte{keyArchive, 'l'}, []byte{keyArchive, 'l' + 1}, func(key, _ []byte) bool {
		if n++; n == 1 {
			oldest = append(oldest, key...)
		}
		return true
	})
	if n >= ledMax {
		x.Delete(oldest)
	}
	x.Set(ledKey(now), []byte(c.Node))
	return Outcome{}
}

// Leaders is who led when, oldest first.
type Leaders []struct {
	From time.Time
	Node string
}

// At names the node that led at a moment; empty where it is not known any more.
func (l Leaders) At(t time.Time) string {
	for _, led := range slices.Backward(l) {
		if !led.From.After(t) {
			return led.Node
		}
	}
	return ""
}

// Leaders reads who led this region.
func (v View) Leaders() Leaders {
	var out Leaders
	v.r.Scan([]byte{keyArchive, 'l'}, []byte{keyArchive, 'l' + 1}, func(key, value []byte) bool {
		at := time.UnixMicro(int64(binary.BigEndian.Uint64(key[2:]))).UTC() //nolint:gosec // written by ledKey
		out = append(out, struct {
			From time.Time
			Node string
		}{at, string(value)})
		return true
	})
	return out
}

// regionOfID is the region that made an id: letter, region, rest.
func regionOfID(id string) federation.Region {
	if len(id) < 9 || id[1] != '-' || id[8] != '-' {
		return ""
	}
	return federation.Region(id[2:8])
}
