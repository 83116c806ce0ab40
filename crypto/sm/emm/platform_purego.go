//go:build purego

package emm

// assembly: the library was built without its assembly.
const assembly = false
