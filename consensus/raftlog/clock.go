package raftlog

import (
	"errors"
	"slices"
	"sync"
	"time"

	"gongji/consensus"
)

// errClockJump: the wall clock moved against the monotonic one by more than ClockJumpMax.
var errClockJump = errors.New("raftlog: wall clock jumped")

// wallClock is the node's clock, watched for jumps against the monotonic clock of the
// process. It is looked at for every entry and every second, so a jump is found before
// anything is stamped with it.
type wallClock struct {
	now func() time.Time

	mu     sync.Mutex
	wall   int64 // microseconds, when it was last looked at
	mono   time.Time
	jumped bool
}

func newWallClock(now func() time.Time) *wallClock { return &wallClock{now: now} }

// read returns the time in microseconds, or errClockJump from the jump on until it is
// acknowledged.
func (c *wallClock) read() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, mono := c.now().UnixMicro(), time.Now()
	if !c.mono.IsZero() && !c.jumped {
		drift := time.Duration(wall-c.wall)*time.Microsecond - mono.Sub(c.mono)
		c.jumped = drift.Abs() > consensus.ClockJumpMax
	}
	c.wall, c.mono = wall, mono
	if c.jumped {
		return wall, errClockJump
	}
	return wall, nil
}

func (c *wallClock) acknowledge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumped, c.mono = false, time.Time{}
}

// agreement is what the members' clocks say of this node's.
type agreement int

const (
	clockUnknown agreement = iota // less than a majority answered
	clockAgrees                   // with a majority, itself included
	clockOff                      // a majority answered, and there is none that it agrees with
)

// tripMax is the longest call whose time still tells something: the clock may be off by
// half of it without a difference.
const tripMax = consensus.ClockOffMax / 2

// compareClocks judges this node's clock by those of the others, of a group with
// voters members. The offset is of this node against the median of all, itself included.
func compareClocks(others []peerStatus, voters int) (agreement, time.Duration) {
	offsets := []time.Duration{0}
	agree := 1
	for _, o := range others {
		if o.trip > tripMax {
			continue
		}
		offsets = append(offsets, o.offset)
		if o.offset.Abs() <= consensus.ClockOffMax {
			agree++
		}
	}
	slices.Sort(offsets)
	mid := len(offsets) / 2
	median := offsets[mid]
	if len(offsets)%2 == 0 {
		median = offsets[mid-1]/2 + offsets[mid]/2
	}
	quorum := voters/2 + 1
	switch {
	case agree >= quorum:
		return clockAgrees, -median
	case len(offsets) >= quorum:
		return clockOff, -median
	default:
		return clockUnknown, -median
	}
}
