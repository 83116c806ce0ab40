package federationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gongji/federation"
)

// Subject is a Bus under test, and what the test may do to it from outside.
type Subject struct {
	Bus federation.Bus
	// Forget makes the bus lose everything, so that lanes begin at offset 0 again.
	Forget func(t *testing.T)
	// Trim deletes the first n records of the lane, as retention does.
	Trim func(t *testing.T, lane federation.Lane, n int64)
}

// limit bounds every wait of the contract; nothing is measured against it.
const limit = time.Minute

// RunBusContract is what every Bus must pass. open makes a fresh Bus (or one whose lanes are used by
// nobody else) and sees to its closing; lanes names lanes that are empty, a new pair for every call.
func RunBusContract(t *testing.T, open func(t *testing.T) Subject, lanes func() federation.Lane) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s Subject, lane, other federation.Lane)
	}{
		{"order and offsets", orderAndOffsets},
		{"many publishers", manyPublishers},
		{"lanes are apart", lanesApart},
		{"empty lane", emptyLane},
		{"a record ends the wait", recordEndsWait},
		{"sizes", sizes},
		{"own copy", ownCopy},
		{"offset past the end", pastTheEnd},
		{"rewound", rewound},
		{"trimmed", trimmed},
		{"context", contextEnds},
		{"closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			lane, other := lanes(), lanes()
			if err := Ready(t, s.Bus, lane, other); err != nil {
				t.Fatal(err)
			}
			c.run(t, s, lane, other)
		})
	}
}

// Ready asks until the bus is ready: a bus that makes its own topics needs a moment.
func Ready(t *testing.T, bus federation.Bus, lanes ...federation.Lane) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := bus.Ready(ctx, lanes)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if !errors.Is(err, federation.ErrBus) {
			return fmt.Errorf("ready: %w", err)
		}
	}
}

// Publish publishes value, repeating while the bus is unavailable.
func Publish(ctx context.Context, bus federation.Bus, lane federation.Lane, value []byte) error {
	for {
		err := bus.Publish(ctx, lane, value)
		if !errors.Is(err, federation.ErrBus) {
			return err
		}
	}
}

// Collect fetches from offset until there are n records.
func Collect(
	ctx context.Context, bus federation.Bus, lane federation.Lane, offset int64, n int,
) ([]federation.Record, error) {
	var all []federation.Record
	for len(all) < n {
		records, next, err := bus.Fetch(ctx, lane, offset)
		if errors.Is(err, federation.ErrBus) {
			continue
		}
		if err != nil {
			return all, fmt.Errorf("fetch %s at %d, with %d of %d: %w", lane.Topic(), offset, len(all), n, err)
		}
		all, offset = append(all, records...), next
	}
	return all, nil
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func publish(t *testing.T, s Subject, lane federation.Lane, from, n int) {
	t.Helper()
	for i := range n {
		if err := Publish(bounded(t), s.Bus, lane, fmt.Appendf(nil, "%s %d", lane.To, from+i)); err != nil {
			t.Fatal(err)
		}
	}
}

func collect(t *testing.T, s Subject, lane federation.Lane, offset int64, n int) []federation.Record {
	t.Helper()
	all, err := Collect(bounded(t), s.Bus, lane, offset, n)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func orderAndOffsets(t *testing.T, s Subject, lane, _ federation.Lane) {
	publish(t, s, lane, 0, 50)
	all := collect(t, s, lane, 0, 50)
	for i, r := range all {
		if i > 0 && r.Offset <= all[i-1].Offset {
			t.Fatalf("offset %d after %d", r.Offset, all[i-1].Offset)
		}
		if want := fmt.Sprintf("%s %d", lane.To, i); string(r.Value) != want {
			t.Fatalf("record %d is %q, want %q", i, r.Value, want)
		}
	}
	again := collect(t, s, lane, all[30].Offset, 20)
	if again[0].Offset != all[30].Offset || !bytes.Equal(again[0].Value, all[30].Value) {
		t.Fatalf("from %d comes %d", all[30].Offset, again[0].Offset)
	}
}

func manyPublishers(t *testing.T, s Subject, lane, _ federation.Lane) {
	const publishers, each = 8, 20
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				if err := Publish(bounded(t), s.Bus, lane, fmt.Appendf(nil, "%d-%d", p, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[string]bool{}
	last := make([]int, publishers)
	offset := int64(0)
	for len(seen) < publishers*each {
		for _, r := range collect(t, s, lane, offset, 1) {
			var p, i int
			if _, err := fmt.Sscanf(string(r.Value), "%d-%d", &p, &i); err != nil {
				t.Fatal(err)
			}
			if !seen[string(r.Value)] && i < last[p] {
				t.Fatalf("publisher %d: %d came first after %d", p, i, last[p])
			}
			seen[string(r.Value)], last[p], offset = true, max(last[p], i), r.Offset+1
		}
	}
	wg.Wait()
}

func lanesApart(t *testing.T, s Subject, lane, other federation.Lane) {
	ctx, cancel := context.WithCancel(bounded(t))
	waiting := make(chan int)
	go func() { // a fetch that waits on one lane is not in the way of another
		found := 0
		for ctx.Err() == nil {
			records, _, _ := s.Bus.Fetch(ctx, other, 0)
			found += len(records)
		}
		waiting <- found
	}()
	publish(t, s, lane, 0, 20)
	collect(t, s, lane, 0, 20)
	cancel()
	if found := <-waiting; found != 0 {
		t.Fatalf("%d records on the other lane", found)
	}
	publish(t, s, other, 100, 1)
	if got := collect(t, s, other, 0, 1); string(got[0].Value) != string(other.To)+" 100" {
		t.Fatalf("got %q", got[0].Value)
	}
}

func emptyLane(t *testing.T, s Subject, lane, _ federation.Lane) {
	for range 2 {
		fetchNothing(t, s, lane, 0)
	}
	publish(t, s, lane, 0, 1)
	fetchNothing(t, s, lane, collect(t, s, lane, 0, 1)[0].Offset+1)
}

// fetchNothing wants an empty batch. A lane that was just made may be unavailable for a moment.
func fetchNothing(t *testing.T, s Subject, lane federation.Lane, offset int64) {
	t.Helper()
	ctx := bounded(t)
	for {
		records, next, err := s.Bus.Fetch(ctx, lane, offset)
		if errors.Is(err, federation.ErrBus) {
			continue
		}
		if err != nil || len(records) != 0 || next != offset {
			t.Fatalf("at %d: got %d records, next %d, %v", offset, len(records), next, err)
		}
		return
	}
}

func recordEndsWait(t *testing.T, s Subject, lane, _ federation.Lane) {
	done := make(chan error, 1)
	go func() {
		_, err := Collect(bounded(t), s.Bus, lane, 0, 3)
		done <- err
	}()
	publish(t, s, lane, 0, 3)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func sizes(t *testing.T, s Subject, lane, _ federation.Lane) {
	large := bytes.Repeat([]byte{0xa5}, federation.RecordMax)
	if err := s.Bus.Publish(bounded(t), lane, append(large, 1)); !errors.Is(err, federation.ErrRecordTooLarge) {
		t.Fatalf("got %v, want ErrRecordTooLarge", err)
	}
	for _, v := range [][]byte{large, {1}, large} {
		if err := Publish(bounded(t), s.Bus, lane, v); err != nil {
			t.Fatal(err)
		}
	}
	all := collect(t, s, lane, 0, 3)
	if !bytes.Equal(all[0].Value, large) || len(all[1].Value) != 1 || !bytes.Equal(all[2].Value, large) {
		t.Fatalf("sizes %d, %d, %d", len(all[0].Value), len(all[1].Value), len(all[2].Value))
	}
}

func ownCopy(t *testing.T, s Subject, lane, _ federation.Lane) {
	value := []byte("before")
	if err := Publish(bounded(t), s.Bus, lane, value); err != nil {
		t.Fatal(err)
	}
	copy(value, "after!")
	first := collect(t, s, lane, 0, 1)[0]
	if string(first.Value) != "before" {
		t.Fatalf("got %q", first.Value)
	}
	copy(first.Value, "after!")
	if again := collect(t, s, lane, 0, 1)[0]; string(again.Value) != "before" {
		t.Fatalf("the next reader got %q", again.Value)
	}
}

// fetchRewound fetches until there is something else than an empty batch or an unavailable bus.
func fetchRewound(t *testing.T, s Subject, lane federation.Lane, offset int64) {
	t.Helper()
	ctx := bounded(t)
	for {
		records, _, err := s.Bus.Fetch(ctx, lane, offset)
		switch {
		case errors.Is(err, federation.ErrRewound):
			return
		case errors.Is(err, federation.ErrBus), err == nil && len(records) == 0:
		default:
			t.Fatalf("at %d: %d records, %v, want ErrRewound", offset, len(records), err)
		}
	}
}

func pastTheEnd(t *testing.T, s Subject, lane, _ federation.Lane) {
	publish(t, s, lane, 0, 3)
	fetchRewound(t, s, lane, 1000)
	collect(t, s, lane, 0, 3)
}

func rewound(t *testing.T, s Subject, lane, other federation.Lane) {
	publish(t, s, lane, 0, 10)
	end := collect(t, s, lane, 0, 10)[9].Offset + 1
	s.Forget(t)
	if err := Ready(t, s.Bus, lane, other); err != nil {
		t.Fatal(err)
	}
	publish(t, s, lane, 500, 2)
	fetchRewound(t, s, lane, end)
	all := collect(t, s, lane, 0, 2)
	if string(all[0].Value) != string(lane.To)+" 500" {
		t.Fatalf("got %q", all[0].Value)
	}
}

func trimmed(t *testing.T, s Subject, lane, _ federation.Lane) {
	publish(t, s, lane, 0, 10)
	all := collect(t, s, lane, 0, 10)
	s.Trim(t, lane, 6)
	rest := collect(t, s, lane, 0, 4)
	if rest[0].Offset != all[6].Offset || !bytes.Equal(rest[0].Value, all[6].Value) {
		t.Fatalf("goes on at %d, want %d", rest[0].Offset, all[6].Offset)
	}
	if rest = collect(t, s, lane, all[8].Offset, 2); rest[0].Offset != all[8].Offset {
		t.Fatalf("goes on at %d, want %d", rest[0].Offset, all[8].Offset)
	}
}

func contextEnds(t *testing.T, s Subject, lane, _ federation.Lane) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Bus.Publish(ctx, lane, []byte("x")); !errors.Is(err, context.Canceled) {
		t.Fatalf("publish: %v", err)
	}
	if _, _, err := s.Bus.Fetch(ctx, lane, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("fetch: %v", err)
	}
}

func closed(t *testing.T, s Subject, lane, _ federation.Lane) {
	ended := make(chan error, 1)
	go func() {
		for {
			if _, _, err := s.Bus.Fetch(bounded(t), lane, 0); err != nil {
				ended <- err
				return
			}
		}
	}()
	if err := s.Bus.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, federation.ErrClosed) && !errors.Is(err, federation.ErrBus) {
		t.Fatalf("a fetch under way: %v", err)
	}
	if err := s.Bus.Publish(bounded(t), lane, []byte("x")); !errors.Is(err, federation.ErrClosed) {
		t.Fatalf("publish: %v", err)
	}
	if _, _, err := s.Bus.Fetch(bounded(t), lane, 0); !errors.Is(err, federation.ErrClosed) {
		t.Fatalf("fetch: %v", err)
	}
	if err := s.Bus.Ready(bounded(t), []federation.Lane{lane}); !errors.Is(err, federation.ErrClosed) {
		t.Fatalf("ready: %v", err)
	}
	if err := s.Bus.Close(); err != nil {
		t.Fatal(err)
	}
}
