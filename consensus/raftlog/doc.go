// Package raftlog is the consensus.Log on hashicorp/raft: raft-wal as log store,
// Pebble as state, one TLS listener for each node, and the only place in the
// project that forwards to a leader.
//
// One Node is one member of one region's group. A process may hold members of
// several groups; they share nothing except, if handed in, a block cache.
//
// The promises of package consensus are kept like this:
//
//   - An entry is a pack of commands (pack.go). The leader collects the commands
//     that wait at the same time, stamps them, and keeps a few entries under way.
//   - Each entry is applied in one Pebble batch that holds its writes, its index
//     and the chained digest. The batch is not synced: the raft log is the durable
//     copy, and a snapshot syncs the state before raft may cut its log (store.go,
//     snapshots.go).
//   - A write of the log that takes too long takes the leadership away, since raft
//     itself goes on sending heartbeats beside a hung disk (logstore.go).
//   - A new leader serves nobody before its clock agrees with a majority's and
//     everything committed before it is applied (lead.go, clock.go).
//   - Replicas compare digests; whoever is alone with its digest stops (digest.go).
//   - A node that lost its disk does not vote before it has caught up (rejoin.go).
//
// DESIGN.md in the folder above tells why.
package raftlog
