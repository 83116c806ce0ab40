// Package federationtest holds what tests of the federation share: the contract that every Bus passes
// (RunBusContract), a Sealer on the standard library, and a small federation with a signed directory.
package federationtest
