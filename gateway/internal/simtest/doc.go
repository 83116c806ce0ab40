// Package simtest runs a whole federation in virtual time and breaks what can break, driven by a seed.
//
// # What runs
//
// Three regions of three nodes each, as gateway/node puts them together: the real ledger, settle, links, raft-wal and
// Pebble, hashicorp/raft, and kafka-go over an embedded broker. Two regions have a Book in their own log, the third a
// simulated core system outside. Only the edges are the simulation's: the file system of each node loses what was not
// synced, the streams between the machines have a delay and can be cut, each node has a clock of its own, and the API
// is asked by a call instead of a socket. All of it lives in one testing/synctest bubble, so ten minutes pass in some
// seconds, and a wait costs nothing.
//
// # What happens in it
//
// A seed draws two plans before anything starts: the payments (who, how much, at which region, when, and what the
// platform does with the hold) and the faults. Platforms behave as api.md asks them to: after an answer that never
// came, or whose outcome is unknown, they repeat the same request, at any node. Meanwhile nodes lose their power and
// come back on what was synced, sometimes all nodes of a region at once and right after a snapshot, or in the moment in
// which a platform has its answer or the core system has done what it was asked; ways between machines are cut, one way
// or both, and flap; clocks jump, by seconds or a year; the broker loses, repeats and delays what it took, goes away,
// and forgets everything; the core system takes its time on good days, and on others answers late, twice, or not at
// all. The interleaving of goroutines is not repeated by a seed; the plans are, and that has been enough to see a fault
// again.
//
// # What is checked
//
// While it runs, every 20 seconds: what may be said at any moment. A payment that has ended has no open leg, no end is
// ever taken back, no decision turned round, what an origin believes of a hold its home has done, no stamp runs ahead
// of the true time, limits and floors hold. When the faults end everything has to come to rest by itself: then the
// invariants I-1 to I-7 are computed over all regions from what every node says of itself, without any code of the
// testnet's check, and each answer that a platform was ever given is held against the books. A captured answer is
// captured in the books, with the same amounts.
//
// # The wrinkle
//
// A simulation that finds nothing may be blind. So testdata/mutants holds planted bugs, one to a file, and TestMutants
// (with -mutants) builds the simulation over each of them with go test -overlay and expects it to fail. Production code
// has no switches for this. Some bugs heal themselves later, since decisions are sent again until they are answered;
// those are found only by looking while they last, which is why the checks above run in the middle too. One bug needs a
// region that has lost its history, which no run of correct nodes brings about: a fourth region that is played by the
// simulation does (ghost_test.go).
//
// # Limits
//
// One process cannot show what a kill of a process shows, nor what a real disk does when it is full or hangs; the
// testnet's tests with processes do. TLS is left out, and one key ring serves the nodes of a region.
//
// Flags of the test: -seeds N runs seeds 1 to N, -seed S runs that one alone, -story prints what happened in any case,
// -mutants runs the planted bugs, -first begins no further seed after one that failed.
package simtest
