package consensustest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"gongji/consensus"
)

// registerInput is one operation on one of a few registers.
type registerInput struct {
	key   string
	write bool
	value string // written
}

// registers is the model: each key a register, checked by itself.
func registers() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := make(map[string][]porcupine.Operation)
			var keys []string
			for _, op := range history {
				key := inputOf(op.Input).key
				if byKey[key] == nil {
					keys = append(keys, key)
				}
				byKey[key] = append(byKey[key], op)
			}
			parts := make([][]porcupine.Operation, 0, len(keys))
			for _, key := range keys {
				parts = append(parts, byKey[key])
			}
			return parts
		},
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			in := inputOf(input)
			if in.write {
				return true, in.value
			}
			return output == state, state
		},
		DescribeOperation: func(input, output any) string {
			in := inputOf(input)
			if in.write {
				return fmt.Sprintf("set %s %s", in.key, in.value)
			}
			return fmt.Sprintf("get %s = %v", in.key, output)
		},
	}
}

func inputOf(v any) registerInput {
	in, ok := v.(registerInput)
	if !ok {
		panic("consensustest: not a registerInput")
	}
	return in
}

const (
	linearClients = 8
	linearOps     = 120 // of each client
	linearKeys    = 4
	linearFaults  = 3
)

// Linearizable lets clients read and write on all nodes, calls fault a few times meanwhile
// (which may change the leader), and checks the whole history: every read saw what
// was written last. A write of unknown outcome may count at any later time, or never.
func Linearizable(t *testing.T, r *Running, fault func()) {
	t.Helper()
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		unknown int
		wg      sync.WaitGroup
	)
	var clock atomic.Int64 // counts calls and returns: in virtual time all of them are at once
	note := func(op porcupine.Operation) {
		mu.Lock()
		defer mu.Unlock()
		history = append(history, op)
	}
	progress := make(chan struct{}, linearClients*linearOps)
	for client := range linearClients {
		wg.Go(func() {
			for i := range linearOps {
				in := registerInput{key: "r" + strconv.Itoa((client+i)%linearKeys), write: (client+i)%3 == 0}
				in.value = fmt.Sprintf("%d.%d", client, i)
				op := porcupine.Operation{ClientId: client, Input: in, Call: clock.Add(1)}
				output, err := r.operate((client+i)%len(r.nodes), in)
				op.Output, op.Return = output, clock.Add(1)
				progress <- struct{}{}
				switch {
				case err == nil:
					note(op)
				case in.write && errors.Is(err, consensus.ErrUnknown):
					op.Return = 1 << 62 // perhaps later
					mu.Lock()
					unknown++
					mu.Unlock()
					op.ClientId = linearClients + client*linearOps + i // the client goes on meanwhile
					note(op)
				default:
					t.Errorf("%v: %v", in, err)
				}
			}
		})
	}
	for n := range linearClients * linearOps {
		<-progress
		if (n+1)%(linearClients*linearOps/(linearFaults+1)) == 0 && n+1 < linearClients*linearOps {
			fault()
		}
	}
	wg.Wait()
	if len(history) < linearClients*linearOps/4 {
		t.Errorf("only %d operations came through", len(history))
	}
	result := porcupine.CheckOperationsTimeout(registers(), history, patience)
	if result != porcupine.Ok {
		t.Errorf("history of %d operations, %d of them unknown: %v", len(history), unknown, result)
	}
}

// operate carries out one operation on a node, and asks again for a while if nothing
// was proposed.
func (r *Running) operate(node int, in registerInput) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		var got string
		var err error
		if in.write {
			_, err = r.Log(node).Propose(ctx, []byte("set "+in.key+" "+in.value))
		} else {
			err = r.Log(node).Read(ctx, func(v consensus.Reader) error {
				got = string(value(v, in.key))
				return nil
			})
		}
		again := errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, consensus.ErrStopped)
		if !again || ctx.Err() != nil {
			return got, err
		}
		r.pause()
	}
}
