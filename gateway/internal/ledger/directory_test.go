package ledger_test

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// keyed gives every region the signing keys a and b, and revokes some of shanghai's.
func (f *fed) keyed(revoked ...string) {
	f.t.Helper()
	f.directory(func(d *federation.DirectoryData) {
		for i := range d.Members {
			m := &d.Members[i]
			for _, id := range []string{"a", "b"} {
				m.Keys = append(m.Keys, federation.Key{
					ID: id, Use: federation.UseSign, Public: []byte(string(m.Code) + id),
					NotBefore: d.Issued, NotAfter: d.Expires, Revoked: m.Code == shanghai && slices.Contains(revoked, id),
				})
			}
		}
	})
}

// TestRevokedKeyInTheLog: a parcel that was received and checked before a revocation, and comes to its
// entry after it, moves no money and takes no message out of the outbox; the same messages under a good key count.
func TestRevokedKeyInTheLog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key  string
		held string
		why  federation.Refusal
	}{
		"good":         {"b", "30.00", ""},
		"revoked":      {"a", "0.00", federation.RefusedKeyRevoked},
		"unknown":      {"c", "0.00", federation.RefusedKeyUnknown},
		"of old logs":  {"", "30.00", ""},
		"good, before": {"a", "30.00", ""},
	} {
		f, p := outbox(t)
		f.tells(beijing, shanghai, &wirepb.Body{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: "h"}}}, nil)
		before, err := f.view(beijing).Link(shanghai)
		if err != nil {
			t.Fatal(err)
		}
		p.AckEpoch, p.AckNumber, p.AckChain = before.Out.Epoch, before.Out.Last, before.Out.Chain[:]
		f.keyed()
		if name != "good, before" {
			f.keyed("a")
		}
		p.SignKey = c.key
		if held := f.deliver(p); held != c.held {
			t.Errorf("%s: %s is held, not %s", name, held, c.held)
		}
		lost := f.regions[beijing].last.Lost
		after, err := f.view(beijing).Link(shanghai)
		if err != nil || (after.In.Applied == 3) != (c.why == "") || (after.Out.Acked == before.Out.Last) != (c.why == "") {
			t.Errorf("%s: applied %d, acked %d, %v", name, after.In.Applied, after.Out.Acked, err)
		}
		if (c.why == "") != (len(lost) == 0) || len(lost) > 0 && lost[0] != (ledger.Lost{Peer: shanghai, Why: c.why}) {
			t.Errorf("%s: told of %v", name, lost)
		}
		p.SignKey = "b"
		if held := f.deliver(p); held != "30.00" {
			t.Errorf("%s: then under a good key: %s", name, held)
		}
	}
}

// TestTicketOfRevokedKey: a ticket whose key was revoked after the leader had checked it opens no hold, neither
// at the payer's home nor for the visit region's own payers.
func TestTicketOfRevokedKey(t *testing.T) {
	t.Parallel()
	f := family(t)
	fz, err := federationtest.NewSealer("fz")
	if err != nil {
		t.Fatal(err)
	}
	id, public := fz.SignKey()
	listed := func(revoked bool) func(d *federation.DirectoryData) {
		return func(d *federation.DirectoryData) {
			i := slices.IndexFunc(d.Members, func(m federation.Member) bool { return m.Code == fuzhou })
			d.Members[i].Keys = []federation.Key{{
				ID: id, Use: federation.UseSign, Public: public, NotBefore: d.Issued, NotAfter: d.Expires, Revoked: revoked,
			}}
		}
	}
	f.directory(listed(false))
	proof, err := federation.SignSingle(f.regions[fuzhou].nodes[0].l.InForce().Directory, fz, fuzhou, federation.Content{
		To: shanghai, Epoch: 1, Time: f.now, ParcelID: [16]byte{1},
		Messages: []federation.Message{{Class: federation.Answer, ID: [16]byte{2}, Body: []byte("ticket")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ticket := federation.EncodeProof(proof)
	asked := func(hold string) string {
		m := request(f, hold).GetHoldRequest()
		m.Ticket = ticket
		f.put(shanghai, beijing, wire.Encode(&wirepb.Body{Kind: &wirepb.Body_HoldRequest{HoldRequest: m}}), &f.mother)
		p := f.parcel(shanghai, beijing)
		p.Messages[len(p.Messages)-1].Ticket = "" // the leader had found it good
		return f.deliver(p)
	}
	pays := func() policy.Code {
		c := f.bill(shanghai, f.mother, "10.00")
		c.Ticket = ticket
		return f.apply(shanghai, c).Code
	}
	one := asked("first")
	if code := pays(); one == "0.00" || code != "" {
		t.Errorf("the control: %s held, %q", one, code)
	}
	f.directory(listed(true))
	if again := asked("second"); again != one {
		t.Errorf("%s is held after %s", again, one)
	}
	if code := pays(); code != policy.CodeRegionUnreachable {
		t.Errorf("a payment begins: %q", code)
	}
}

// TestDirectoryInTheLog: what a directory may follow is judged where it is applied, by the log's stamp.
func TestDirectoryInTheLog(t *testing.T) {
	t.Parallel()
	f := family(t)
	in := f.regions[beijing].nodes[0].l.InForce().Directory
	digest := in.Digest()
	next := in.Data()
	next.Version, next.Previous = next.Version+1, hex.EncodeToString(digest[:])
	sign := func(change func(d *federation.DirectoryData)) *ledger.SetDirectory {
		d := next
		change(&d)
		signed, err := federation.SignDirectory(d, rootSigns)
		if err != nil {
			t.Fatal(err)
		}
		return &ledger.SetDirectory{Signed: signed}
	}
	out := f.refused(beijing, sign(func(d *federation.DirectoryData) {
		d.Previous = hex.EncodeToString(make([]byte, 32))
	}), policy.CodeConflict)
	if out.Detail != "directory_forked" {
		t.Errorf("%+v", out)
	}
	out = f.refused(beijing, sign(func(d *federation.DirectoryData) {
		d.Version, d.Previous, d.Expires = in.Version(), in.Data().Previous, d.Expires.Add(time.Hour)
	}), policy.CodeConflict)
	if out.Detail != "directory_forked" {
		t.Errorf("%+v", out)
	}
	out = f.refused(beijing, sign(func(d *federation.DirectoryData) {
		d.Expires = f.now.Add(-time.Second)
	}), policy.CodeExpired)
	if out.Detail != "directory_expired" {
		t.Errorf("%+v", out)
	}
	f.done(beijing, &ledger.SetDirectory{Signed: in.Signed()}) // the same again
	if got := f.regions[beijing].nodes[0].l.InForce().Directory; got != in {
		t.Errorf("version %d is in force", got.Version())
	}
	f.done(beijing, sign(func(*federation.DirectoryData) {}))
	if got := f.regions[beijing].nodes[0].l.InForce().Directory; got.Version() != next.Version {
		t.Errorf("version %d is in force", got.Version())
	}
}
