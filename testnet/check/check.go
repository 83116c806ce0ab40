// Package check holds the books of a federation against the money invariants I-1 to I-7 of docs/protocol.md, from
// outside: it reads the audit of every region and the digests of every node, and computes everything again.
//
//   - I-1 opening + credits − captured + refunded = balance, for each account, and its movements say the same
//   - I-2 the open holds of an account are what its core system holds, and at most max(0, balance − floor)
//   - I-3 each leg at the origin has exactly one hold at the payer's home, of the same amount and outcome
//   - I-4 captured ≤ held ≤ self-borne and refunded ≤ captured, for each leg, payment and bill
//   - I-5 no payment is open more than 30 s past its deadline
//   - I-6 the nodes of a region have the same state at the same index
//   - I-7 every limit in force held at every moment: the history of each account is played again
//
// The audits are streamed. What has to be joined is spread over files by key, so the memory that a
// check needs does not grow with the books beyond one part in spoolParts of them.
package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
)

// Invariant is the number of an invariant, 1 to 7.
type Invariant int

// The invariants; see the package's text.
const (
	Balances Invariant = iota + 1
	OpenHolds
	LegsAndHolds
	Bounds
	Ends
	Replicas
	Limits

	last = Limits
)

// String is I-1 to I-7.
func (i Invariant) String() string { return fmt.Sprintf("I-%d", int(i)) }

// Times of a check.
const (
	Quiet    = 10 * time.Second       // Wait gives the federation so long to come to rest
	pause    = 300 * time.Millisecond // between two passes of Wait
	overtime = 30 * time.Second       // past decide_by, a payment has to have ended (I-5)
	textsMax = 3                      // faults that a line names; the rest is counted
)

// Report is what one pass found.
type Report struct {
	texts  [last + 1][]string
	counts [last + 1]int
}

func (r *Report) fail(i Invariant, format string, args ...any) {
	r.counts[i]++
	if len(r.texts[i]) < textsMax {
		r.texts[i] = append(r.texts[i], fmt.Sprintf(format, args...))
	}
}

// OK reports whether every invariant holds.
func (r *Report) OK() bool { return r.counts == [last + 1]int{} }

// Of says "ok", or what is wrong.
func (r *Report) Of(i Invariant) string {
	if r.counts[i] == 0 {
		return "ok"
	}
	text := strings.Join(r.texts[i], "; ")
	if more := r.counts[i] - len(r.texts[i]); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// Map gives Of by name, as reports in JSON have it.
func (r *Report) Map() map[string]string {
	out := map[string]string{}
	for i := Balances; i <= last; i++ {
		out[i.String()] = r.Of(i)
	}
	return out
}

// Print writes a line for each invariant: "I-1 ok", or "I-1 " and what is wrong.
func (r *Report) Print(w io.Writer) error {
	for i := Balances; i <= last; i++ {
		if _, err := fmt.Fprintln(w, i, r.Of(i)); err != nil {
			return err
		}
	}
	return nil
}

// Source is where the books come from.
type Source interface {
	// Audit visits the lines of one region's audit, in order.
	Audit(ctx context.Context, region string, visit func(line client.AuditLine) error) error
	// Digests returns what one node remembers: digests of its state by applied index.
	Digests(ctx context.Context, node string) (map[uint64]string, error)
}

// Federation is what is checked.
type Federation struct {
	Regions []Region
	Source  Source
	TempDir string           // for the spread files; "" is the system's
	Now     func() time.Time // of the one who checks
}

// Region names a region and its nodes.
type Region struct {
	Code  string
	Nodes []string
}

// Wait checks until everything holds, at most Quiet and one pass longer: while payments are under way their two
// sides differ. What it returns at the end is the last pass. The error is the context's or the file system's.
func Wait(ctx context.Context, f Federation) (*Report, error) {
	deadline := time.NewTimer(Quiet)
	defer deadline.Stop()
	for {
		r, err := Once(ctx, f)
		if err != nil || r.OK() {
			return r, err
		}
		select {
		case <-deadline.C:
			return r, nil
		default:
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		case <-again.C:
		}
	}
}

// Once is one pass over all books. A region or node that cannot be asked is a fault of the invariants
// that need it; the error is the context's or the file system's.
func Once(ctx context.Context, f Federation) (*Report, error) {
	p, err := newPass(f)
	if err != nil {
		return nil, err
	}
	err = p.run(ctx)
	if err = errors.Join(err, p.close()); err != nil {
		return nil, err
	}
	return &p.report, nil
}

// pass is one Once.
type pass struct {
	f      Federation
	report Report
	now    time.Time
	legs   *spool[legItem]
	bills  *spool[billItem]
}

func newPass(f Federation) (*pass, error) {
	p := &pass{f: f, now: f.Now()}
	var err error
	if p.legs, err = newSpool[legItem](f.TempDir); err != nil {
		return nil, err
	}
	if p.bills, err = newSpool[billItem](f.TempDir); err != nil {
		return nil, errors.Join(err, p.legs.close())
	}
	return p, nil
}

func (p *pass) close() error { return errors.Join(p.legs.close(), p.bills.close()) }

func (p *pass) run(ctx context.Context) error {
	for _, region := range p.f.Regions {
		if err := p.region(ctx, region); err != nil {
			return err
		}
		p.replicas(ctx, region)
	}
	if err := p.legs.groups(p.checkLegs); err != nil {
		return err
	}
	return errors.Join(p.bills.groups(p.checkBill), ctx.Err())
}

// errBooks marks faults of this machine while the books are read, as opposed to the region's.
var errBooks = errors.New("check: spreading the books")

// region reads one region's audit: what concerns it alone is checked at once, the rest is spread.
func (p *pass) region(ctx context.Context, region Region) error {
	b, err := newBooks(p, region.Code)
	if err != nil {
		return err
	}
	err = p.f.Source.Audit(ctx, region.Code, b.line)
	switch {
	case errors.Is(err, errBooks), ctx.Err() != nil:
		return errors.Join(err, ctx.Err(), b.close())
	case err == nil && b.end == nil:
		err = errors.New("the audit was cut off")
	}
	if err != nil {
		for _, i := range []Invariant{Balances, OpenHolds, LegsAndHolds, Bounds, Ends, Limits} {
			p.report.fail(i, "region %s cannot be read: %v", region.Code, err)
		}
		return b.close()
	}
	return errors.Join(b.finish(), b.close())
}

// replicas compares what the nodes of a region remember. One that is down cannot differ, but a majority must answer.
func (p *pass) replicas(ctx context.Context, region Region) {
	answered := 0
	first := map[uint64]string{}
	seen := map[uint64]int{}
	for _, node := range region.Nodes {
		digests, err := p.f.Source.Digests(ctx, node)
		if err != nil {
			continue
		}
		answered++
		for index, digest := range digests {
			if known, ok := first[index]; ok && known != digest {
				p.report.fail(Replicas, "%s differs from its region at index %d", node, index)
			}
			first[index] = digest
			seen[index]++
		}
	}
	if answered <= len(region.Nodes)/2 {
		p.report.fail(Replicas, "region %s: only %d of %d nodes answer", region.Code, answered, len(region.Nodes))
		return
	}
	for _, n := range seen {
		if n == answered {
			return
		}
	}
	p.report.fail(Replicas, "region %s: its nodes have no index in common", region.Code)
}

// at returns the rules in force at a moment; the zero rules forbid everything but have no limit.
func at(rules []client.AuditRules, t time.Time) client.AuditRules {
	var in client.AuditRules
	for _, r := range rules {
		if !r.From.After(t) {
			in = r
		}
	}
	return in
}

func sortRules(rules []client.AuditRules) {
	slices.SortStableFunc(rules, func(a, b client.AuditRules) int { return a.From.Compare(b.From) })
}
