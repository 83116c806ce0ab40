//go:build !purego

package emm

// assembly: the library was built with its assembly.
const assembly = true
