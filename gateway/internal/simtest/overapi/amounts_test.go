package overapi_test

import (
	"strings"
	"testing"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
	fuzhou   = regiontest.Fuzhou

	largest = "999999999999.99"
)

// badAmounts are no money, whatever the field.
func badAmounts() []any {
	return []any{
		"", " ", "1", "1.", ".50", "1.0", "1.000", "01.00", "00.01", "-0.01", "+1.00", "-0.00", " 1.00", "1.00 ", "1.00\n",
		"1,000.00", "1_000.00", "1e2", "1.00e0", "0x1.00", "NaN", "Infinity", "１.00", "1．00", "1.0٠", "1000000000000.00",
		"9223372036854775807.00", "92233720368547758.08", "1.00¥", "¥1.00", strings.Repeat("9", 400) + ".00",
		1, 1.5, 0.01, -1, 1e300, true,
		[]any{"1.00"},
		object{"amount": "1.00"},
	}
}

// TestAmountsInBadForm: in every field that carries money another form, another type, a sign, a place too many
// or too few is invalid_amount; so is 0.00 in an amount or a limit. Nothing comes of any of them.
func TestAmountsInBadForm(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(w *world) {
		payer := regiontest.Employee("110000", "Payer", 1, 1_000_00)
		mother := regiontest.Resident("350100", "Mother", 2)
		w.open(payer, mother)
		w.grant(payer, mother)
		_, p, code := post[client.Payment](w, shanghai, "/v1/payments", w.payment(shanghai, mother, "10.00"))
		if code != "" || p.Status != "held" {
			t.Fatal(code, shape(p))
		}
		_, auto, code := post[client.Payment](w, shanghai, "/v1/payments", confirmed(w.payment(shanghai, mother, "10.00")))
		if code != "" || auto.Status != "captured" {
			t.Fatal(code, shape(auto))
		}
		for _, field := range []struct {
			name, path string
			zero       bool // 0.00 is money there
			body       func(v any) object
		}{
			{"amount", "/v1/payments", false, func(v any) object { return set(w.payment(shanghai, mother, "10.00"), v, "amount") }},
			{"quoted amount", "/v1/quotes", false, func(v any) object {
				return set(w.payment(shanghai, mother, "10.00"), v, "amount")
			}},
			{"total", "/v1/payments", false, func(v any) object { return inBill(w.payment(shanghai, mother, "10.00"), v, "total") }},
			{"fund_paid", "/v1/payments", true, func(v any) object {
				return inBill(w.payment(shanghai, mother, "10.00"), v, "fund_paid")
			}},
			{"self_borne", "/v1/payments", false, func(v any) object {
				return inBill(w.payment(shanghai, mother, "10.00"), v, "self_borne")
			}},
			{"own_account_paid", "/v1/payments", true, func(v any) object {
				return inBill(w.payment(shanghai, mother, "10.00"), v, "own_account_paid")
			}},
			{"confirm", "/v1/payments/" + p.PaymentID + "/confirm", false, func(v any) object {
				return object{"request_id": w.id("request"), "amount": v}
			}},
			{"refund", "/v1/payments/" + auto.PaymentID + "/refunds", false, func(v any) object {
				return object{"request_id": w.id("request"), "amount": v, "reason": "returned"}
			}},
		} {
			bad := badAmounts()
			if !field.zero {
				bad = append(bad, "0.00")
			}
			for _, v := range bad {
				status, _, code := post[object](w, shanghai, field.path, field.body(v))
				if status != 400 || code != "invalid_amount" {
					t.Errorf("%s of %v: answered %d %s", field.name, v, status, code)
				}
			}
		}
		grants(w, payer, mother)
		_, p, _ = post[client.Payment](w, shanghai, "/v1/payments/"+p.PaymentID+"/confirm", object{"request_id": "last"})
		if got := shape(p); got != "captured 10.00 of 10.00, took 10.00, gave back 0.00, cash due 0.00; 110000 captured 10.00" {
			t.Error(got)
		}
	})
}

// grants: the same for the limits of a grant.
func grants(w *world, payer, mother regiontest.Person) {
	w.t.Helper()
	f, err := w.Regions[beijing].GrantRequest(w.t.Context(), payer, mother)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, limit := range []string{"per_payment_limit", "annual_limit"} {
		for _, v := range append(badAmounts(), "0.00") {
			body := object{
				"request_id": w.id("grant"), "payer": personOf(payer), "beneficiary": personOf(mother),
				"relation": f.Relation, "channel": f.Channel, "consent": f.Consent, "proofs": []any{},
				"valid_from": f.ValidFrom, limit: v,
			}
			if status, _, code := post[object](w, beijing, "/v1/grants", body); status != 400 || code != "invalid_amount" {
				w.t.Errorf("%s of %v: answered %d %s", limit, v, status, code)
			}
		}
	}
}

func set(o object, v any, key string) object {
	o[key] = v
	return o
}

func inBill(o object, v any, key string) object {
	bill, ok := o["bill"].(object)
	if ok {
		bill[key] = v
	}
	return o
}

func confirmed(o object) object { return set(o, "auto", "confirm") }

// TestSmallestAmounts: of 60 % of 0.01 nothing can be shared, of 60 % of 0.02 one fen; the remainder never.
func TestSmallestAmounts(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(w *world) {
		for i, c := range []struct {
			balance money.Amount
			want    string
		}{
			{1, "declined 0.00 of 0.01, took 0.00, gave back 0.00, cash due 0.01; -110000 annual_quota"},
			{2, "held 0.01 of 0.01, took 0.00, gave back 0.00, cash due 0.00; 110000 placed 0.01"},
			{0, "declined 0.00 of 0.01, took 0.00, gave back 0.00, cash due 0.01; -110000 balance_insufficient"},
		} {
			payer := regiontest.Employee("110000", "Payer", 10+i, c.balance)
			mother := regiontest.Resident("350100", "Mother", 20+i)
			w.open(payer, mother)
			w.grant(payer, mother)
			body := w.payment(shanghai, mother, "0.01")
			_, quote, _ := post[client.Payment](w, shanghai, "/v1/quotes", body)
			_, p, code := post[client.Payment](w, shanghai, "/v1/payments", body)
			if got := shape(p); got != c.want || code != "" || shape(quote) != c.want {
				t.Errorf("%s of balance:\n%s %s\n%s (the quote)\n%s (wanted)", c.balance, got, code, shape(quote), c.want)
			}
		}
	})
}

// TestLargestAmounts: accounts, bills, limits, holds, captures and refunds as large as the API's
// form can say; sums beyond it are refused, and nothing turns over.
func TestLargestAmounts(t *testing.T) {
	t.Parallel()
	all := func(_ federation.Region, r *policy.Rules) {
		r.AnnualShare, r.VisitLimits, r.RetainedFloor = money.Whole, nil, 0
	}
	with(t, regiontest.Config{Rules: all}, func(w *world) {
		rich := regiontest.Employee("110000", "Payer", 1, money.Max)
		richer := regiontest.Employee("310000", "Second", 2, money.Max)
		mother := regiontest.Resident("350100", "Mother", 3)
		w.open(rich, richer, mother)
		w.grant(rich, mother, func(g *client.GrantRequest) { g.PerPaymentLimit, g.AnnualLimit = largest, largest })
		w.grant(richer, mother)
		pay := func(body object, want string) client.Payment {
			t.Helper()
			_, p, code := post[client.Payment](w, fuzhou, "/v1/payments", body)
			got := shape(p)
			if code != "" {
				got = code
			}
			if got != want {
				t.Fatalf("\n got %s\nwant %s", got, want)
			}
			return p
		}
		body := w.payment(fuzhou, mother, largest)
		p := pay(body, "held 999999999999.99 of 999999999999.99, took 0.00, gave back 0.00, cash due 0.00; "+
			"110000 placed 999999999999.99")
		for _, more := range []string{"0.01", largest} { // of the same bill
			again := w.payment(fuzhou, mother, more)
			again["bill"] = body["bill"]
			pay(again, "amount_exceeds_self_borne")
		}
		pay(inBill(w.payment(fuzhou, mother, largest), largest, "fund_paid"), "invalid_amount") // twice that, as a total
		pay(inBill(w.payment(fuzhou, mother, largest), "0.01", "fund_paid"), "invalid_amount")  // a fen more than can be said
		second := pay(w.payment(fuzhou, mother, largest), "held 999999999999.99 of 999999999999.99, took 0.00, gave back 0.00, "+
			"cash due 0.00; 310000 placed 999999999999.99; -110000 balance_insufficient")
		pay(w.payment(fuzhou, mother, largest), "declined 0.00 of 999999999999.99, took 0.00, gave back 0.00, "+
			"cash due 999999999999.99; -110000 balance_insufficient; -310000 balance_insufficient")

		path := "/v1/payments/" + p.PaymentID
		_, p, code := post[client.Payment](w, fuzhou, path+"/confirm", object{"request_id": "c-1", "amount": largest})
		if code != "" || p.Captured != largest || p.CashDue != "0.00" {
			t.Fatal(code, shape(p))
		}
		for _, part := range []string{"999999999999.98", "0.01"} {
			_, r, code := post[client.Refund](w, fuzhou, path+"/refunds", object{
				"request_id": w.id("refund"), "amount": part, "reason": "returned",
			})
			if code != "" || r.Status != "done" || r.Amount != part {
				t.Fatalf("%s %+v", code, r)
			}
		}
		for _, part := range []string{"0.01", largest} {
			_, _, code := post[client.Refund](w, fuzhou, path+"/refunds", object{
				"request_id": w.id("refund"), "amount": part, "reason": "returned",
			})
			if code != "refund_exceeds_captured" {
				t.Errorf("a refund beyond what was captured is answered %q", code)
			}
		}
		_, _, code = post[client.Payment](w, fuzhou, "/v1/payments/"+second.PaymentID+"/cancel", object{"request_id": "x-1"})
		if code != "" {
			t.Fatal(code)
		}
		again := w.payment(fuzhou, mother, largest) // all is free again, the bill too
		again["bill"], again["visit_id"] = body["bill"], body["visit_id"]
		pay(again, "held 999999999999.99 of 999999999999.99, took 0.00, gave back 0.00, cash due 0.00; "+
			"110000 placed 999999999999.99")
	})
}
