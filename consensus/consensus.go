// Package consensus is the contract of a replicated log over one key-value state.
//
// A region is one group of nodes. Its nodes agree on one order of entries, and
// each of them applies these entries, one after another, to a state of ordered
// keys and values. What a command means is the business of a StateMachine; this
// package moves bytes and keeps promises:
//
//   - A result is handed to nobody before its entry is committed (durable on a
//     majority) and applied on the node that answers.
//   - All nodes apply the same commands in the same order with the same stamps,
//     so their states are equal at equal indexes; a node whose state differs
//     from the majority's stops itself.
//   - Time enters here: the leader stamps each command, stamps only grow, and
//     a StateMachine has no other clock.
//
// Implementations: raftlog (hashicorp/raft, Pebble, TLS), and the Log in memory
// of consensustest. Both pass the contract test in consensustest.
package consensus

import (
	"context"
	"errors"
	"time"
)

// Limits that every Log keeps. A command above CommandMax is refused with
// ErrTooLarge before anything is written; packs are cut at the other two.
const (
	CommandMax     = 1 << 20   // bytes of one command
	PackMax        = 256       // commands in one log entry
	PackBytesMax   = 512 << 10 // bytes of the commands in one entry; a single larger command travels alone
	AskMax         = 1 << 20   // bytes of a request or an answer of Ask
	WaitingMax     = 8192      // commands waiting at the leader; more are refused with ErrBusy
	ClockOffMax    = 500 * time.Millisecond
	ClockJumpMax   = 60 * time.Second
	KeyMax         = 1 << 10 // bytes of a key
	DigestInterval = 256     // every so many entries the replicas compare the digest of their states
)

// Errors of a Log. Each says what the caller may do next.
var (
	// ErrNoLeader: there is no leader now, or it could not be reached before the
	// command left this node. Nothing was proposed; the same call may be repeated.
	ErrNoLeader = errors.New("consensus: no leader")
	// ErrUnknown: the command was sent to the log and its fate is not known (leadership
	// was lost, the answer was lost, or the context ended). It may be applied later.
	// The caller repeats it with the same id inside the command, and so finds out.
	ErrUnknown = errors.New("consensus: outcome unknown")
	// ErrBusy: WaitingMax commands are waiting. Nothing was proposed.
	ErrBusy = errors.New("consensus: too many commands are waiting")
	// ErrTooLarge: the command or request is above its limit. Nothing was proposed.
	ErrTooLarge = errors.New("consensus: too large")
	// ErrStopped: the Log has been stopped or has stopped itself. Nothing was proposed.
	ErrStopped = errors.New("consensus: stopped")
)

// Reader reads the state as it is at one applied index. It is valid only inside
// the call that it was handed to.
type Reader interface {
	// Get returns the value of key, and whether there is one. The slice belongs to
	// the caller's call: it is valid until that call returns and must not be changed.
	Get(key []byte) (value []byte, ok bool)
	// Scan calls visit for each key with lo <= key < hi in ascending order until
	// visit returns false. A nil hi means no upper bound. The slices are valid only
	// inside visit. visit must not write to the Txn that is scanned.
	Scan(lo, hi []byte, visit func(key, value []byte) bool)
}

// Txn is the state inside Apply: reads see the writes made before them in the
// same entry. Writes of one entry become visible to others together, with the
// applied index. Keys have 1 to KeyMax bytes. Slices handed in may be reused by the
// caller afterwards.
type Txn interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
}

// Command is one proposed command as the state machine gets it.
type Command struct {
	Index uint64    // of the log entry it travelled in; commands of a pack share it
	Stamp time.Time // the leader's, UTC, microseconds; strictly greater than that of every command before
	Data  []byte    // belongs to the log; valid until Apply returns
}

// StateMachine gives commands their meaning. All calls come from one goroutine
// at a time.
type StateMachine interface {
	// Apply is a deterministic function of the state and the command: no clock, no
	// randomness, no I/O, no map order. It returns the result that Propose hands
	// back on the node that asked. A refusal is a result. A command that it cannot
	// decode, or a broken invariant, is an error: the node stops and never skips.
	Apply(txn Txn, c Command) (result []byte, err error)
	// Applied tells that everything applied since the last call is committed on this
	// node and visible to readers: now, and not before, others may be told of it.
	Applied(index uint64)
	// Reset tells that the state was replaced as a whole (at start, or by a snapshot):
	// whatever is remembered outside of the state is to be read anew from r.
	Reset(r Reader) error
}

// Leadership is what a node knows of its group.
type Leadership struct {
	Term     uint64 // grows with each change of leader
	Leader   bool   // this node leads, has applied all that was committed before, and its clock agrees with a majority's
	LeaderID string // the leader's id, empty when unknown
}

// Handler answers a request that Ask carried to the leader. It runs on the leader in a goroutine of
// its own. The answer has at most AskMax bytes.
type Handler func(ctx context.Context, request []byte) []byte

// Log is one node's view of its group's log. Safe for concurrent use.
type Log interface {
	// Run serves the log until ctx ends or the node must stop; it blocks. It returns
	// nil when ctx ended, else the reason (a lost disk, a diverged state, an entry
	// that could not be decoded). Everything else may be called before Run and then
	// answers ErrNoLeader.
	Run(ctx context.Context) error
	// Propose puts a command into the log and returns what Apply returned for it.
	// On a node that does not lead, the command is carried to the leader. Errors:
	// ErrNoLeader, ErrUnknown, ErrBusy, ErrTooLarge, ErrStopped.
	Propose(ctx context.Context, command []byte) (result []byte, err error)
	// Read calls view with a state that contains every command whose result had been
	// handed to anybody before the call (linearizable), on any node. view may run more than
	// once at a time with others but is called once. Errors: ErrNoLeader, ErrStopped,
	// the context's, and whatever view returns.
	Read(ctx context.Context, view func(Reader) error) error
	// ReadStale calls view with this node's state as it is now, which may be behind.
	ReadStale(view func(Reader) error) error
	// Ask carries a request to the leader's Handler and its answer back; on the
	// leader it is a call. Errors: ErrNoLeader (surely not handled), ErrUnknown (perhaps handled),
	// ErrTooLarge, ErrStopped, ErrBusy.
	Ask(ctx context.Context, request []byte) (answer []byte, err error)
	// Leadership returns what this node knows now, and a channel that is closed when it changes.
	Leadership() (Leadership, <-chan struct{})
	// Status describes this node for operators.
	Status() Status
}

// Status is what an operator asks of one node.
type Status struct {
	ID           string            `json:"id"`
	State        string            `json:"state"` // leader, follower, candidate, stopped
	Term         uint64            `json:"term"`
	LastIndex    uint64            `json:"last_index"` // of the last entry in this node's log
	CommitIndex  uint64            `json:"commit_index"`
	AppliedIndex uint64            `json:"applied_index"`
	LastStamp    time.Time         `json:"last_stamp"`
	Snapshot     uint64            `json:"snapshot"`     // index of the newest snapshot
	Snapshots    uint64            `json:"snapshots"`    // snapshots installed from another node since start
	Digest       string            `json:"digest"`       // hex, of the state at AppliedIndex
	ClockOffset  time.Duration     `json:"clock_offset"` // of this node against the median of the group
	Lag          map[string]uint64 `json:"lag"`          // on the leader: entries each follower is behind
	Peers        []string          `json:"peers"`
	Commands     uint64            `json:"commands"` // applied since start
	Entries      uint64            `json:"entries"`  // applied since start
	Refused      string            `json:"refused"`  // why it does not want to lead: clock_off, clock_jump, disk_slow
}
