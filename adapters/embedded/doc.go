// Package embedded is the account book of a region that has no core system: an adapters.Book kept in
// the region's own replicated state, under keys that begin with one byte of their own.
//
// It is pure: no clock, no randomness, no memory beside the state, so every replica that
// applies the same acts holds the same bytes.
package embedded
