// Package api is the HTTP face of a gateway: strict forms, who is speaking, problem documents, admission, and the way
// to the leader. It decides everything about form and nothing about money: what passes is handed to a Desk.
//
// Any node may be asked. A node that does not lead carries the request as it came to the leader, whose face serves
// it, so that signatures, nonces and rates are checked in one place.
//
// The order of checks is fixed (api.md section 1): who is speaking, form and request id, replay or conflict, the
// other 400s, 421, and then what the Desk decides.
package api
