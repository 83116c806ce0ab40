package ledger

import (
	"time"

	"gongji/federation"
	"gongji/gateway/internal/grant"
	"gongji/gateway/internal/hold"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/payment"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/record"
	"gongji/gateway/internal/refund"
)

// The samples have something in every field, so that a field which a walk forgets is found.

func sampleTime(n int64) time.Time { return time.UnixMicro(1_764_000_000_000_000 + n).UTC() }

func sampleHash(b byte) [32]byte { return [32]byte(bytesOf(b, 32)) }

func sampleRequest() Request {
	signed := sampleSigned()
	return Request{"platform", "request", sampleHash(1), &signed}
}

func sampleSigned() Signed {
	asked := sampleAsked().Request
	return Signed{"k-1", sampleTime(50), [16]byte(bytesOf(11, 16)), 9, &asked}
}

func samplePlatform() PlatformKey {
	return PlatformKey{
		"k-1", "hospital", "110000", []byte("public"),
		[]string{"read", "payments"},
		50, sampleTime(51), sampleTime(52),
		"digest", "CN=hospital", &Dialect{"strings", "unix"}, sampleTime(53), sampleTime(54), "lost",
	}
}

func samplePerson() Person {
	return Person{
		sampleHash(2), sampleHash(3), []byte("sealed"), "n-new", "110101********0011", "张*", "110000", "token-1",
		&Tokened{"token-2", sampleHash(11), sampleHash(12)},
	}
}

func sampleBundle() Bundle { return Bundle{[]byte("sealed"), [16]byte(bytesOf(4, 16)), sampleHash(5)} }

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

func sampleFacts() Facts { return Facts{true, 310, 1, 100, 20, 2026, 300, true, 60} }

func sampleBill() Bill { return Bill{"bill", 500, 300, 200, 50} }

func sampleVerdict() *Verdict {
	v := &Verdict{
		Rules: 740_000, Scheme: 310, Status: 1, GrantUsable: true, PairOpen: true, Provisional: true,
		Ask: policy.Ask{
			Amount: 13, Balance: 1, OpenHolds: 2, Opening: 3, Credited: 4, UsedYear: 5, UsedVisit: 6, PaymentLimit: 7,
			GrantAnnualLimit: 8, UsedGrant: 9,
			Terms:    policy.Terms{Share: 6000, Floor: 10, VisitLimit: 11, CarriedOver: true},
			Reserved: true, QuotaCounted: true,
		},
		Given: 12, LimitedBy: policy.CodeVisitLimit,
	}
	for i := range v.Limits {
		v.Limits[i] = Allowed{true, money.Amount(20 + i)}
	}
	return v
}

func sampleTerms() grant.Terms {
	return grant.Terms{
		Relation: "parent", Channel: "counter", ClerkID: "clerk", ScanDigest: "scan",
		Consent:   grant.Consent{Version: "2026-01", Digest: "digest", Signature: "signature"},
		Proofs:    []grant.Proof{{Kind: "household_register", Digest: "d1"}, {Kind: "birth", Digest: "d2"}},
		ValidFrom: 20_000, ValidUntil: 20_365, PerPaymentLimit: 300, AnnualLimit: 1000, Funding: "virtual_limit",
		Limit: 500,
	}
}

func sampleInbound() Inbound {
	a, b := samplePerson(), samplePerson()
	b.New = "n-other"
	return Inbound{
		7, sampleHash(6), [16]byte(bytesOf(7, 16)), []byte("body"), [16]byte(bytesOf(8, 16)), sampleHash(9), &a, &b,
		"not_found",
	}
}

func sampleParcel() Parcel {
	return Parcel{
		3, 4, 5, 2, []byte("header"), []byte("signature"), bytesOf(10, 64),
		[]Inbound{sampleInbound(), {Number: 8}},
		bytesOf(11, 32), "sign-1",
	}
}

// sampleCommands are one of each kind.
func sampleCommands() []Command {
	facts := sampleFacts()
	return append(append(append(sampleArchiveCommands(), operatorCommands()...), keysCommands()...), []Command{
		&Tick{},
		&CreatePayment{
			sampleRequest(), "p-1", samplePerson(), sampleBundle(), "e_credential", "H1", "hospital", "outpatient", "visit",
			20_001, sampleBill(), 150, true, true, 15 * time.Minute,
			[]Offer{{"g-1", "110000", "not_found"}, {"g-2", "310000", ""}},
			[]byte("ticket"), "premium",
		},
		&Confirm{sampleRequest(), "p-1", true, 90},
		&Cancel{sampleRequest(), "p-1"},
		&Deliver{"310000", 77, []Parcel{sampleParcel(), {Epoch: 1}}},
		&CoreResult{"h-1", hold.CallHold, "balance", 80, facts},
		&MakeGrant{
			sampleRequest(), "g-1", samplePerson(), &facts, samplePerson(),
			policy.Standing{Known: true, Scheme: 390, Status: 2},
			sampleBundle(), sampleTerms(),
		},
		&ChangeGrant{
			sampleRequest(), "g-1", true, 20_002, true, 20_003, true, 400, true, 500, true, "suspended",
		},
		&RevokeGrant{sampleRequest(), "g-1"},
		&AcceptGrant{sampleRequest(), "g-1"},
		&SetOrder{sampleRequest(), samplePerson(), &facts, []string{"g-1", "g-2"}},
		&SetRules{[]byte("rules")},
		&WithdrawRules{740_001},
		&SetDirectory{[]byte("directory")},
		&OpenAccounts{[]NewAccount{{samplePerson(), facts}}, "import"},
		&ForceRelease{"h-1", "li", "reason", "wang"},
		&ResumeLink{"310000", 2, 3},
		&BeginEpoch{"310000", 4},
		&NoteDifferences{"310000", 4, true, "k", true, true, []Difference{sampleDifference()}},
		&AcceptDifferences{"310000", 4},
		&MakeMandate{sampleRequest(), "m-1", "g-1", "resident_premium", 400},
		&EndMandates{sampleRequest(), "g-1", "m-1"},
		&CollectPremiums{"resident_premium"},
		&PremiumReport{"key", 2, PremiumBlocked, "own_account_first"},
		&CreateRefund{sampleRequest(), "p-1", 90, "reason"},
		&ReturnResult{"h-1", "r-1-1", refund.CallVoid, "captured", true},
		&SetStanding{samplePerson(), 390, 2},
		&RenounceGrant{sampleRequest(), "g-1"},
		&EndInsurance{"n-1"},
		&RebuildIndex{"310000", "g-1"},
		&SweepGrants{20_000, SweepPayers, []byte("a"), []byte("b"), true, 7, []string{"g-1"}, []string{"g-2"}},
		&RegisterPlatform{samplePlatform(), "li", "wang"},
		&RevokePlatform{"k-1", "lost"},
		&SpendNonce{sampleSigned()},
	}...)
}

func samplePayment() payment.Payment {
	return payment.Payment{
		ID: "p-1", State: payment.Capturing, Cause: payment.CauseShort, Amount: 200, Held: 180, Confirmed: 150,
		AllowPartial: true, AutoConfirm: true, Created: sampleTime(1), LegsBy: sampleTime(2), DecideBy: sampleTime(3),
		Candidates: []payment.Candidate{{GrantID: "g-3", Region: "350100"}},
		Legs: []payment.Leg{{
			HoldID: "h-1-1", GrantID: "g-1", Region: "110000", State: payment.LegCaptured, Asked: 200, Amount: 180, Share: 150,
			Captured: 140, LimitedBy: policy.CodeVisitLimit, Payer: "payer", PayerName: "name", GivenUp: true, Claim: true,
			Deadline: sampleTime(4), Resend: sampleTime(5), Wait: time.Second, Refunded: 50, Refunding: 60,
			Earlier: true,
		}},
		Declines:   []payment.Decline{{GrantID: "g-2", Region: "310000", Code: policy.CodeNotFound}},
		CompleteBy: sampleTime(6), Lapsed: true,
	}
}

func sampleHold() hold.Hold {
	return hold.Hold{
		ID: "h-1-1", PaymentID: "p-1", Origin: "310000", GrantID: "g-1", State: hold.Captured, Asked: 200, Amount: 180,
		Take: 150, Captured: 140, LimitedBy: policy.CodeAnnualQuota, Code: policy.CodeNotFound, Act: "act",
		DecideBy: sampleTime(1), Placed: sampleTime(2), Ended: sampleTime(3), Checked: true, Forced: []string{"li", "wang"},
		ByForce: true, Wait: time.Second, WakeAt: sampleTime(4), Refunded: 50, Refunding: 60,
	}
}

func sampleRefund() refund.Refund {
	return refund.Refund{
		ID: "r-1-1", PaymentID: "p-1", Amount: 90, Reason: "reason", Created: sampleTime(1), Alarmed: true,
		Legs: []refund.Leg{{
			HoldID: "h-1-1", GrantID: "g-1", Region: "110000", Amount: 90, State: refund.Failed,
			Code: policy.CodeAccountClosed, Resend: sampleTime(2), Wait: time.Second,
		}},
	}
}

// sample is a record with a way to make an empty one of the same kind.
type sample struct {
	name  string
	full  record.Record
	empty func() record.Record
}

func of[T any, P interface {
	*T
	record.Record
}](name string, v T) sample {
	return sample{name, P(&v), func() record.Record { return P(new(T)) }}
}

// sampleRecords are one of each kind of what stands in the state, and of what Propose hands back.
func sampleRecords() []sample {
	bundle := sampleBundle()
	out := []sample{
		of("payment", PaymentRecord{
			samplePayment(), sampleRequest(), samplePerson(), sampleBundle(), "e_credential", "H1", "hospital", "outpatient",
			"visit", 20_001, sampleBill(), []byte("ticket"), 150, sampleTime(9), "premium", 3,
			time.Minute,
			[]Moment{{sampleTime(1), 2}},
		}),
		of("hold", HoldRecord{
			sampleHold(), "n-1", "n-2", "outpatient", "H1", "visit", 2026, "payer", "name", sampleTime(5), 140, 130, true,
			sampleTime(6), sampleVerdict(),
			true, 6,
			[]Moment{{sampleTime(2), 3}, {sampleTime(3), 4}},
		}),
		of("use", useRecord{money.Amount(5)}),
		of("bill", billRecord{money.Amount(6)}),
		of("request", RequestRecord{sampleHash(1), ThingGrant, "g-1", sampleTime(1)}),
		of("person", PersonRecord{sampleHash(1), []byte("sealed"), "masked", "called", "110000", true}),
		of("token", tokenRecord{"n-1"}),
		of("pair", pairRecord{"g-1"}),
		of("link", LinkRecord{
			federation.Out{Epoch: 1, Last: 9, Acked: 8, Chain: sampleHash(1)},
			federation.In{Epoch: 2, Applied: 7, Chain: sampleHash(2), Forked: true},
			77, 3, 4, 1, &Reunion{
				sampleTime(1), true, 3, 4, 5, true, "k", true, true, 6, true, sampleTime(2),
			},
		}),
		of("doubt", DoubtRecord{"h-1", 2, sampleTime(1)}),
		of("difference", sampleDifference()),
		of("receipt", Receipt{sampleTime(1), 5, []byte("header"), []byte("signature"), 2, 6, true}),
		of("message", OutMessage{sampleHash(1), []byte("body"), &bundle, sampleTime(2)}),
		of("evidence", Evidence{sampleTime(1), sampleParcel()}),
		of("grant", GrantRecord{
			grant.Grant{
				ID: "g-1", Payer: "n-1", Beneficiary: "n-2", PayerRegion: "110000", BeneficiaryRegion: "350100",
				Terms: sampleTerms(), Status: "active", Cause: "payer_revoked", Version: 3,
				CreatedAt: sampleTime(1), ChangedAt: sampleTime(2),
			},
			sampleBundle(), "request",
			Reserve{70, 3, 2026, sampleTime(3)},
		}),
		of("index", IndexRecord{
			grant.Entry{ID: "g-1", Status: "active", ValidFrom: 20_000, ValidUntil: 20_365, CreatedAt: sampleTime(1)},
			3, "110000", "masked", "name", "n-2", "parent", "counter", 300, 1000, "balance", "request",
			"renounced", sampleTime(2), true, "010-12393", 200, "payer_revoked",
		}),
		of("refund", RefundRecord{sampleRefund(), sampleRequest(), sampleTime(3), []Moment{{sampleTime(4), 1}}}),
		of("return", ReturnRecord{
			refund.Return{
				RefundID: "r-1-1", HoldID: "h-1-1", Origin: "310000", Amount: 50, State: refund.ReturnVoiding,
				Code: policy.CodeCoreUnavailable, Refusal: policy.CodeAccountClosed, Asked: sampleTime(1), Ended: sampleTime(2),
				Alarmed: true, Wait: time.Second, WakeAt: sampleTime(3),
			},
			50, 60, sampleTime(4),
			[]Moment{{sampleTime(5), 1}},
		}),
		of("rebuild", RebuildRecord{"310000", sampleTime(1), "g-1", 7, sampleTime(2)}),
		of("sweep", SweepRecord{20_001, SweepPayers, []byte("a"), 7, 2, 20_000, sampleTime(4)}),
		of("platform", samplePlatform()),
		of("nonce", nonceRecord{"k-1", 9}),
		of("order", orderRecord{[]string{"g-1", "g-2"}}),
		of("outcome", Outcome{policy.CodeConflict, true, "p-1", "/amount", "detail", "说明"}),
	}
	out = append(append(out, samplePremiums()...), sampleKeys(), sampleDestroyed())
	out = append(out, operatorRecords()...)
	out = append(out, sampleArchives()...)
	for _, c := range sampleCommands() {
		out = append(out, sample{
			"command " + string('0'+rune(c.Kind())/10) + string('0'+rune(c.Kind())%10), c,
			func() record.Record { return newCommand(c.Kind()) },
		})
	}
	return out
}

func samplePremiums() []sample {
	result := PremiumResult{2027, PremiumWaiting, 400, "balance_insufficient", "p-1", sampleTime(1)}
	return []sample{
		of("mandates", MandatesRecord{
			3, []Mandate{{"m-1", "resident_premium", 500, MandateEnded, sampleTime(1), sampleTime(2), []PremiumResult{result}}},
		}),
		of("duty", DutyRecord{
			"g-1", "m-1", "110000", 4, true, sampleTime(3), 2027, PremiumWaiting, "balance_insufficient",
		}),
		of("premium", PremiumRecord{
			"resident_premium", 2027, "n-1", 400, StatePaying, "core_unavailable", 2, "p-1", true, true, sampleTime(4),
			time.Second, sampleTime(5),
		}),
		of("season", SeasonRecord{2027, 20_001, "after", true, true, true, 1, 2, 3, 4, 5}),
	}
}

func sampleDifference() Difference {
	return Difference{ThingLeg, "h-1", wordPlaced, wordCaptured, 5, 6}
}
