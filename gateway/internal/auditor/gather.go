package auditor

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"gongji/gateway/internal/auditlog"
)

// linesMax bounds the different lines that a node brings into the log in one batch, and so in a second: an outsider who
// is refused can cost the region no more. With the bounds of a line it keeps a batch below consensus.CommandMax. What
// is different beyond it is only counted.
const linesMax = 128

// overflowEvent is the line that stands for all events which found no room.
const overflowEvent = "audit_overflow"

// Attributes that are fields of a line.
const (
	attrOperator = "operator"
	attrObject   = "object"
	attrResult   = "result"
)

// Attributes that tell the refusals of one peer from another. A peer makes up all the others: they are not told apart.
const (
	attrPeer   = "peer"
	attrReason = "reason"
)

// gather holds the lines of the batch that is being filled. Safe for concurrent use.
type gather struct {
	node string

	mu    sync.Mutex
	lines []auditlog.Line
	index map[string]int // key → place in lines
	lost  int            // events without room
	since time.Time      // of the first that found no room
	wake  chan struct{}  // has one item when there is something
}

func newGather(node string) *gather {
	return &gather{node: node, index: map[string]int{}, wake: make(chan struct{}, 1)}
}

// add takes an event in, and reports whether it is the first of its kind in this batch.
func (g *gather) add(now time.Time, event string, attrs []slog.Attr) bool {
	l := lineOf(event, attrs)
	l.Node, l.Noted, l.Count = g.node, now, 1
	key := keyOf(event, attrs)
	g.mu.Lock()
	defer g.mu.Unlock()
	defer func() {
		select {
		case g.wake <- struct{}{}:
		default:
		}
	}()
	if at, ok := g.index[key]; ok {
		g.lines[at].Count++
		return false
	}
	if len(g.lines) >= linesMax {
		if g.lost == 0 {
			g.since = now
		}
		g.lost++
		return false
	}
	g.index[key] = len(g.lines)
	g.lines = append(g.lines, l.Bounded())
	return true
}

// take empties the batch.
func (g *gather) take() []auditlog.Line {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.lines
	if g.lost > 0 {
		out = append(out, auditlog.Line{
			Noted: g.since, Node: g.node, Event: overflowEvent, Result: auditlog.ResultRefused, Count: g.lost,
		})
	}
	g.lines, g.index, g.lost = nil, map[string]int{}, 0
	return out
}

func lineOf(event string, attrs []slog.Attr) auditlog.Line {
	l := auditlog.Line{Event: event}
	for _, a := range attrs {
		value := a.Value.String()
		switch a.Key {
		case attrOperator:
			l.Operator = value
		case attrObject:
			l.Object = value
		case attrResult:
			l.Result = value
		default:
			l.Attrs = append(l.Attrs, auditlog.Attr{Name: a.Key, Value: value})
		}
	}
	return l
}

// keyOf is what makes two events one line: all that they say, or event, peer and reason where a peer is to blame.
func keyOf(event string, attrs []slog.Attr) string {
	var all, blamed strings.Builder
	peer := false
	for _, a := range attrs {
		part := a.Key + "\x00" + a.Value.String() + "\x00"
		all.WriteString(part)
		if a.Key == attrPeer || a.Key == attrReason {
			blamed.WriteString(part)
		}
		peer = peer || a.Key == attrPeer
	}
	if peer {
		return event + "\x00" + blamed.String()
	}
	return event + "\x00" + all.String()
}
