package embedded_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"gongji/adapters/adaptertest"
	"gongji/adapters/embedded"
)

// TestAgainstModel plays random acts on the Book and on the slow second implementation.
func TestAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := noon
		w := adaptertest.Walk{
			Book:  embedded.New('B'),
			Txn:   adaptertest.NewTxn(),
			Steps: rapid.IntRange(1, 120).Draw(t, "steps"),
			Pick:  func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "pick") },
			Tick:  func(d time.Duration) time.Time { at = at.Add(d); return at },
		}
		if err := w.Run(); err != nil {
			t.Fatal(err)
		}
	})
}
