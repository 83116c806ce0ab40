package kafkabus

import (
	"context"
	"errors"

	"gongji/federation"
)

var _ federation.Board = (*Bus)(nil)

// errKey: a record of the compacted topic needs a key.
var errKey = errors.New("kafkabus: a key of 1 to 64 bytes is needed")

// keyMax bounds a key of the compacted topic.
const keyMax = 64

// Post puts a record under a key on the topic of directories, as Publish does on a lane.
func (b *Bus) Post(ctx context.Context, key string, value []byte) error {
	if key == "" || len(key) > keyMax {
		return errKey
	}
	return b.put(ctx, federation.Lane{}, []byte(key), value)
}

// Posted reads the topic of directories, as Fetch reads a lane: with the same back-off, and the same care for a broker
// that has lost what it had.
func (b *Bus) Posted(ctx context.Context, offset int64) ([]federation.Record, int64, error) {
	return b.Fetch(ctx, federation.Lane{}, offset)
}
