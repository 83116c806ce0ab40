// Package overapi asks a small federation over its API, as text, and holds the answers against the second opinion: the
// first failing check of every request, what is given, by whom, what is named, and what is due in cash; and amounts that
// are hostile in form or in size.
//
// It is tests only. More requests: go test ./gateway/internal/simtest/overapi -requests 3000.
package overapi
