// Package secondopinion says what the rules of family sharing give, slowly and plainly: tables of strings and whole fen,
// and loops over all that ever happened. It was written from the requirements and from the API's page,
// imports the standard library alone, and shares nothing with the program that it is held against: no running totals, no
// states of a protocol, no clock. Whoever doubts a figure can follow it here with a pencil.
//
// It lives in tests only: situations_test.go holds the pure domain against it on random situations, and package ledger's
// tests hold whole histories of the replicated state machine against it.
package secondopinion
