package raftlog

import "errors"

// Reasons for which Run ends. Each needs an operator, or at least a restart; the
// node never goes on past one of them.
var (
	// ErrStateAhead: the state has applied entries that the log on this disk does not
	// have, so the log lost what it had promised to keep. Wipe the node's folder and
	// let it join again under a new id.
	ErrStateAhead = errors.New("raftlog: state is ahead of the log; wipe this node and rejoin under a new id")
	// ErrStateBehind: entries between the state and the first entry of the log are
	// gone and no snapshot covers them. Wipe the node's folder and let it join again.
	ErrStateBehind = errors.New("raftlog: log begins behind the state; wipe this node and rejoin")
	// ErrLogLost: a snapshot is of a later term than the log has ever seen: the log's folder was lost, or a snapshot was
	// copied here by hand. Such a node has forgotten whom it voted for. Wipe its folder and let it join again; for a whole
	// group see Restore.
	ErrLogLost = errors.New("raftlog: the log was lost; wipe this node and rejoin, or restore the whole group")
	// ErrDiverged: a majority agrees on another digest of the state at an index that
	// this node has applied too. Keep the folder for the enquiry, then wipe and rejoin.
	ErrDiverged = errors.New("raftlog: state differs from the majority's")
	// ErrUndecodable: a committed entry could not be decoded or applied. It is never
	// skipped: the node stops before it, with the state of the entry before.
	ErrUndecodable = errors.New("raftlog: committed entry cannot be applied")
	// ErrDisk: a write of the log failed, or was under way for too long.
	ErrDisk = errors.New("raftlog: log disk failed")
	// ErrSnapshot: a snapshot does not hold what its name says, or could not be unpacked.
	ErrSnapshot = errors.New("raftlog: snapshot is not usable")
	// ErrConfig: a Config that Validate refuses.
	ErrConfig = errors.New("raftlog: bad config")
)

// Inside the package.
var (
	errDiskSlow  = errors.New("raftlog: log write is under way for too long")
	errRejoining = errors.New("raftlog: this node does not vote before it has caught up")
	errClosed    = errors.New("raftlog: closed")
	errFrame     = errors.New("raftlog: malformed frame")
	errMembers   = errors.New("raftlog: no such member")
)
