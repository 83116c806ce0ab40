package scenario_test

import (
	"testing"

	"gongji/federation"
	"gongji/testnet/hostile"
)

// plain is a Kafka client without any right or key.
type plain struct{ *hostile.Lanes }

func (f *fed) lanes(t *testing.T) plain {
	t.Helper()
	return lanesOf(t, f.session.Kafka...)
}

func lanesOf(t *testing.T, brokers ...string) plain {
	t.Helper()
	lanes := hostile.NewLanes(brokers...)
	t.Cleanup(lanes.Close)
	return plain{lanes}
}

// put appends records to a lane, all in one request.
func (p plain) put(t *testing.T, lane federation.Lane, values ...[]byte) {
	t.Helper()
	if _, err := p.Put(t.Context(), lane, values...); err != nil {
		t.Fatal(err)
	}
}

// all returns everything that stands on a lane now.
func (p plain) all(t *testing.T, lane federation.Lane) []federation.Record {
	t.Helper()
	records, err := p.All(t.Context(), lane)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// member speaks with a region's real keys.
func (f *fed) member(t *testing.T, code string) *hostile.Member {
	t.Helper()
	m, err := hostile.Open(f.dir, code)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}
