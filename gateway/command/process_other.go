//go:build !linux

package command

import "fmt"

// NoCoreDumps does nothing where this program does not know how: turn core dumps off in the system.
func NoCoreDumps() error { return nil }

// AskTerminal knows no terminal here.
func AskTerminal(string) (string, error) {
	return "", fmt.Errorf("%w: there is no terminal to ask on this system", ErrUsage)
}

// AskSecret knows no terminal here.
func AskSecret(string) ([]byte, error) {
	return nil, fmt.Errorf("%w: there is no terminal to ask on this system: name a file", ErrUsage)
}
