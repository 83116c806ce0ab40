package raftlog

import (
	"bufio"
	"net"
	"sync"
)

// outbox writes frames to a stream from one goroutine, so that nobody who sends holds
// a lock while the network is slow. What is queued is bounded by who queues: each
// frame is a call or its answer, and calls are bounded by consensus.WaitingMax and
// callsMax; their bytes are bounded here.
type outbox struct {
	conn net.Conn

	mu     sync.Mutex
	queue  []*outFrame
	bytes  int           // in queue
	wake   chan struct{} // buffered 1
	closed bool
}

// outFrame is a frame that may be taken back until its writing begins.
type outFrame struct {
	data    []byte
	begun   bool
	dropped bool
}

const (
	outBuffer   = 64 << 10
	outBytesMax = 64 << 20 // queued: who does not read for so long is cut off
)

func newOutbox(conn net.Conn) *outbox {
	return &outbox{conn: conn, wake: make(chan struct{}, 1)}
}

// push queues a frame; false if the stream has ended.
func (o *outbox) push(f *outFrame) bool {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return false
	}
	if o.bytes += len(f.data); o.bytes > outBytesMax {
		o.mu.Unlock()
		o.close()
		return false
	}
	o.queue = append(o.queue, f)
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

// takeBack reports whether f never began to be written; then it never will.
func (o *outbox) takeBack(f *outFrame) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.dropped = true
	return !f.begun
}

// run writes until the stream fails or close; then it closes the stream.
func (o *outbox) run() {
	defer o.close()
	w := bufio.NewWriterSize(o.conn, outBuffer)
	for {
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			return
		}
		batch := o.queue[:0]
		for _, f := range o.queue {
			if !f.dropped {
				f.begun = true
				batch = append(batch, f)
			}
		}
		o.queue, o.bytes = nil, 0
		o.mu.Unlock()
		for _, f := range batch {
			if _, err := w.Write(f.data); err != nil {
				return
			}
		}
		if len(batch) > 0 {
			if err := w.Flush(); err != nil {
				return
			}
			continue
		}
		<-o.wake
	}
}

// close ends the stream and run.
func (o *outbox) close() {
	o.mu.Lock()
	closed := o.closed
	o.closed = true
	o.mu.Unlock()
	if closed {
		return
	}
	o.conn.Close()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}
