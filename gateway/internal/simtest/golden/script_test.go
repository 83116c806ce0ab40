package golden_test

import (
	"errors"
	"strings"
	"testing"

	"gongji/gateway/internal/simtest/golden"
)

const script = `Prose.

# R-07 R-16: a title
> one
    a
    b
More prose.
> two

# R-01: another
> three
    c
`

func TestParse(t *testing.T) {
	t.Parallel()
	f, err := golden.Parse("x.txt", script)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Situations) != 2 || f.Situations[0].Title != "R-07 R-16: a title" || f.Situations[1].Line != 10 {
		t.Fatalf("situations %+v", f.Situations)
	}
	c := f.Situations[0].Commands
	if len(c) != 2 || c[0].Text != "one" || strings.Join(c[0].Want, "|") != "a|b" || c[1].Line != 8 || len(c[1].Want) != 0 {
		t.Errorf("commands %+v", c)
	}
	if f.Rewritten() != script {
		t.Errorf("what was not played has changed:\n%s", f.Rewritten())
	}
}

// TestDiffs: a wrong answer is told with file and line, and rewriting puts what came in its place.
func TestDiffs(t *testing.T) {
	t.Parallel()
	f, err := golden.Parse("x.txt", script)
	if err != nil {
		t.Fatal(err)
	}
	one, two := f.Situations[0].Commands[0], f.Situations[0].Commands[1]
	one.Got, one.Done = []string{"a", "other"}, true
	two.Got, two.Done = []string{"new"}, true
	const want = "x.txt:4: > one\n      a\n    - b\n    + other\n|x.txt:8: > two\n    + new\n"
	if got := strings.Join(f.Diffs(f.Situations[0]), "|"); got != want {
		t.Errorf("diffs\n%s", got)
	}
	if got := f.Diffs(f.Situations[1]); len(got) != 0 {
		t.Errorf("what was not played differs: %v", got)
	}
	text := strings.NewReplacer("    b\n", "    other\n", "> two\n", "> two\n    new\n").Replace(script)
	if f.Rewritten() != text {
		t.Errorf("rewritten\n%s", f.Rewritten())
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty": "", "no title": "> one\n", "an answer to nothing": "# R-01: a title\n\n    a\n",
		"an answer behind prose": "# R-01: a title\n> one\nprose\n    a\n",
	} {
		if _, err := golden.Parse("x.txt", text); !errors.Is(err, golden.ErrScript) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
