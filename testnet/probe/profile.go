package probe

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// unpackedMax bounds a profile after unpacking.
const unpackedMax = 256 << 20

// errProfile: not a profile of Go's.
var errProfile = errors.New("probe: not a profile")

// stage names whose time a frame is, by how its function's name begins. The frame nearest to the leaf that is
// anybody's decides, so what the book costs inside an entry of the log is the book's.
type stage struct{ prefix, name string }

var stages = []stage{
	{"gongji/crypto", "crypto"},
	{"gongji/gateway/internal/vault", "crypto"},
	{"github.com/emmansun/gmsm", "crypto"},
	{"github.com/tjfoc/gmsm", "crypto"},
	{"gongji/adapters", "book"},
	{"gongji/gateway/internal/ledger", "book"},
	{"gongji/gateway/internal/hold", "book"},
	{"gongji/gateway/internal/payment", "book"},
	{"gongji/gateway/internal/record", "book"},
	{"gongji/consensus", "log"},
	{"github.com/hashicorp/raft", "log"},
	{"github.com/cockroachdb/pebble", "log"},
	{"gongji/federation", "bus"},
	{"gongji/gateway/internal/wire", "bus"},
	{"gongji/gateway/internal/settle", "bus"},
	{"github.com/segmentio/kafka-go", "bus"},
	{"github.com/twmb/franz-go", "bus"},
	{"gongji/gateway/internal/api", "api"},
	{"gongji/gateway/internal/desk", "api"},
	{"net/http", "api"},
	{"gongji/gateway", "api"},
}

// garbage collection has stacks of its own.
const (
	stageGC    = "gc"
	stageOther = "other"
)

// stagesOf reads a gzipped profile in pprof's form: CPU seconds by stage. Everything is in one of them.
func stagesOf(raw []byte) (map[string]float64, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, unpackedMax))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	p := profile{locations: map[uint64][]uint64{}, functions: map[uint64]uint64{}}
	if err := fields(plain, p.field); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	const nanoseconds = 1e9
	for _, s := range p.samples {
		out[p.stageOf(s.locations)] += float64(s.value) / nanoseconds
	}
	return out, nil
}

// profile is the part of a pprof profile (profile.proto) that stages need.
type profile struct {
	samples   []sample
	locations map[uint64][]uint64 // functions of a location, innermost first
	functions map[uint64]uint64   // index of a function's name
	names     []string
}

type sample struct {
	locations []uint64 // leaf first
	value     int64    // the last one: nanoseconds of CPU
}

func (p *profile) stageOf(locations []uint64) string {
	collecting := false
	for _, l := range locations {
		for _, f := range p.locations[l] {
			index := p.functions[f]
			if index >= uint64(len(p.names)) {
				continue
			}
			name := p.names[index]
			for _, s := range stages {
				if strings.HasPrefix(name, s.prefix) {
					return s.name
				}
			}
			collecting = collecting || name == "runtime.gcBgMarkWorker" || name == "runtime.bgsweep" ||
				name == "runtime.bgscavenge"
		}
	}
	if collecting {
		return stageGC
	}
	return stageOther
}

// field takes one field of the profile itself.
func (p *profile) field(number int, _ uint64, content []byte) error {
	switch number {
	case 2:
		var s sample
		err := fields(content, s.field)
		p.samples = append(p.samples, s)
		return err
	case 4:
		return p.location(content)
	case 5:
		var id, name uint64
		err := fields(content, func(n int, v uint64, _ []byte) error {
			switch n {
			case 1:
				id = v
			case 2:
				name = v
			}
			return nil
		})
		p.functions[id] = name
		return err
	case 6:
		p.names = append(p.names, string(content))
	}
	return nil
}

func (p *profile) location(content []byte) error {
	var id uint64
	var functions []uint64
	err := fields(content, func(n int, v uint64, line []byte) error {
		switch n {
		case 1:
			id = v
		case 4:
			return fields(line, func(n int, v uint64, _ []byte) error {
				if n == 1 {
					functions = append(functions, v)
				}
				return nil
			})
		}
		return nil
	})
	p.locations[id] = functions
	return err
}

// field takes one field of a sample; both lists may be packed or not.
func (s *sample) field(number int, varint uint64, content []byte) error {
	values := []uint64{varint}
	if content != nil {
		values = values[:0]
		for len(content) > 0 {
			v, n := protowire.ConsumeVarint(content)
			if n < 0 {
				return errProfile
			}
			values, content = append(values, v), content[n:]
		}
	}
	switch number {
	case 1:
		s.locations = append(s.locations, values...)
	case 2:
		for _, v := range values {
			s.value = int64(v) //nolint:gosec // as protobuf writes int64
		}
	}
	return nil
}

// fields visits the fields of a message: numbers with their value, everything else with its bytes (not nil).
func fields(b []byte, visit func(number int, varint uint64, content []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return errProfile
		}
		b = b[n:]
		var varint uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(b)
			content = append([]byte{}, content...)
		case protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType, protowire.EndGroupType:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return errProfile
		}
		b = b[n:]
		if err := visit(int(number), varint, content); err != nil {
			return err
		}
	}
	return nil
}
