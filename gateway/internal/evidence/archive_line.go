package evidence

import (
	"fmt"
	"time"

	"gongji/federation"
	"gongji/gateway/internal/ledger"
)

// What ArchiveWriter.Add has written is read back here, as the state had it: but for the persons, of whom an
// archive has the digests alone.

func (l *archiveLine) moment() time.Time {
	if l.At == nil {
		return time.Time{}
	}
	return *l.At
}

// sent is a message of this region's.
func (l *archiveLine) sent() (*ledger.OutMessage, error) {
	chain, good := fixed(l.Chain)
	persons, known := fixed(l.Persons)
	if !good || !known {
		return nil, fmt.Errorf("%w: message %d to %s", ErrArchive, l.Number, l.Peer)
	}
	m := &ledger.OutMessage{Chain: chain, Body: l.Body, At: l.moment()}
	if persons != [federation.HashSize]byte{} {
		m.Persons = &ledger.Bundle{Digest: persons}
	}
	return m, nil
}

// evidence is a parcel that a peer signed.
func (l *archiveLine) evidence() (*ledger.Evidence, error) {
	e := &ledger.Evidence{At: l.moment(), Parcel: ledger.Parcel{
		Epoch: l.Epoch, Header: l.Header, Signature: l.Signature, Leaves: l.Leaves,
	}}
	for i := range l.Messages {
		m := &l.Messages[i]
		chain, good := fixed(m.Chain)
		persons, known := fixed(m.Persons)
		if !good || !known || len(m.Salt) != federation.SaltSize {
			return nil, fmt.Errorf("%w: message %d of %s", ErrArchive, m.Number, l.Peer)
		}
		e.Parcel.Messages = append(e.Parcel.Messages, ledger.Inbound{
			Number: m.Number, Chain: chain, Salt: [federation.SaltSize]byte(m.Salt), Body: m.Body, PersonsDigest: persons,
		})
	}
	return e, nil
}

// receipt is what a peer signed for.
func (l *archiveLine) receipt() *ledger.Receipt {
	return &ledger.Receipt{
		At: l.moment(), From: l.From, Header: l.Header, Signature: l.Signature, Epoch: l.ByEpoch, First: l.ByNumber,
		Forked: l.Forked,
	}
}
