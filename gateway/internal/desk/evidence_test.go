package desk_test

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/crypto"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// captured is a payment in Shanghai from payers in Beijing and Fuzhou, taken whole, with a refund.
func captured(t *testing.T, w *world) (client.Payment, regiontest.Person) {
	t.Helper()
	grandson, payers := w.family()
	w.grant(payers[0], grandson, func(f *client.GrantRequest) { f.PerPaymentLimit = "120.00" })
	w.grant(payers[2], grandson)
	p := w.asks(t, grandson)
	p, _, err := w.sh.Desk.Confirm(t.Context(), w.signed(t, "/v1/payments/"+p.PaymentID+"/confirm"), p.PaymentID, nil,
		5*time.Second)
	if err != nil || p.Status != "captured" {
		t.Fatal(p, err)
	}
	_, _, err = w.sh.Desk.CreateRefund(t.Context(), w.key(), p.PaymentID, client.RefundRequest{Reason: "test"},
		*amount(t, "10.00"))
	if err != nil {
		t.Fatal(err)
	}
	passes(2 * time.Second) // the last acks come
	return p, grandson
}

// asks is a payment of 200.00 that a platform with a key asks for.
func (w *world) asks(t *testing.T, who regiontest.Person) client.Payment {
	t.Helper()
	var err error
	if w.platform, err = w.sh.Platform(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	p, _, err := w.sh.Desk.CreatePayment(t.Context(), w.signed(t, "/v1/payments"),
		w.sh.PaymentRequest(who, "visit", "200.00"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// signed is a request of the platform.
func (w *world) signed(t *testing.T, target string) api.RequestKey {
	t.Helper()
	key, err := w.platform.Request(http.MethodPost, target, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// proven is a captured payment and the bundle that Shanghai makes of it.
func proven(t *testing.T, w *world) (client.Payment, []byte) {
	t.Helper()
	p, _ := captured(t, w)
	return p, w.bundle(t, p.PaymentID)
}

// bundle is what Shanghai proves of a payment.
func (w *world) bundle(t *testing.T, id string) []byte {
	t.Helper()
	data, err := w.sh.Desk.Evidence(t.Context(), "test", id)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func verifier(t *testing.T, w *world) *evidence.Verifier {
	t.Helper()
	dirs, err := evidence.NewDirectories(w.Directory)
	if err != nil {
		t.Fatal(err)
	}
	return &evidence.Verifier{Sealer: w.fz.Sealer, Directories: dirs}
}

// TestEvidence: the bundle of a payment proves offline who asked whom for what, what was answered, and that what was
// sent was received; no person stands in it; any changed byte is found.
func TestEvidence(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, grandson := captured(t, w)
		data := w.bundle(t, p.PaymentID)
		v := verifier(t, w)
		report, err := v.Verify(data)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, l := range report.Lines {
			text.WriteString(l.EN + "\n" + l.ZH + "\n")
		}
		for _, want := range []string{
			"350100 told 310000: the beneficiary's home has seen", "110000 told 310000: holds 120.00",
			"350100 told 310000: holds 80.00", "350100 acknowledged what 310000 had told it: asks to hold",
			"110000 acknowledged what 310000 had told it: decides to capture 120.00", "has ended captured, 120.00 taken",
			"asks to give back 10.00", "is done", "确认收到",
			"platform test asked 310000", "to begin this payment (POST /v1/payments)", "平台 test 于", "确认扣款",
		} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("the report does not say %q:\n%s", want, text.String())
			}
		}
		if len(report.Doubts) > 0 || report.Receipts == 0 || report.PersonsAll == 0 {
			t.Errorf("%+v", report)
		}
		who := grandson.Identity()
		if strings.Contains(string(data), who.Number) || strings.Contains(string(data), who.Name) {
			t.Error("a person stands in the bundle")
		}
		v.Person = new(grandson.Identity())
		if report, err = v.Verify(data); err != nil || report.Persons != 0 {
			t.Errorf("a blind bundle opens %d persons, %v", report.Persons, err)
		}
		for i := range data {
			bad := slices.Clone(data)
			bad[i] ^= 1 << (i % 8)
			if _, err := v.Verify(bad); err == nil {
				t.Fatalf("byte %d of %d can be changed: %q", i, len(data), data[max(0, i-20):min(len(data), i+20)])
			}
		}
		_, err = w.bj.Desk.Evidence(t.Context(), "test", p.PaymentID)
		refused(t, err, policy.CodeNotFound)
	})
}

// TestEvidenceSignedAgain: a region that signs a changed bundle anew is found out, since others' words and receipts are
// signed by them: each thing that it could change is refused.
func TestEvidenceSignedAgain(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		_, data := proven(t, w)
		v := verifier(t, w)
		v.Platforms = map[string][]byte{w.platform.KeyID: w.platform.Key.Public()}
		whole := func(c *evidence.Content) bool { return len(c.Body) > 0 }
		for name, change := range map[string]func(b *evidence.Bundle){
			"another subject": func(b *evidence.Bundle) { b.Subject = "p-310000-x" },
			"another region":  func(b *evidence.Bundle) { b.Region = "110000" },
			"a message is changed": func(b *evidence.Bundle) {
				b.Proofs[0] = slices.Clone(b.Proofs[0])
				b.Proofs[0][len(b.Proofs[0])-80] ^= 1
			},
			"a receipt's chain":     func(b *evidence.Bundle) { b.Receipts[0].Before[3] ^= 1 },
			"a receipt's number":    func(b *evidence.Bundle) { b.Receipts[0].First++ },
			"a receipt's header":    func(b *evidence.Bundle) { b.Receipts[0].Header[30] ^= 1 },
			"a receipt's signature": func(b *evidence.Bundle) { b.Receipts[0].Signature[20] ^= 1 },
			"a request's target":    func(b *evidence.Bundle) { b.Requests[0].Target = "/v1/payments?" },
			"a request's method":    func(b *evidence.Bundle) { b.Requests[0].Method = "PUT" },
			"a request's nonce":     func(b *evidence.Bundle) { b.Requests[0].Nonce += "0" },
			"a request's body":      func(b *evidence.Bundle) { b.Requests[0].Body = strings.Repeat("0", 64) },
			"a request's time":      func(b *evidence.Bundle) { b.Requests[0].At = b.Requests[0].At.Add(10 * time.Minute) },
			"a request's signature": func(b *evidence.Bundle) { b.Requests[0].Signature[20] ^= 1 },
			"a later registration":  func(b *evidence.Bundle) { b.Requests[0].Registered = b.Requests[0].At.Add(time.Second) },
			"another's request":     func(b *evidence.Bundle) { b.Requests[0].Subject = "p-310000-x" },
			"a request about another payment": func(b *evidence.Bundle) {
				invent(t, &b.Requests[0], w.platform.Key, "/v1/payments/p-310000-x/confirm")
			},
			"an invented request": func(b *evidence.Bundle) {
				key, err := w.NewKey()
				if err != nil {
					t.Fatal(err)
				}
				invent(t, &b.Requests[0], key, "/v1/payments")
			},
			"less was received": func(b *evidence.Bundle) { b.Receipts[0].Contents = b.Receipts[0].Contents[1:] },
			"other content was sent": func(b *evidence.Bundle) {
				c := b.Receipts[0].Contents
				i := slices.IndexFunc(c, func(c evidence.Content) bool { return whole(&c) })
				c[i].Body = slices.Clone(c[i].Body)
				c[i].Body[len(c[i].Body)-1] ^= 1
			},
		} {
			var b evidence.Bundle
			if err := json.Unmarshal(data, &b); err != nil {
				t.Fatal(err)
			}
			change(&b)
			again, err := b.Sign(w.sh.Sealer)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(again); err == nil {
				t.Errorf("%s: it is taken", name)
			}
		}
	})
}

// invent signs another request in the place of one.
func invent(t *testing.T, r *evidence.Request, key crypto.Private, target string) {
	t.Helper()
	r.Target, r.Public = target, key.Public()
	sig, err := key.Sign([]byte(r.Method + "\n" + target + "\n" + r.Time + "\n" + r.Nonce + "\n" + r.Body + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	r.Signature = sig
}

// TestEvidenceOfRevokedKey: a key that is revoked afterwards leaves the signature good and says what that is worth.
func TestEvidenceOfRevokedKey(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		_, data := proven(t, w)
		passes(2 * time.Second)
		digest := w.Directory.Digest()
		next := w.Directory.Data()
		next.Version, next.Issued = next.Version+1, time.Now().UTC().Truncate(time.Second)
		next.Previous = hex.EncodeToString(digest[:])
		next.Members = slices.Clone(next.Members)
		for i := range next.Members {
			if next.Members[i].Code == beijing {
				next.Members[i].Keys = slices.Clone(next.Members[i].Keys)
				for k := range next.Members[i].Keys {
					next.Members[i].Keys[k].Revoked = true
				}
			}
		}
		signed, err := federation.SignDirectory(next, w.Root.Sign)
		if err != nil {
			t.Fatal(err)
		}
		later, err := federation.LoadDirectory(w.Root.Hash, signed)
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := evidence.NewDirectories(later, w.Directory)
		if err != nil {
			t.Fatal(err)
		}
		report, err := (&evidence.Verifier{Sealer: w.fz.Sealer, Directories: dirs}).Verify(data)
		if err != nil || len(report.Doubts) == 0 || report.Doubts[0].Region != string(beijing) {
			t.Errorf("%+v, %v", report, err)
		}
		if dirs, err = evidence.NewDirectories(later); err != nil {
			t.Fatal(err)
		}
		if _, err = (&evidence.Verifier{Sealer: w.fz.Sealer, Directories: dirs}).Verify(data); err == nil {
			t.Error("a directory that was issued afterwards is believed alone")
		}
	})
}

// TestTrace: a payment is followed through all regions, each message with who signed it.
func TestTrace(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		p, _ := captured(t, w)
		trace, err := w.sh.Desk.Trace(t.Context(), "test", p.PaymentID)
		if err != nil || len(trace.Missing) > 0 {
			t.Fatalf("%+v, %v", trace.Missing, err)
		}
		seen := map[string]bool{}
		for i, e := range trace.Events {
			seen[e.Region+" "+e.What+" "+e.FromState+">"+e.ToState] = true
			unproven := e.SignedBy != "" && (e.Verified == nil || !*e.Verified)
			if e.Node == "" || unproven || i > 0 && e.Time < trace.Events[i-1].Time {
				t.Errorf("%+v", e)
			}
		}
		h := p.Legs[0].HoldID
		for _, want := range []string{
			"310000 payment >requested", "310000 payment capturing>captured", "110000 hold " + h + " >requested",
			"310000 received hold_answer from 110000 >", "110000 received capture from 310000 >",
			"310000 receipt for hold_request from 110000 >", "350100 received refund from 310000 >",
		} {
			if !seen[want] {
				t.Errorf("no %q in %v", want, seen)
			}
		}
		_, err = w.fz.Desk.Trace(t.Context(), "test", p.PaymentID)
		refused(t, err, policy.CodeNotFound)
	})
}
