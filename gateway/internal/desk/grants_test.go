package desk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

func ids(list []client.Grant) []string {
	out := []string{}
	for _, g := range list {
		out = append(out, g.GrantID)
	}
	return out
}

func sameIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// grandson is of Fuzhou; his payers are of all three regions.
func (w *world) family() (regiontest.Person, []regiontest.Person) {
	grandson := regiontest.Resident(string(fuzhou), "周小宝", 40)
	payers := []regiontest.Person{
		regiontest.Employee(string(beijing), "周建军", 41, 100_000),
		regiontest.Employee(string(shanghai), "周建民", 42, 100_000),
		regiontest.Employee(string(fuzhou), "周建华", 43, 500_000),
	}
	w.open(grandson)
	w.open(payers...)
	return grandson, payers
}

// TestGrantIsShown: all of it, at the payer's home, with persons masked.
func TestGrantIsShown(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		f, err := w.sh.GrantRequest(t.Context(), payers[1], grandson)
		if err != nil {
			t.Fatal(err)
		}
		f.RequestID, f.Channel, f.ClerkID = "r-1", "counter", "c-7"
		f.ScanDigest = strings.Repeat("ab", 32)
		f.Proofs = []client.Proof{{Kind: "household_register", Digest: strings.Repeat("cd", 32)}}
		f.ValidUntil, f.PerPaymentLimit, f.AnnualLimit = "2001-12-31", "300.00", "1000.00"
		key := regiontest.Key("r-1")
		g, written, err := w.sh.Desk.CreateGrant(t.Context(), key, f)
		if err != nil || !written.Created || written.Replay {
			t.Fatalf("%+v, %v", written, err)
		}
		want := client.Grant{
			GrantID: g.GrantID, Status: "active", Hotline: "021-12393", RequestID: "r-1",
			Payer: payers[1].Masked(), Beneficiary: grandson.Masked(), Relation: "parent", Channel: "counter",
			ClerkID: "c-7", ScanDigest: f.ScanDigest, Consent: f.Consent, Proofs: f.Proofs, ValidFrom: f.ValidFrom,
			ValidUntil: "2001-12-31", PerPaymentLimit: "300.00", AnnualLimit: "1000.00", Funding: "balance",
		}
		if fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", want) {
			t.Errorf("%+v\nwant\n%+v", g, want)
		}
		again, written, err := w.sh.Desk.CreateGrant(t.Context(), key, f)
		if err != nil || !written.Replay || written.Created || again.GrantID != g.GrantID {
			t.Errorf("a repeat: %+v, %v", written, err)
		}
		key.Digest[31]++
		_, _, err = w.sh.Desk.CreateGrant(t.Context(), key, f)
		refused(t, err, policy.CodeConflict)
		_, _, _, err = w.sh.Desk.Seen(t.Context(), key)
		refused(t, err, policy.CodeConflict)
		key.Digest[31]--
		kind, id, seen, err := w.sh.Desk.Seen(t.Context(), key)
		if kind != "grant" || id != g.GrantID || !seen || err != nil {
			t.Errorf("Seen: %s %s %v %v", kind, id, seen, err)
		}
		if _, _, seen, err = w.sh.Desk.Seen(t.Context(), regiontest.Key("other")); seen || err != nil {
			t.Errorf("Seen of an unused id: %v %v", seen, err)
		}
	})
}

// TestGrantIDs: an id carries its home: 421 elsewhere; an id that no region has made is 404 everywhere.
func TestGrantIDs(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		id := w.grant(payers[1], grandson)
		calls := map[string]func(r *regiontest.Region, id string) error{
			"read": func(r *regiontest.Region, id string) error {
				_, err := r.Desk.Grant(t.Context(), id)
				return err
			},
			"patch": func(r *regiontest.Region, id string) error {
				_, _, err := r.Desk.PatchGrant(t.Context(), w.key(), id, client.GrantPatch{Status: "suspended"})
				return err
			},
			"revoke": func(r *regiontest.Region, id string) error {
				_, _, err := r.Desk.RevokeGrant(t.Context(), w.key(), id)
				return err
			},
		}
		for name, call := range calls {
			err := call(w.fz, id)
			refused(t, err, policy.CodeNotHomeRegion)
			if regionOf(err) != string(shanghai) {
				t.Errorf("%s: 421 names %q", name, regionOf(err))
			}
			for _, unknown := range []string{"g-310000-none", "g-999999-none", "x", "g-310000", "p-310000-1"} {
				if err := call(w.sh, unknown); codeOf(err) != policy.CodeNotFound {
					t.Errorf("%s of %s: %v", name, unknown, err)
				}
			}
		}
	})
}

// TestGrantSearch: the payer's home, the beneficiary's home with grants of all regions, and elsewhere those of the
// region's payers; oldest first, all statuses, in pages.
func TestGrantSearch(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		var made []string
		for _, p := range payers {
			made = append(made, w.grant(p, grandson))
			passes(time.Second)
		}
		w.revoke(made[1])
		passes(2 * time.Second)
		search := func(r *regiontest.Region, f client.GrantSearch) []client.Grant {
			t.Helper()
			if f.Limit == 0 {
				f.Limit = 100
			}
			list, _, err := r.Desk.SearchGrants(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		all := search(w.fz, client.GrantSearch{Beneficiary: &grandson.Person})
		sameIDs(t, "at the beneficiary's home", ids(all), made)
		if all[1].Status != "revoked" || all[1].Payer != payers[1].Masked() || all[1].Beneficiary != grandson.Masked() {
			t.Errorf("%+v", all[1])
		}
		sameIDs(t, "at a payer's home", ids(search(w.bj, client.GrantSearch{Beneficiary: &grandson.Person})), made[:1])
		sameIDs(t, "of a payer", ids(search(w.sh, client.GrantSearch{Payer: &payers[1].Person})), made[1:2])
		stranger := regiontest.Resident(string(fuzhou), "无此人", 900)
		sameIDs(t, "of a stranger", ids(search(w.fz, client.GrantSearch{Beneficiary: &stranger.Person})), []string{})
		stranger.Region = string(shanghai)
		sameIDs(t, "of a strange payer", ids(search(w.sh, client.GrantSearch{Payer: &stranger.Person})), []string{})
		_, _, err := w.fz.Desk.SearchGrants(t.Context(), client.GrantSearch{Payer: &payers[1].Person, Limit: 1})
		refused(t, err, policy.CodeNotHomeRegion)
		var paged []string
		f := client.GrantSearch{Beneficiary: &grandson.Person, Limit: 2}
		for range 2 {
			list, next, err := w.fz.Desk.SearchGrants(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			paged = append(paged, ids(list)...)
			f.Cursor = next
		}
		sameIDs(t, "in pages", paged, made)
		if f.Cursor != "" {
			t.Errorf("a cursor %q behind the last page", f.Cursor)
		}
	})
}

// TestOrder: at the beneficiary's home; the listed ones first, the others as they were made, revoked ones not at all.
func TestOrder(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		var made []string
		for _, p := range payers {
			made = append(made, w.grant(p, grandson))
			passes(time.Second)
		}
		order := func(r *regiontest.Region, list ...string) ([]string, error) {
			o, _, err := r.Desk.SetOrder(t.Context(), w.key(), client.OrderRequest{
				Beneficiary: grandson.Person, Grants: list,
			})
			return o.Grants, err
		}
		got, err := order(w.fz, made[2])
		sameIDs(t, "one listed", got, []string{made[2], made[0], made[1]})
		if err != nil {
			t.Error(err)
		}
		if p := w.pay(w.fz, grandson, "10.00"); p.Legs[0].GrantID != made[2] {
			t.Errorf("a payment asks %s first", p.Legs[0].GrantID)
		}
		got, _ = order(w.fz)
		sameIDs(t, "default", got, made)
		_, err = order(w.sh, made[0])
		refused(t, err, policy.CodeNotHomeRegion)
		_, err = order(w.fz, "g-310000-none")
		refused(t, err, policy.CodeNotFound)
		w.revoke(made[1])
		passes(2 * time.Second)
		_, err = order(w.fz, made[1])
		refused(t, err, policy.CodeGrantNotActive)
		got, _ = order(w.fz)
		sameIDs(t, "after a revocation", got, []string{made[0], made[2]})
		grandson.Name = "周无此人"
		_, err = order(w.fz, made[0])
		refused(t, err, policy.CodeIdentityMismatch)
	})
}

// TestPatch: what is given changes, null removes, and states that do not allow it refuse.
func TestPatch(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		id := w.grant(payers[1], grandson)
		patch := func(f client.GrantPatch) (client.Grant, error) {
			g, _, err := w.sh.Desk.PatchGrant(t.Context(), w.key(), id, f)
			return g, err
		}
		g, err := patch(client.GrantPatch{
			PerPaymentLimit: client.Set("30.00"), AnnualLimit: client.Set("90.00"), ValidUntil: client.Set("2000-06-30"),
		})
		if err != nil || g.PerPaymentLimit != "30.00" || g.AnnualLimit != "90.00" || g.ValidUntil != "2000-06-30" {
			t.Fatalf("%+v, %v", g, err)
		}
		passes(2 * time.Second)
		p := w.pay(w.fz, grandson, "50.00")
		if p.Held != "30.00" || p.Legs[0].LimitedBy != "payment_limit" {
			t.Errorf("%+v", p)
		}
		g, err = patch(client.GrantPatch{
			PerPaymentLimit: client.Remove(), AnnualLimit: client.Remove(), ValidUntil: client.Remove(),
		})
		if err != nil || g.PerPaymentLimit != "" || g.AnnualLimit != "" || g.ValidUntil != "" {
			t.Errorf("%+v, %v", g, err)
		}
		for range 2 {
			if g, err = patch(client.GrantPatch{Status: "suspended"}); err != nil || g.Status != "suspended" {
				t.Errorf("%+v, %v", g, err)
			}
		}
		passes(2 * time.Second)
		if p = w.pay(w.fz, grandson, "50.00"); decline(p) != "declined grant_not_active" {
			t.Errorf("with a suspended grant: %s", decline(p))
		}
		for field, f := range map[string]client.GrantPatch{
			"nothing":     {},
			"limit":       {PerPaymentLimit: client.Set("0.00")},
			"annual":      {AnnualLimit: client.Set("1")},
			"until":       {ValidUntil: client.Set("1999-12-31")},
			"date":        {ValidUntil: client.Set("soon")},
			"from":        {ValidFrom: "2000-13-01"},
			"other state": {Status: "revoked"},
		} {
			if _, err := patch(f); !strings.HasPrefix(string(codeOf(err)), "invalid_") {
				t.Errorf("%s: %v", field, err)
			}
		}
		w.revoke(id)
		_, err = patch(client.GrantPatch{Status: "active"})
		refused(t, err, policy.CodeWrongState)
		_, _, err = w.sh.Desk.RevokeGrant(t.Context(), w.key(), id)
		refused(t, err, policy.CodeWrongState)
	})
}

// TestAccept: where both are asked a grant waits for the beneficiary, who consents at home.
func TestAccept(t *testing.T) {
	t.Parallel()
	c := regiontest.Config{Rules: func(_ federation.Region, r *policy.Rules) { r.Consent = policy.ConsentBoth }}
	with(t, c, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		id := w.grant(payers[1], grandson)
		if p := w.pay(w.fz, grandson, "1.00"); decline(p) != "declined" {
			t.Errorf("with a pending grant: %s", decline(p))
		}
		_, _, err := w.sh.Desk.PatchGrant(t.Context(), w.key(), id, client.GrantPatch{Status: "suspended"})
		refused(t, err, policy.CodeWrongState)
		_, _, err = w.bj.Desk.AcceptGrant(t.Context(), w.key(), id)
		refused(t, err, policy.CodeNotFound)
		_, _, err = w.fz.Desk.AcceptGrant(t.Context(), w.key(), "none")
		refused(t, err, policy.CodeNotFound)
		key := w.key()
		if _, _, err = w.fz.Desk.AcceptGrant(t.Context(), key, id); err != nil {
			t.Fatal(err)
		}
		passes(2 * time.Second)
		g, written, err := w.fz.Desk.AcceptGrant(t.Context(), key, id)
		if err != nil || !written.Replay || g.Status != "active" {
			t.Errorf("a repeat: %+v %+v %v", g, written, err)
		}
		_, _, err = w.fz.Desk.AcceptGrant(t.Context(), w.key(), id)
		refused(t, err, policy.CodeWrongState)
		if g, err = w.sh.Desk.Grant(t.Context(), id); err != nil || g.Status != "active" {
			t.Errorf("at the payer's home: %s, %v", g.Status, err)
		}
		if p := w.pay(w.fz, grandson, "1.00"); p.Status != "held" {
			t.Errorf("after the consent: %s", decline(p))
		}
	})
}

// TestNotLeading: a follower's desk has nothing to say that could be wrong: the caller is to ask the leader.
func TestNotLeading(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{Nodes: 2}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.sh.Group.SetLeader(0)
		passes(1200 * time.Millisecond)
		follower := w.sh.Nodes[1].Desk
		f, err := w.sh.GrantRequest(t.Context(), payers[1], grandson)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = follower.CreateGrant(t.Context(), w.key(), f)
		refused(t, err, policy.Code(consensus.ErrNoLeader.Error()))
		_, _, err = follower.CreatePayment(t.Context(), w.key(), w.sh.PaymentRequest(grandson, "v", "1.00"))
		refused(t, err, policy.Code(consensus.ErrNoLeader.Error()))
		w.sh.Group.SetLeader(-1)
		_, _, err = w.sh.Desk.RevokeGrant(t.Context(), w.key(), "g-310000-x")
		refused(t, err, policy.Code(consensus.ErrNoLeader.Error()))
		if ready, _ := w.sh.Desk.Ready(); !slices.Contains(ready, "no leader") {
			t.Errorf("ready for %v", ready)
		}
	})
}

// TestUnreachable: a home that cannot be asked is named, and nothing has happened.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		grandson, payers := w.family()
		w.Bus.Cut(federation.Lane{From: fuzhou, To: shanghai})
		for range 2 { // not answered in time; then known to be unreachable
			_, err := w.sh.Grant(t.Context(), payers[1], grandson)
			refused(t, err, policy.CodeRegionUnreachable)
			if regionOf(err) != string(fuzhou) {
				t.Errorf("names %q", regionOf(err))
			}
			_, err = w.sh.Pay(t.Context(), grandson, "v", "1.00")
			refused(t, err, policy.CodeRegionUnreachable)
		}
		list, _, err := w.sh.Desk.SearchPayments(t.Context(), "test", client.PaymentSearch{VisitID: "v", Limit: 1})
		if err != nil || len(list) > 0 {
			t.Errorf("%d payments, %v", len(list), err)
		}
	})
}

// TestInfo: rules, commitment, members, readiness.
func TestInfo(t *testing.T) {
	t.Parallel()
	with(t, regiontest.Config{}, func(t *testing.T, w *world) {
		rules, err := w.fz.Desk.Rules(t.Context())
		if err != nil || rules.AnnualShare != "0.70" || rules.RetainedFloor != "2000.00" || rules.Hotline != "0591-12393" {
			t.Errorf("%+v, %v", rules, err)
		}
		text, err := w.fz.Desk.Commitment(t.Context())
		if err != nil || text.Digest != fmt.Sprintf("%x", w.Root.Hash([]byte(text.TextZH))) {
			t.Errorf("%+v, %v", text, err)
		}
		if !w.fz.Desk.Member("110000") || !w.fz.Desk.Member("350100") || w.fz.Desk.Member("999999") {
			t.Error("members")
		}
		if ready, warned := w.fz.Desk.Ready(); len(ready)+len(warned) > 0 {
			t.Errorf("not ready: %v", ready)
		}
	})
}
