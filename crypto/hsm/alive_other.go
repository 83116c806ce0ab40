//go:build !unix

package hsm

// alive leaves it to the request to find out.
func (*link) alive() bool { return true }
