// Package regiontest is a small federation for component tests: each region is one node with its log in memory, on a
// bus in memory, with the real cryptography, ledger, settle and desk, and a Book or a core handed in. It knows time
// only through package time, so that it runs in a testing/synctest bubble.
//
// A region named in Config.Absent is in the directory and has keys, and nothing of it runs: a test plays it by hand
// with Pack, Unpack and the bus.
package regiontest
