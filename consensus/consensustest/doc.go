// Package consensustest has what tests of a consensus.Log need, and of what stands
// on one:
//
//   - Group and Mem, a Log in memory: a few nodes that share one order of entries, with
//     a clock in the test's hand;
//   - RunLogContract, the contract test that every Log passes, and Linearizable, a check
//     of a Log's whole history;
//   - Running, which starts and stops the nodes of a group, and Machine, a small state
//     machine whose commands are words;
//   - CrashFS, a file system in memory that can lose what was not synced.
package consensustest
