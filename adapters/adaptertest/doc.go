// Package adaptertest holds what every adapter must pass: the contract test of a Book, the
// conformance run of a Core as a library with a readable report, and a simulated Core with
// every fault that a core system outside can show.
package adaptertest
