package simtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// story is what happened, as a person would tell it: a line for each event, with its virtual time.
type story struct {
	mu    sync.Mutex
	begin time.Time
	lines []line
	left  int // lines that found no place
	wrong []string
	ended bool // what happens from here on is the taking down, and no fault
}

type line struct {
	at    time.Duration
	who   string
	text  string
	about string // the payment or request that it is about
}

const (
	linesMax = 60_000 // kept
	tellMax  = 160    // lines told of the time before the end
	aboutMax = 120    // lines told of what is to blame
	wrongMax = 25
)

func newStory() *story { return &story{begin: time.Now()} }

// tell notes an event.
func (s *story) tell(who, about, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lines) >= linesMax {
		s.left++
		return
	}
	s.lines = append(s.lines, line{time.Since(s.begin), who, fmt.Sprintf(format, args...), about})
}

// fault notes something that must not be.
func (s *story) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended {
		return
	}
	s.tell("CHECK", "", "%s", text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wrong) < wrongMax && !slices.Contains(s.wrong, text) {
		s.wrong = append(s.wrong, text)
	}
}

// end is told before everything is taken down.
func (s *story) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}

func (s *story) faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.wrong)
}

// print gives what is wrong, what happened around what it names, and the last events.
func (s *story) print(seed uint64, all bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, w := range s.wrong {
		fmt.Fprintf(&b, "wrong: %s\n", w)
	}
	b.WriteString("\nwhat happened around it:\n")
	told := 0
	for _, l := range s.lines {
		if (all || s.blamed(l)) && (all || told < aboutMax) {
			fmt.Fprintf(&b, "%s\n", l)
			told++
		}
	}
	if !all {
		b.WriteString("\nthe faults and the last events:\n")
		kept := slices.DeleteFunc(slices.Clone(s.lines), func(l line) bool { return l.who != "FAULT" && l.who != "CHECK" })
		for _, l := range kept[max(0, len(kept)-tellMax):] {
			fmt.Fprintf(&b, "%s\n", l)
		}
		for _, l := range s.lines[max(0, len(s.lines)-tellMax/4):] {
			fmt.Fprintf(&b, "%s\n", l)
		}
	}
	if s.left > 0 {
		fmt.Fprintf(&b, "(%d more lines were not kept)\n", s.left)
	}
	fmt.Fprintf(&b, "\nseed %d; again: go test ./gateway/internal/simtest -run TestSim -seed %d\n", seed, seed)
	return b.String()
}

// blamed reports whether a line is about something that a fault names.
func (s *story) blamed(l line) bool {
	if l.about == "" {
		return false
	}
	for _, w := range s.wrong {
		if strings.Contains(w, l.about) || (strings.HasPrefix(l.about, "p-") && strings.Contains(w, l.about[1:])) {
			return true
		}
	}
	return false
}

func (l line) String() string {
	return fmt.Sprintf("%10.3fs  %-9s %s", l.at.Seconds(), l.who, l.text)
}

// storyHandler puts the nodes' own warnings into the story.
type storyHandler struct {
	s     *story
	who   string
	attrs []slog.Attr
	quiet func() bool
}

var _ slog.Handler = (*storyHandler)(nil)

func (h *storyHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (h *storyHandler) Handle(_ context.Context, r slog.Record) error {
	if h.quiet() {
		return nil
	}
	var b strings.Builder
	b.WriteString(r.Level.String() + " " + r.Message)
	for _, a := range h.attrs {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	h.s.tell(h.who, "", "%s", b.String())
	return nil
}

func (h *storyHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	kept := slices.Clone(h.attrs)
	for _, a := range attrs {
		if a.Key != "region" && a.Key != "node" {
			kept = append(kept, a)
		}
	}
	return &storyHandler{h.s, h.who, kept, h.quiet}
}

func (h *storyHandler) WithGroup(string) slog.Handler { return h }
