package raftlog

import (
	"context"

	"github.com/hashicorp/raft"
)

// guard is raft's transport with a hand on the votes. While the node is silent it neither
// votes nor stands for election. While it is weak it votes and does not stand: with a disk that hangs
// it would win every election, having the longest log, and lose each leadership at the
// first write.
type guard struct {
	*raft.NetworkTransport
	silent   func() bool
	weak     func() bool
	consumer chan raft.RPC
}

var (
	_ raft.Transport   = (*guard)(nil)
	_ raft.WithPreVote = (*guard)(nil)
	_ raft.WithClose   = (*guard)(nil)
)

// newGuard wraps t. If the node is not silent at its start it never will be, and raft
// reads from t directly.
func newGuard(t *raft.NetworkTransport, silent, weak func() bool) *guard {
	g := &guard{NetworkTransport: t, silent: silent, weak: weak}
	if silent() {
		g.consumer = make(chan raft.RPC)
	}
	return g
}

// Consumer is where raft reads incoming calls.
func (g *guard) Consumer() <-chan raft.RPC {
	if g.consumer == nil {
		return g.NetworkTransport.Consumer()
	}
	return g.consumer
}

// run carries incoming calls to raft until ctx ends.
func (g *guard) run(ctx context.Context) {
	if g.consumer == nil {
		return
	}
	for {
		select {
		case call := <-g.NetworkTransport.Consumer():
			if g.silent() && asksForVote(call) {
				call.Respond(nil, errRejoining)
				continue
			}
			select {
			case g.consumer <- call:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func asksForVote(call raft.RPC) bool {
	switch call.Command.(type) {
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest, *raft.TimeoutNowRequest:
		return true
	}
	return false
}

// stands says why this node does not stand for election, nil if it may.
func (g *guard) stands() error {
	switch {
	case g.silent():
		return errRejoining
	case g.weak():
		return errDiskSlow
	}
	return nil
}

// RequestVote asks for a vote, unless this node must not stand for election.
func (g *guard) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse,
) error {
	if err := g.stands(); err != nil {
		return err
	}
	return g.NetworkTransport.RequestVote(id, to, args, resp)
}

// RequestPreVote asks whether a vote would be given, unless this node must not stand.
func (g *guard) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse,
) error {
	if err := g.stands(); err != nil {
		return err
	}
	return g.NetworkTransport.RequestPreVote(id, to, args, resp)
}
