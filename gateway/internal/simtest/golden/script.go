package golden

import (
	"errors"
	"fmt"
	"strings"
)

// ErrScript: the file is not written as the package's doc says.
var ErrScript = errors.New("golden: not a scenario")

// Forms of the lines.
const (
	titleMark   = "# R-"
	commandMark = "> "
	answerMark  = "    "
)

// File is a file of situations.
type File struct {
	Path       string
	Situations []*Situation

	lines []string
}

// Situation is one situation: a title and commands.
type Situation struct {
	Title    string // with the requirement ids in front, without the mark
	Line     int    // from 1
	Commands []*Command
}

// Command is one command with the answer that the file expects.
type Command struct {
	Line int // from 1
	Text string
	Want []string // without the indent
	Got  []string // filled by Play
	Done bool     // it was played
}

// Parse reads a file.
func Parse(path, text string) (*File, error) {
	f := &File{Path: path, lines: strings.Split(text, "\n")}
	var now *Situation
	var last *Command // the command that an answer may belong to
	for i, line := range f.lines {
		switch {
		case strings.HasPrefix(line, titleMark):
			now, last = &Situation{Title: strings.TrimPrefix(line, "# "), Line: i + 1}, nil
			f.Situations = append(f.Situations, now)
		case strings.HasPrefix(line, commandMark):
			if now == nil {
				return nil, fmt.Errorf("%w: %s:%d: a command before the first title", ErrScript, path, i+1)
			}
			last = &Command{Line: i + 1, Text: strings.TrimSpace(strings.TrimPrefix(line, commandMark))}
			now.Commands = append(now.Commands, last)
		case strings.HasPrefix(line, answerMark):
			if last == nil {
				return nil, fmt.Errorf("%w: %s:%d: an answer to nothing", ErrScript, path, i+1)
			}
			last.Want = append(last.Want, strings.TrimPrefix(line, answerMark))
		default:
			last = nil
		}
	}
	if len(f.Situations) == 0 {
		return nil, fmt.Errorf("%w: %s has no situation", ErrScript, path)
	}
	return f, nil
}

// Rewritten is the file with the answers that were got in the place of those expected. A command that was not played
// keeps its answer.
func (f *File) Rewritten() string {
	byLine := map[int]*Command{}
	for _, s := range f.Situations {
		for _, c := range s.Commands {
			byLine[c.Line-1] = c
		}
	}
	var out []string
	for i := 0; i < len(f.lines); i++ {
		out = append(out, f.lines[i])
		c := byLine[i]
		if c == nil {
			continue
		}
		answer := c.Want
		if c.Done {
			answer = c.Got
		}
		for _, l := range answer {
			out = append(out, answerMark+l)
		}
		i += len(c.Want)
	}
	return strings.Join(out, "\n")
}

// Diffs tells each command whose answer is not the expected one, with file and line.
func (f *File) Diffs(s *Situation) []string {
	var out []string
	for _, c := range s.Commands {
		if d := c.diff(); c.Done && d != "" {
			out = append(out, fmt.Sprintf("%s:%d: > %s\n%s", f.Path, c.Line, c.Text, d))
		}
	}
	return out
}

// diff shows what is missing with a minus and what came instead with a plus, "" where nothing differs.
func (c *Command) diff() string {
	var b strings.Builder
	differs := false
	for i := range max(len(c.Want), len(c.Got)) {
		want, wanted := lineAt(c.Want, i)
		got, came := lineAt(c.Got, i)
		if wanted && came && want == got {
			fmt.Fprintf(&b, "      %s\n", want)
			continue
		}
		differs = true
		if wanted {
			fmt.Fprintf(&b, "    - %s\n", want)
		}
		if came {
			fmt.Fprintf(&b, "    + %s\n", got)
		}
	}
	if !differs {
		return ""
	}
	return b.String()
}

func lineAt(lines []string, i int) (string, bool) {
	if i < len(lines) {
		return lines[i], true
	}
	return "", false
}
