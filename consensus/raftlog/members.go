package raftlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"gongji/consensus"
)

// joinLag is how near a new member must be to the end of the log to get its vote.
const joinLag = 64

// AddNode takes a member in: first as one that only listens; when it has caught up, it
// gets its vote. On the leader only, else ErrNoLeader (carry the wish there by Ask). It returns
// when the new member votes, or with ctx's error: then it stays a listener, and the same
// call goes on with it.
//
// A node that lost its disk is best taken in under a new id after RemoveNode of the old
// one. Under its old id it comes back by itself and does not vote before it has caught up;
// that is safe as long as only a minority lost their disks at the same time.
func (n *Node) AddNode(ctx context.Context, peer Peer) error {
	if peer.ID == "" || peer.Addr == "" {
		return fmt.Errorf("%w: peer %q at %q", ErrConfig, peer.ID, peer.Addr)
	}
	p, leads, err := n.serving()
	if err != nil {
		return err
	}
	if !leads {
		return consensus.ErrNoLeader
	}
	if _, votes := p.voterAddr(peer.ID); votes {
		return nil
	}
	id, addr := raft.ServerID(peer.ID), raft.ServerAddress(peer.Addr)
	if err := memberChange(p.raft.AddNonvoter(id, addr, 0, n.cfg.Tuning.RPCTimeout)); err != nil {
		return err
	}
	ticker := time.NewTicker(leadRetry)
	defer ticker.Stop()
	for {
		end := p.raft.LastIndex()
		for _, s := range ask(ctx, p.client, n.cfg.Clock, []Peer{peer}) {
			if s.lastIndex+joinLag >= end && s.applied > 0 {
				return memberChange(p.raft.AddVoter(id, addr, 0, n.cfg.Tuning.RPCTimeout))
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// RemoveNode takes a member out of the group. On the leader only, else ErrNoLeader. A
// leader that is asked to remove itself hands its leadership over and answers ErrNoLeader:
// ask the next one. The id should not be used again.
func (n *Node) RemoveNode(ctx context.Context, id string) error {
	p, leads, err := n.serving()
	if err != nil {
		return err
	}
	if !leads {
		return consensus.ErrNoLeader
	}
	if id == n.cfg.NodeID {
		n.handOver(ctx)
		return fmt.Errorf("%w: the leader hands over before it is removed", consensus.ErrNoLeader)
	}
	found := false
	for _, s := range p.members() {
		found = found || string(s.ID) == id
	}
	if !found {
		return fmt.Errorf("%w: %q", errMembers, id)
	}
	return memberChange(p.raft.RemoveServer(raft.ServerID(id), 0, n.cfg.Tuning.RPCTimeout))
}

func memberChange(future raft.IndexFuture) error {
	err := future.Error()
	if err == nil || errors.Is(err, consensus.ErrNoLeader) {
		return err
	}
	return classify(err)
}
