// Package crowd lets many platforms use the same accounts at the same time, in a few regions in virtual time, and holds
// every limit against the state after every single command (I-1, I-2, I-4, I-7).
//
// It is tests only. A crowd is a seed: which platform asks what is drawn from it; how the goroutines meet is not.
// More seeds: go test ./gateway/internal/simtest/crowd -seeds 50.
package crowd
