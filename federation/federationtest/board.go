package federationtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"gongji/federation"
)

// RunBoardContract is what every Board must pass. open makes a Board that is empty, and says how it may be made to
// forget everything; nil where it cannot.
func RunBoardContract(t *testing.T, open func(t *testing.T) (board federation.Board, forget func(t *testing.T))) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, b federation.Board, forget func(t *testing.T))
	}{
		{"order, gaps and tombstones", boardOrder},
		{"a record ends the wait", boardWaits},
		{"bounds", boardBounds},
		{"forgotten", boardForgotten},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, forget := open(t)
			c.run(t, b, forget)
		})
	}
}

// Post posts, repeating while the bus is unavailable.
func Post(ctx context.Context, b federation.Board, key string, value []byte) error {
	for {
		if err := b.Post(ctx, key, value); !errors.Is(err, federation.ErrBus) {
			return err
		}
	}
}

// Posted reads from offset until n records have come.
func Posted(ctx context.Context, b federation.Board, offset int64, n int) ([]federation.Record, int64, error) {
	var all []federation.Record
	for len(all) < n {
		records, next, err := b.Posted(ctx, offset)
		if errors.Is(err, federation.ErrBus) {
			continue
		}
		if err != nil {
			return all, offset, fmt.Errorf("board at %d: %w", offset, err)
		}
		all, offset = append(all, records...), next
	}
	return all, offset, nil
}

func post(t *testing.T, b federation.Board, key string, value []byte) {
	t.Helper()
	if err := Post(bounded(t), b, key, value); err != nil {
		t.Fatal(err)
	}
}

func boardOrder(t *testing.T, b federation.Board, _ func(t *testing.T)) {
	for i := range uint64(5) {
		post(t, b, federation.DirectoryKey(i+1), fmt.Appendf(nil, "directory %d", i+1))
	}
	post(t, b, federation.DirectoryKey(1), nil)
	all, next, err := Posted(bounded(t), b, 0, 6)
	if err != nil || len(all) != 6 {
		t.Fatalf("%d records, %v", len(all), err)
	}
	for i, r := range all {
		if i > 0 && r.Offset <= all[i-1].Offset {
			t.Fatalf("offset %d after %d", r.Offset, all[i-1].Offset)
		}
		if want := fmt.Sprintf("directory %d", i+1); i < 5 && string(r.Value) != want {
			t.Fatalf("record %d is %q", i, r.Value)
		}
	}
	if len(all[5].Value) != 0 || next <= all[5].Offset {
		t.Fatalf("what takes a key away has %q, next %d", all[5].Value, next)
	}
	again, _, err := Posted(bounded(t), b, all[3].Offset, 1)
	if err != nil || again[0].Offset != all[3].Offset || !bytes.Equal(again[0].Value, all[3].Value) {
		t.Fatalf("%v, %v", again, err)
	}
}

func boardWaits(t *testing.T, b federation.Board, _ func(t *testing.T)) {
	got := make(chan error, 1)
	go func() {
		all, _, err := Posted(bounded(t), b, 0, 1)
		if err == nil && string(all[0].Value) != "one" {
			err = fmt.Errorf("got %q", all[0].Value)
		}
		got <- err
	}()
	post(t, b, federation.DirectoryKey(1), []byte("one"))
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func boardBounds(t *testing.T, b federation.Board, _ func(t *testing.T)) {
	if err := b.Post(bounded(t), "", []byte("x")); err == nil {
		t.Error("a record without a key")
	}
	large := make([]byte, federation.RecordMax+1)
	if err := b.Post(bounded(t), "k", large); !errors.Is(err, federation.ErrRecordTooLarge) {
		t.Errorf("%v", err)
	}
	post(t, b, "k", large[1:])
	all, _, err := Posted(bounded(t), b, 0, 1)
	if err != nil || len(all[0].Value) != federation.RecordMax {
		t.Errorf("%v", err)
	}
}

// boardForgotten: who reads on at the offset that it had reached is told, and finds what was posted since.
func boardForgotten(t *testing.T, b federation.Board, forget func(t *testing.T)) {
	if forget == nil {
		return
	}
	for i := range uint64(3) {
		post(t, b, federation.DirectoryKey(i+1), []byte("before"))
	}
	_, next, err := Posted(bounded(t), b, 0, 3)
	if err != nil {
		t.Fatal(err)
	}
	forget(t)
	post(t, b, federation.DirectoryKey(9), []byte("after"))
	for {
		_, _, err = b.Posted(bounded(t), next)
		if errors.Is(err, federation.ErrRewound) {
			break
		}
		if err != nil && !errors.Is(err, federation.ErrBus) {
			t.Fatal(err)
		}
	}
	all, _, err := Posted(bounded(t), b, 0, 1)
	if err != nil || string(all[0].Value) != "after" {
		t.Fatalf("%v, %v", all, err)
	}
}
