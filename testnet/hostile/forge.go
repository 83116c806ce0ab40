package hostile

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"gongji/federation"
)

// oversize is what a broker takes, and no parcel may have.
const oversize = 1_000_000

// trick is a record on the member's own lane to the payer's home, or on another's.
func (x *Fourth) trick(
	kind Kind, name string, lane federation.Lane, why federation.Refusal, record func() ([]byte, error),
) {
	x.add(Attack{
		Kind: kind, Name: name, At: lane.To, Peer: lane.From, Event: parcelEvent, Reason: string(why), Attr: attrOffset,
		Counter: parcelsRefused, lane: lane, records: func() ([][]byte, error) {
			r, err := record()
			return [][]byte{r}, err
		},
	})
}

// attrOffset is the word of an audit line that tells which record it was.
const attrOffset = "offset"

// newest is the last record of a lane whose sender has given it messages, and which the receiver has not: only signed
// headers can be read, so size tells. Any lane of a federation at work has records.
func (x *Fourth) newest(ctx context.Context, lane federation.Lane) ([]byte, error) {
	records, err := x.Bus.All(ctx, lane)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("hostile: nothing was ever said on %s", lane.Topic())
	}
	return records[len(records)-1].Value, nil
}

// replays repeats, sends back and bends what was said.
func (x *Fourth) replays(ctx context.Context) error {
	f := &x.facts
	own := x.Lane(f.payerHome())
	fresh := func() ([]byte, error) { return x.Parcel(own.To) }
	sealed := func() ([]byte, error) {
		return x.Parcel(own.To, x.Message(federation.Query, BodyOf(KindQuote, nil), ClearPerson(f.Pair.Beneficiary)))
	}
	bent := func(good func() ([]byte, error), change func(record []byte) []byte) func() ([]byte, error) {
		return func() ([]byte, error) {
			record, err := good()
			if err != nil {
				return nil, err
			}
			return change(record), nil
		}
	}
	back, err := x.newest(ctx, federation.Lane{From: own.To, To: own.From})
	if err != nil {
		return err
	}
	x.add(Attack{
		Kind: Replay, Name: "the same parcel twice", At: own.To, Peer: x.Self, Event: parcelEvent,
		Reason: string(federation.RefusedReplayed), Attr: attrOffset, Counter: parcelsRefused, lane: own,
		records: func() ([][]byte, error) {
			record, err := fresh()
			return [][]byte{record, record}, err
		},
	})
	x.trick(Replay, "a parcel sent back to its sender", own, federation.RefusedReflected,
		func() ([]byte, error) { return back, nil })
	x.trick(Replay, "sealed content changed", own, federation.RefusedSeal,
		bent(sealed, func(r []byte) []byte { return Flip(r, len(r)-1) }))
	x.trick(Replay, "a header changed under its signature", own, federation.RefusedSignature,
		bent(fresh, func(r []byte) []byte { return Flip(r, Cut(r).Header+HeaderParcel) }))
	x.trick(Replay, "a parcel of the future", own, federation.RefusedClockSkew, func() ([]byte, error) {
		return x.Pack(own.To, federation.Content{Time: time.Now().Add(time.Hour)})
	})
	x.trick(Replay, "a parcel of a later version", own, federation.RefusedVersion,
		bent(fresh, func(r []byte) []byte { return Flip(r, Cut(r).Header+HeaderVersion+1) }))
	x.trick(Replay, "a parcel cut short", own, federation.RefusedMalformed,
		bent(sealed, func(r []byte) []byte { return r[:len(r)-1] }))
	x.trick(Replay, "a parcel of a megabyte", own, federation.RefusedMalformed,
		bent(fresh, func(r []byte) []byte { return append(r, make([]byte, oversize-len(r))...) }))
	return nil
}

// forges speaks in another's name, and on lanes that are another's: where the broker's ACLs do not forbid it already.
func (x *Fourth) forges(ctx context.Context) error {
	f := &x.facts
	own, others := x.Lane(f.payerHome()), federation.Lane{From: f.visit(), To: f.payerHome()}
	genuine, err := x.newest(ctx, others)
	if err != nil {
		return err
	}
	stray, err := x.newest(ctx, federation.Lane{From: f.visit(), To: f.home()})
	if err != nil {
		return err
	}
	named := func(from string, change func(r []byte, at int) []byte) func() ([]byte, error) {
		return func() ([]byte, error) {
			r, err := x.Parcel(own.To)
			if err != nil {
				return nil, err
			}
			at := Cut(r).Header
			return change(With(r, at+HeaderFrom, from), at), nil
		}
	}
	as := func(r []byte, _ int) []byte { return r }
	x.trick(Forge, "a parcel of its own on another's lane", others, federation.RefusedLane,
		func() ([]byte, error) { return x.Parcel(own.To) })
	x.trick(Forge, "another's name over its own key", others, federation.RefusedKeyUnknown, named(f.Pair.Visit, as))
	x.trick(Forge, "another's name and key over its own signature", others, federation.RefusedSignature,
		named(f.Pair.Visit, func(r []byte, at int) []byte {
			theirs := Cut(genuine).Header + HeaderKey // ids of one use have one length, which stands before them
			return With(r, at+HeaderKey, string(genuine[theirs:theirs+int(genuine[theirs-1])]))
		}))
	x.trick(Forge, "a name that nobody has", own, federation.RefusedSenderUnknown, named("999999", as))
	x.trick(Forge, "another's parcel on its own lane", own, federation.RefusedLane,
		func() ([]byte, error) { return genuine, nil })
	x.trick(Forge, "another's parcel once more", others, federation.RefusedReplayed,
		func() ([]byte, error) { return genuine, nil })
	x.trick(Forge, "another's parcel to somebody else", others, federation.RefusedRecipient,
		func() ([]byte, error) { return stray, nil })
	noise := make([]byte, 700)
	_, _ = rand.Read(noise)     // never fails
	noise[4], noise[5] = 0, 1   // or most of it would be of an unknown version
	noise[0], noise[1] = 255, 0 // no header is so long
	x.trick(Forge, "noise on another's lane", others, federation.RefusedMalformed,
		func() ([]byte, error) { return noise, nil })
	return nil
}
