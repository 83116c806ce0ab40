// Package client is what an outside program needs to speak with a gateway: the JSON types of the API, and a client
// that signs, follows the leader and repeats what may be repeated.
//
// Money is a string of yuan with two places ("120.00"), dates are YYYY-MM-DD, times are RFC 3339 with +08:00. An
// optional field is a pointer, or a string whose zero value is left out. Requests carry persons in the clear, so
// their types print masked; answers never carry more than MaskedPerson.
//
// Options.Sign signs with the platform's registered SM2 key; the key itself may stand in a key store, since only a
// message goes in and a signature comes out. Client certificates are those of Options.HTTP.
//
// Every write is made repeatable by its request id: the caller makes it, keeps it, and repeats the same request
// with it until an answer says what happened. Client does that by itself, within the time that its context allows.
package client
