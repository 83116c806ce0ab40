package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rulebook"
)

// decisionsMax bounds a file of decisions, in bytes: a payment has a few holds of a KiB each.
const decisionsMax = 1 << 20

// rules are the commands about regional rules.
type rules struct {
	Check    check    `cmd:"" help:"Say everything that is wrong with documents; status 1 if anything is."`
	Diff     diff     `cmd:"" help:"Say what the second document changes in the first."`
	Explain  explain  `cmd:"" help:"Say in words why a payment got what it got, from the recorded facts."`
	Show     show     `cmd:"" help:"Print a built-in document; 100000 is the national default to begin from."`
	Schema   schema   `cmd:"" help:"Print the JSON Schema of a document, for editors."`
	List     list     `cmd:"" help:"List the versions of a running region."`
	Apply    apply    `cmd:"" help:"Bring a document into a running region's log."`
	Withdraw withdraw `cmd:"" help:"Take back a version that is not yet in force."`
}

type check struct {
	Files []string `arg:"" name:"file" help:"Documents."`
}

// Run reads every file.
func (c *check) Run(p *Program) error {
	bad := false
	for _, path := range c.Files {
		r, err := rulebook.ReadFile(path)
		if err != nil {
			bad = true
			p.wrong(path, err)
			continue
		}
		if err = p.print("%s: ok: region %s, in force from %s\n", path, r.Region, r.EffectiveFrom); err != nil {
			return err
		}
	}
	if bad {
		return ErrRefused
	}
	return nil
}

// wrong prints what is wrong with a file, a line each: FILE:LINE: FIELD: reason / 原因.
func (p *Program) wrong(path string, err error) {
	wrong, ok := errors.AsType[*rulebook.ProblemsError](err)
	if !ok {
		_, _ = fmt.Fprintf(p.Stderr, "%s: %v\n", path, err)
		return
	}
	for _, x := range wrong.Problems {
		field := x.Field
		if field == "" {
			field = "document"
		}
		_, _ = fmt.Fprintf(p.Stderr, "%s:%d: %s: %s / %s\n", path, x.Line, field, x.Reason, x.ReasonZH)
	}
}

func (p *Program) print(format string, args ...any) error {
	_, err := fmt.Fprintf(p.Stdout, format, args...)
	return err
}

type diff struct {
	A string `arg:"" help:"The document before."`
	B string `arg:"" help:"The document after."`
}

// Run prints a line for each change; two that say the same print nothing.
func (d *diff) Run(p *Program) error {
	a, errA := rulebook.ReadFile(d.A)
	b, errB := rulebook.ReadFile(d.B)
	for path, err := range map[string]error{d.A: errA, d.B: errB} {
		if err != nil {
			p.wrong(path, err)
		}
	}
	if errA != nil || errB != nil {
		return ErrRefused
	}
	changes, err := rulebook.Diff(a, b)
	for _, c := range changes {
		err = errors.Join(err, p.print("%s\n", c))
	}
	return err
}

type explain struct {
	Payment string `required:"" placeholder:"FILE" help:"What /admin/v1/decisions?payment=ID gave; -: standard input."`
	Lang    string `enum:"both,zh,en" default:"both" help:"Language: both, zh or en."`
}

// Run reads the file and prints every decision in it.
func (e *explain) Run(p *Program) error {
	data, err := readInput(e.Payment)
	if err != nil {
		return err
	}
	var all rulebook.Decisions
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: %s is not what /admin/v1/decisions gives: %w", e.Payment, err)
	}
	if len(all.Decisions) == 0 {
		return fmt.Errorf("command: %s has no decision in it", e.Payment)
	}
	for i, d := range all.Decisions {
		x, err := d.Explain()
		if err != nil {
			return err
		}
		lines := []string{fmt.Sprintf("[%d/%d] %q %q", i+1, len(all.Decisions), d.PaymentID, d.HoldID)}
		if e.Lang != "en" {
			lines = append(lines, x.ZH...)
		}
		if e.Lang != "zh" {
			lines = append(lines, x.EN...)
		}
		if err = p.print("%s\n", strings.Join(lines, "\n")); err != nil {
			return err
		}
	}
	return nil
}

// readInput reads a file, or the standard input for "-", up to decisionsMax.
func readInput(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(os.Stdin, decisionsMax))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, decisionsMax))
	return data, errors.Join(err, f.Close())
}

type show struct {
	Region string `arg:"" help:"Region code."`
}

// Run prints the document as it ships, with its comments.
func (s *show) Run(p *Program) error {
	doc, err := rulebook.Document(s.Region)
	if errors.Is(err, policy.ErrNoRules) {
		return fmt.Errorf("command: there is no built-in document of %q; there are %s and %s", s.Region,
			strings.Join(rulebook.Regions(), ", "), rulebook.National)
	}
	if err != nil {
		return err
	}
	_, err = p.Stdout.Write(doc)
	return err
}

type schema struct{}

// Run prints the schema.
func (*schema) Run(p *Program) error {
	_, err := p.Stdout.Write(rulebook.Schema())
	return err
}
