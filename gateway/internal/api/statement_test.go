package api_test

import (
	"context"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

func (d *fakeDesk) Statement(ctx context.Context, f client.StatementRequest) (client.Statement, error) {
	s := client.Statement{
		Entries: []client.StatementEntry{{
			Time: client.FormatTime(now()), PaymentID: "p1", HoldID: "h1",
			Counterparty: masked(payerName, payerNumber, region), Institution: "H1", Purpose: "outpatient", Kind: "hold",
			Amount: "1.00", Status: "placed",
		}},
		NextCursor: "more", Missing: []string{"310000"},
	}
	return s, d.note(ctx, "Statement", f)
}

func (d *fakeDesk) Quota(ctx context.Context, f client.QuotaRequest) (client.Quota, error) {
	q := client.Quota{
		Person: f.Person.Masked(), Year: 2026, Opening: "100.00", Share: "0.60", Quota: "60.00", Used: "10.00",
		Left: "50.00", RetainedFloor: "0.00", Balance: "90.00", Held: "0.00", Available: "50.00", DecidedBy: "annual_quota",
		Limits: []client.QuotaLimit{{Code: "annual_quota", Allows: "50.00"}},
		Purposes: []client.PurposeQuota{{
			Purpose: "chronic", Share: "0.80", Quota: "80.00", Left: "70.00", VisitLimit: "10.00", Available: "70.00",
			DecidedBy: "annual_quota",
		}},
		Grants: []client.GrantQuota{{
			GrantID: "g1", Beneficiary: masked(beneficiaryName, beneficiaryNumber, "350100"), Relation: "parent",
			Status: "active", AnnualLimit: "20.00", PerPaymentLimit: "5.00", Used: "10.00", Left: "10.00", Available: "5.00",
			LimitedBy: "payment_limit",
		}},
		NextCursor: "g1",
	}
	return q, d.note(ctx, "Quota", f)
}

func statementBody() document {
	return document{
		"person": person(payerName, payerNumber, region), "role": "payer", "from": "2026-01-01", "to": "2026-12-31",
		"limit": 10,
	}
}

func statementCases() []refusalCase {
	const invalid = policy.CodeInvalidRequest
	return append(persons(statementBody, "/person"),
		bad(statementBody, "/role", remove{}, invalid, "/role"),
		bad(statementBody, "/role", "both", invalid, "/role"),
		bad(statementBody, "/role", 1, invalid, "/role"),
		bad(statementBody, "/from", remove{}, invalid, "/from"),
		bad(statementBody, "/from", "2026-1-1", invalid, "/from"),
		bad(statementBody, "/to", remove{}, invalid, "/to"),
		bad(statementBody, "/to", "2026-02-30", invalid, "/to"),
		bad(statementBody, "/to", "2025-12-31", invalid, "/to"),
		bad(statementBody, "/to", "2027-02-05", invalid, "/to"), // the 401st day
		bad(statementBody, "/limit", 0, invalid, "/limit"),
		bad(statementBody, "/limit", 1001, invalid, "/limit"),
		bad(statementBody, "/cursor", 1, invalid, "/cursor"),
		bad(statementBody, "/allow_missing", "yes", invalid, "/allow_missing"),
		bad(statementBody, "/surplus", 1, invalid, "/surplus"),
		bad(statementBody, "/person/region", "310000", policy.CodeNotHomeRegion, "/person/region"),
	)
}

func quotaBody() document { return document{"person": person(payerName, payerNumber, region)} }

func quotaCases() []refusalCase {
	const invalid = policy.CodeInvalidRequest
	return append(persons(quotaBody, "/person"),
		bad(quotaBody, "/limit", 1001, invalid, "/limit"),
		bad(quotaBody, "/cursor", "", invalid, "/cursor"),
		bad(quotaBody, "/surplus", 1, invalid, "/surplus"),
		bad(quotaBody, "/person/region", "310000", policy.CodeNotHomeRegion, "/person/region"),
	)
}
