package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"gongji/federation"
	"gongji/gateway/internal/wire"
	"gongji/gateway/internal/wire/wirepb"
)

// bodies are one of each kind, with something in every field.
func bodies() []*wirepb.Body {
	return []*wirepb.Body{
		{Kind: &wirepb.Body_HoldRequest{HoldRequest: &wirepb.HoldRequest{
			HoldId: "h-1", PaymentId: "p-1", GrantId: "g-1", Amount: 5000, DecideBy: 1_764_000_000_000_000,
			Purpose: "outpatient", Institution: "H1", VisitId: "v", Ticket: []byte("ticket"),
		}}},
		{Kind: &wirepb.Body_HoldAnswer{HoldAnswer: &wirepb.HoldAnswer{
			HoldId: "h-1", Amount: 5000, LimitedBy: "visit_limit", Code: "not_found", Payer: "1***", PayerName: "张*",
		}}},
		{Kind: &wirepb.Body_Capture{Capture: &wirepb.Capture{HoldId: "h-1", PaymentId: "p-1", ActId: "a", Amount: 1}}},
		{Kind: &wirepb.Body_Release{Release: &wirepb.Release{HoldId: "h-1", PaymentId: "p-1", ActId: "a", Declined: true}}},
		{Kind: &wirepb.Body_Outcome{Outcome: &wirepb.Outcome{
			HoldId: "h-1", ActId: "a", State: "captured", Captured: 7, Forced: true,
		}}},
		{Kind: &wirepb.Body_Enquiry{Enquiry: &wirepb.Enquiry{HoldId: "h-1", PaymentId: "p-1"}}},
		{Kind: &wirepb.Body_EnquiryAnswer{EnquiryAnswer: &wirepb.EnquiryAnswer{
			HoldId: "h-1", Undecided: true, Unknown: true,
		}}},
		{Kind: &wirepb.Body_GrantNotice{GrantNotice: &wirepb.GrantNotice{
			GrantId: "g-1", Revision: 2, Relation: "parent", Status: "active", ValidFrom: "2026-01-01",
			ValidUntil: "2026-12-31", Created: 1, Payer: "1***", PayerName: "张*", Channel: "portal",
			PerPaymentLimit: "1.00", AnnualLimit: "2.00", Funding: "balance", Hotline: "010-12393",
			Limit: "3.00", EndCause: "payer_revoked",
		}}},
		{Kind: &wirepb.Body_GrantConsent{GrantConsent: &wirepb.GrantConsent{GrantId: "g-1"}}},
		{Kind: &wirepb.Body_Rejected{Rejected: &wirepb.Rejected{Number: 7, Reason: "not_understood"}}},
		{Kind: &wirepb.Body_Refund{Refund: &wirepb.Refund{RefundId: "r-1", HoldId: "h-1", PaymentId: "p-1", Amount: 3}}},
		{Kind: &wirepb.Body_RefundAnswer{RefundAnswer: &wirepb.RefundAnswer{
			RefundId: "r-1", HoldId: "h-1", State: "failed", Code: "account_closed",
		}}},
		{Kind: &wirepb.Body_InsuranceEnded{InsuranceEnded: &wirepb.InsuranceEnded{GrantId: "g-1"}}},
		{Kind: &wirepb.Body_IndexWanted{IndexWanted: &wirepb.IndexWanted{After: "g-1"}}},
		{Kind: &wirepb.Body_IndexPage{IndexPage: &wirepb.IndexPage{Next: "g-2", Count: 3}}},
		{Kind: &wirepb.Body_MandateNotice{MandateNotice: &wirepb.MandateNotice{
			MandateId: "m-1", GrantId: "g-1", Revision: 2, Purpose: "resident_premium", Status: "active",
		}}},
		{Kind: &wirepb.Body_MandateResult{MandateResult: &wirepb.MandateResult{
			MandateId: "m-1", Year: 2027, Status: "paid", Amount: 40_000, Code: "x", PaymentId: "p-1", Time: 5,
		}}},
		{Kind: &wirepb.Body_GrantRenounced{GrantRenounced: &wirepb.GrantRenounced{GrantId: "g-1"}}},
		{Kind: &wirepb.Body_StatementAsk{StatementAsk: &wirepb.StatementAsk{
			Grants: []string{"g-1"}, From: "2026-01-01", To: "2026-12-31", After: "k", Limit: 100,
		}}},
		{Kind: &wirepb.Body_StatementAnswer{StatementAnswer: &wirepb.StatementAnswer{
			Entries: []*wirepb.StatementEntry{{
				Time: 1, PaymentId: "p-1", HoldId: "h-1", Counterparty: "1***", CounterpartyName: "张*",
				CounterpartyRegion: "110000", Institution: "H1", Purpose: "drug", Kind: "capture", Amount: 2,
				Status: "captured", Key: "k",
			}},
			Next: "k",
		}}},
		{Kind: &wirepb.Body_TraceAsk{TraceAsk: &wirepb.TraceAsk{PaymentId: "p-1"}}},
		{Kind: &wirepb.Body_TraceAnswer{TraceAnswer: &wirepb.TraceAnswer{
			Events: []*wirepb.TraceEvent{{
				Time: 1, Node: "n-1", What: "hold h-1", FromState: "requested", ToState: "placed", MessageId: "1",
				SignedBy: "310000", Verified: 1,
			}},
			More: true,
		}}},
		{Kind: &wirepb.Body_LookUp{LookUp: &wirepb.LookUp{
			PaymentId: "p-1", Amount: 1, SelfBorne: 2, OwnAccountPaid: 3, Credential: "e_credential", RemoteUse: true,
			Grants: []string{"g-1"}, Named: true, Expires: 9,
		}}},
		{Kind: &wirepb.Body_Ticket{Ticket: &wirepb.Ticket{
			PaymentId: "p-1", VisitRegion: "310000", Amount: 1, Expires: 9, Code: "not_found",
			Offers:   []*wirepb.Offer{{GrantId: "g-1", Region: "110000"}},
			Declines: []*wirepb.GrantDecline{{GrantId: "g-2", Region: "110000", Code: "grant_not_active"}},
		}}},
		{Kind: &wirepb.Body_Quote{Quote: &wirepb.Quote{
			GrantId: "g-1", Amount: 1, Purpose: "drug", Institution: "P1", VisitId: "v",
		}}},
		{Kind: &wirepb.Body_QuoteAnswer{QuoteAnswer: &wirepb.QuoteAnswer{
			Amount: 1, LimitedBy: "annual_quota", Code: "not_found", Payer: "1***", PayerName: "张*",
		}}},
		{Kind: &wirepb.Body_LinkAsk{LinkAsk: &wirepb.LinkAsk{
			Numbers: &wirepb.LinkNumbers{
				OutEpoch: 1, InEpoch: 2, OldOutLast: 3, OldOutAcked: 4, OldInApplied: 5, Reuniting: true, Compared: true,
			},
			List: true, After: "k", Named: []*wirepb.LinkThing{{Kind: "hold", Id: "h-1"}},
		}}},
		{Kind: &wirepb.Body_LinkTell{LinkTell: &wirepb.LinkTell{
			Numbers: &wirepb.LinkNumbers{OutEpoch: 1}, Next: "k",
			Things: []*wirepb.LinkThing{{Kind: "hold", Id: "h-1", State: "placed", Amount: 5}},
		}}},
		{Kind: &wirepb.Body_CheckPerson{CheckPerson: &wirepb.CheckPerson{}}},
		{Kind: &wirepb.Body_CheckPersonAnswer{CheckPersonAnswer: &wirepb.CheckPersonAnswer{
			Known: true, Scheme: 310, Status: 1,
		}}},
	}
}

// TestRoundTrip of every kind: the same bytes each time, and the same message from them.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	kinds := (&wirepb.Body{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
	if n := len(bodies()); n != kinds.Len() {
		t.Errorf("%d samples of %d kinds", n, kinds.Len())
	}
	for _, b := range bodies() {
		data := wire.Encode(b)
		got, err := wire.Decode(data)
		if err != nil || !proto.Equal(got, b) || got.GetVersion() != wire.Version {
			t.Errorf("%v reads as %v, %v", b, got, err)
		}
		if !bytes.Equal(wire.Encode(got), data) {
			t.Errorf("%v has other bytes the second time", b)
		}
	}
}

// TestNotUnderstood are the bodies that a receiver sets aside.
func TestNotUnderstood(t *testing.T) {
	t.Parallel()
	good := wire.Encode(bodies()[3])
	for name, data := range map[string][]byte{
		"nothing":         {},
		"no protobuf":     {0xff, 0xff, 0xff},
		"cut":             good[:len(good)-1],
		"no kind":         {0x08, 0x01},
		"an unknown kind": {0x08, 0x01, 0xca, 0x3e, 0x00}, // field 1001
		"no version":      good[2:],
		"a newer version": append(bytes.Clone(good), 0x08, 0x02),
		"too large":       append(bytes.Clone(good), bytes.Repeat([]byte{0xca, 0x3e, 0x00}, federation.BodyMax/3)...),
		"text not UTF-8":  {0x08, 0x01, 0x6a, 0x03, 0x0a, 0x01, 0xff},
	} {
		if b, err := wire.Decode(data); !errors.Is(err, wire.ErrNotUnderstood) || b != nil {
			t.Errorf("%s: %v, %v", name, b, err)
		}
	}
}

// TestNewFields of the same version are passed over.
func TestNewFields(t *testing.T) {
	t.Parallel()
	data := append(wire.Encode(bodies()[5]), 0xca, 0x3e, 0x01, 0x07)
	if b, err := wire.Decode(data); err != nil || b.GetEnquiry().GetHoldId() != "h-1" {
		t.Errorf("%v, %v", b, err)
	}
}

// FuzzDecode reads bodies that a peer sent.
func FuzzDecode(f *testing.F) {
	for _, b := range bodies() {
		f.Add(wire.Encode(b))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := wire.Decode(data)
		if err != nil {
			if !errors.Is(err, wire.ErrNotUnderstood) {
				t.Fatal(err)
			}
			return
		}
		again, err := wire.Decode(wire.Encode(b))
		if err != nil || !proto.Equal(again, b) {
			t.Fatalf("%v is not stable: %v", b, err)
		}
	})
}
