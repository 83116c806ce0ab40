package hostile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"gongji/federation"
)

// The fourth member can be a process of its own: it has its keys and the broker's address, and whoever started it tells
// it what to do, one JSON document a question, one an answer. Its end of input is its end.

// question is one thing that a process is told; one field is set.
type question struct {
	Facts *Facts     `json:"facts,omitempty"` // make the list of attacks
	Send  *int       `json:"send,omitempty"`  // the place of an attack
	Flood *FloodPlan `json:"flood,omitempty"`
	Calm  bool       `json:"calm,omitempty"`
}

// answer is what it says; Error is empty when all went well.
type answer struct {
	Error   string   `json:"error,omitempty"`
	Attacks []listed `json:"attacks,omitempty"`
	Offset  int64    `json:"offset,omitempty"`
	Flooded Flooded  `json:"flooded,omitzero"`
}

// listed is an attack with its stage.
type listed struct {
	Attack

	Stage Stage `json:"stage"`
}

// Serve is the process: it does what questions on in say and answers on out, until in or ctx ends.
func Serve(ctx context.Context, data string, brokers []string, in io.Reader, out io.Writer) error {
	x, err := NewFourth(data, brokers...)
	if err != nil {
		return err
	}
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	for ctx.Err() == nil {
		var q question
		if err = questions.Decode(&q); err != nil {
			break
		}
		if err = answers.Encode(x.serve(ctx, &q)); err != nil {
			break
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, x.Close())
}

func (x *Fourth) serve(ctx context.Context, q *question) answer {
	var a answer
	var err error
	switch {
	case q.Facts != nil:
		var list []Attack
		list, err = x.Attacks(ctx, *q.Facts)
		for i := range list {
			a.Attacks = append(a.Attacks, listed{list[i], list[i].Stage})
		}
	case q.Send != nil:
		a.Offset, err = x.Send(ctx, *q.Send)
	case q.Flood != nil:
		err = x.Flood(ctx, *q.Flood)
	case q.Calm:
		a.Flooded, err = x.Calm(ctx)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}

// Process is a Fourth in a process of its own. For one goroutine.
type Process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

var _ Attacker = (*Process)(nil)

// processEnd bounds how long a process that is told to end may take.
const processEnd = 5 * time.Second

// ErrProcess: the fourth member's process did not do as it was told.
var ErrProcess = errors.New("hostile: the fourth member's process")

// Start starts cmd, which is to Serve. Its end is the end of its input: it does not outlive this process.
func Start(cmd *exec.Cmd) (*Process, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	cmd.WaitDelay = processEnd
	if err = cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProcess, err)
	}
	return &Process{cmd, in, json.NewDecoder(out)}, nil
}

// Close ends the process, and returns the CPU time that it took.
func (p *Process) Close() (time.Duration, error) {
	err := errors.Join(p.in.Close(), p.cmd.Wait())
	if s := p.cmd.ProcessState; s != nil {
		return s.UserTime() + s.SystemTime(), err
	}
	return 0, err
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// ask puts one question. An end of ctx is seen by whoever started the process under it: then there is no answer.
func (p *Process) ask(q question) (answer, error) {
	raw, err := json.Marshal(q)
	if err == nil {
		_, err = p.in.Write(append(raw, '\n'))
	}
	var a answer
	if err == nil {
		err = p.out.Decode(&a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("%w: %w", ErrProcess, err)
	}
	return a, nil
}

// Attacks is Fourth.Attacks.
func (p *Process) Attacks(_ context.Context, facts Facts) ([]Attack, error) {
	a, err := p.ask(question{Facts: &facts})
	list := make([]Attack, len(a.Attacks))
	for i := range a.Attacks {
		list[i] = a.Attacks[i].Attack
		list[i].Stage = a.Attacks[i].Stage
	}
	return list, err
}

// Send is Fourth.Send.
func (p *Process) Send(_ context.Context, place int) (int64, error) {
	a, err := p.ask(question{Send: &place})
	return a.Offset, err
}

// Flood is Fourth.Flood.
func (p *Process) Flood(_ context.Context, plan FloodPlan) error {
	_, err := p.ask(question{Flood: &plan})
	return err
}

// Calm is Fourth.Calm.
func (p *Process) Calm(context.Context) (Flooded, error) {
	a, err := p.ask(question{Calm: true})
	return a.Flooded, err
}

// Drained waits until every region has read what was flooded beyond what it had read before. A region that reads a
// flood slowly takes a while.
func (w *Watch) Drained(
	ctx context.Context, from federation.Region, before map[federation.Region]float64, f Flooded,
) error {
	for at, n := range f.Records {
		for {
			read, err := w.Read(ctx, at, from)
			if err == nil && read >= before[at]+float64(n) {
				break
			}
			if !pause(ctx) {
				return fmt.Errorf("hostile: %s has read %.0f of %d records of a flood: %w", at, read-before[at], n, ctx.Err())
			}
		}
	}
	return nil
}
