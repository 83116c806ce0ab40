package bulletin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/bulletin"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// TestTopicAndFile: a new version comes into force everywhere by the topic, and by a file where there is no
// topic; each source is told in the audit log.
func TestTopicAndFile(t *testing.T) {
	t.Parallel()
	with(t, nil, func(t *testing.T, w *world) {
		w.post(federation.DirectoryKey(1), w.Directory.Signed())
		second := w.next(w.Directory, nil)
		w.post(federation.DirectoryKey(2), second)
		passes(time.Second)
		w.wantVersion(2, w.bj, w.sh, w.fz)
		third := w.next(inForce(w.bj), nil)
		w.files[fuzhou].Store(&third)
		passes(2 * time.Second)
		w.wantVersion(3, w.fz)
		w.wantVersion(2, w.bj, w.sh)
		if audited(w.bj, "directory_in_force", "version=2", "source=topic") != 1 ||
			audited(w.fz, "directory_in_force", "version=3", "source=file") != 1 {
			t.Errorf("%v\n%v", w.bj.Audits.List(), w.fz.Audits.List())
		}
		if got := count(t, w.fz, "gongji_directory_version"); got != 3 {
			t.Errorf("the gauge shows version %v", got)
		}
	})
}

// TestHistoryIsNoRefusal: a new leader reads the whole topic; versions that are over are history, until one comes
// again behind a newer one.
func TestHistoryIsNoRefusal(t *testing.T) {
	t.Parallel()
	with(t, nil, func(t *testing.T, w *world) {
		w.boards[fuzhou].cut.Store(true)
		w.post(federation.DirectoryKey(1), w.Directory.Signed())
		var versions [][]byte
		last := w.Directory
		for range 3 {
			signed := w.next(last, nil)
			w.post(federation.DirectoryKey(last.Version()+1), signed)
			versions = append(versions, signed)
			passes(time.Second)
			last = inForce(w.bj)
		}
		w.Bus.Compact()
		w.files[fuzhou].Store(&versions[2])
		passes(3 * time.Second)
		w.boards[fuzhou].cut.Store(false)
		passes(5 * time.Second)
		w.wantVersion(4, w.bj, w.sh, w.fz)
		if n := audited(w.fz, "directory_refused"); n != 0 {
			t.Errorf("history is refused: %v", w.fz.Audits.List())
		}
		w.post(federation.DirectoryKey(2), versions[0])
		passes(time.Second)
		if audited(w.fz, "directory_refused", "directory_older", "version=2") != 1 {
			t.Errorf("a replay is not told: %v", w.fz.Audits.List())
		}
	})
}

// TestRefused: what must not come into force does not, by either way; it is counted, and audited once however
// often it comes.
func TestRefused(t *testing.T) {
	t.Parallel()
	for why, offer := range map[federation.Refusal]func(w *world) []byte{
		federation.RefusedDirUnsigned: func(w *world) []byte { return w.next(inForce(w.bj), nil, w.fz.Sealer.Sign) },
		federation.RefusedMalformed:   func(*world) []byte { return []byte("no directory") },
		federation.RefusedDirExpired: func(w *world) []byte {
			return w.next(inForce(w.bj), func(d *federation.DirectoryData) {
				d.Issued, d.Expires = time.Now().AddDate(0, 0, -2), time.Now().AddDate(0, 0, -1)
			})
		},
		federation.RefusedDirForked: func(w *world) []byte {
			return w.next(inForce(w.bj), func(d *federation.DirectoryData) { d.Previous = strings.Repeat("00", 32) })
		},
		federation.RefusedDirOlder: func(w *world) []byte { return w.Directory.Signed() },
	} {
		t.Run(string(why), func(t *testing.T) {
			t.Parallel()
			with(t, nil, func(t *testing.T, w *world) {
				w.post(federation.DirectoryKey(2), w.next(w.Directory, nil))
				passes(2 * time.Second)
				bad := offer(w)
				for range 3 {
					w.post("any", bad)
				}
				w.files[fuzhou].Store(&bad)
				passes(5 * time.Second)
				w.wantVersion(2, w.bj, w.sh, w.fz)
				if n := audited(w.bj, "directory_refused", string(why), "topic"); n != 1 {
					t.Errorf("audited %d times: %v", n, w.bj.Audits.List())
				}
				if n := audited(w.fz, "directory_refused", string(why)); n != 1 {
					t.Errorf("audited %d times: %v", n, w.fz.Audits.List())
				}
				if n := count(t, w.bj, "gongji_directories_refused_total", "topic", string(why)); n != 3 {
					t.Errorf("counted %v", n)
				}
				w.post(federation.DirectoryKey(3), w.next(inForce(w.bj), nil))
				passes(2 * time.Second)
				w.wantVersion(3, w.bj, w.sh) // and the next good one does
			})
		})
	}
}

// TestForkOfTheSameVersion: two directories of one version, both signed by the root: the first one stays.
func TestForkOfTheSameVersion(t *testing.T) {
	t.Parallel()
	with(t, nil, func(t *testing.T, w *world) {
		w.post(federation.DirectoryKey(2), w.next(w.Directory, nil))
		passes(time.Second)
		first := inForce(w.bj).Digest()
		w.post(federation.DirectoryKey(2), w.next(w.Directory, func(d *federation.DirectoryData) { d.Pairs = d.Pairs[1:] }))
		passes(time.Second)
		if inForce(w.bj).Digest() != first || audited(w.bj, "directory_refused", "directory_forked") != 1 {
			t.Errorf("%v", w.bj.Audits.List())
		}
	})
}

// TestFloodHidesNothing: whoever operates the broker fills the topic with junk, before and behind a good version, under
// its own key too: the good one comes into force, and what is remembered stays bounded.
func TestFloodHidesNothing(t *testing.T) {
	t.Parallel()
	with(t, nil, func(t *testing.T, w *world) {
		junk := func(n int) {
			for i := range n {
				key := federation.DirectoryKey(uint64(i % 7))
				w.post(key, fmt.Appendf(nil, `{"directory":"AAAA","signatures":[{"key_id":"k%d","signature":"AA=="}]}`, i))
			}
		}
		junk(1500)
		w.post(federation.DirectoryKey(2), w.next(w.Directory, nil))
		junk(100)
		passes(time.Minute)
		w.wantVersion(2, w.bj, w.sh, w.fz)
		if n, most := w.watches[beijing].Known(); n > most {
			t.Errorf("%d refused contents are remembered, %d may be", n, most)
		}
	})
}

// TestAges: half, four fifths and the end of a directory's validity are told in time, once each.
func TestAges(t *testing.T) {
	t.Parallel()
	short := func(d *federation.DirectoryData) { d.Issued, d.Expires = time.Now(), time.Now().Add(10*time.Minute) }
	with(t, short, func(t *testing.T, w *world) {
		for _, c := range []struct {
			at    time.Duration
			stage bulletin.Stage
			words string
		}{
			{4 * time.Minute, bulletin.StageFresh, ""},
			{6 * time.Minute, bulletin.StageHalf, "过半"},
			{9 * time.Minute, bulletin.StageLate, "五分之四"},
			{11 * time.Minute, bulletin.StageExpired, "过期"},
		} {
			passes(time.Until(inForce(w.bj).Issued().Add(c.at)))
			reasons, warned := w.bj.Desk.Ready()
			told := strings.Join(warned, "")
			if len(reasons) != 0 || !strings.Contains(told, c.words) || (c.words == "") != (told == "") {
				t.Errorf("after %s: %v, %v", c.at, reasons, warned)
			}
			if n := audited(w.bj, "directory_ages", "stage="+string(c.stage)); c.stage != "" && n != 1 {
				t.Errorf("after %s: told %d times: %v", c.at, n, w.bj.Audits.List())
			}
		}
		if left := count(t, w.bj, "gongji_directory_seconds_left"); left >= 0 {
			t.Errorf("%v seconds are left", left)
		}
		fresh := w.next(inForce(w.bj), nil)
		w.post(federation.DirectoryKey(2), fresh)
		passes(time.Minute)
		if _, warned := w.bj.Desk.Ready(); len(warned) != 0 {
			t.Errorf("a fresh one: %v", warned)
		}
	})
}

// TestExpiredStopsNewHoldsOnly: once the directory has expired, no new hold begins, between regions or within
// one, nor a grant that holds its limit at once; and nothing else stops. What is held is captured, released, asked for
// and refunded, at the payer's home and the visit region; grants are made and statements told.
func TestExpiredStopsNewHoldsOnly(t *testing.T) {
	t.Parallel()
	short := func(d *federation.DirectoryData) { d.Issued, d.Expires = time.Now(), time.Now().Add(5*time.Minute) }
	with(t, short, func(t *testing.T, w *world) {
		mother := w.family()
		early := w.held(mother, "10.00")
		w.confirmed(early)
		passes(time.Until(inForce(w.bj).Expires().Add(-time.Minute)))
		taken, given, late := w.held(mother, "20.00"), w.held(mother, "30.00"), w.held(mother, "40.00")
		child, atHome := w.atHome()
		passes(2 * time.Minute)
		_, err := w.pays(mother, "50.00")
		w.expired("a payment across regions", err)
		other := regiontest.Employee("110000", "王五", 3, 1000)
		if err := w.bj.Open(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		w.others(other, mother)
		w.noHoldAtHome(other, child)
		var p client.Payment
		p, _, err = w.bj.Desk.Confirm(t.Context(), regiontest.Key("c-at-home"), atHome, nil, 5*time.Second)
		if err != nil || p.Status != "captured" {
			t.Errorf("within a region: %+v, %v", p, err)
		}
		w.confirmed(taken)
		if _, _, err := w.sh.Desk.Cancel(t.Context(), regiontest.Key("cancel"), given.PaymentID); err != nil {
			t.Error(err)
		}
		passes(time.Second)
		p, err = w.sh.Desk.Payment(t.Context(), given.PaymentID)
		if err != nil || p.Status != "released" {
			t.Errorf("released: %+v, %v", p, err)
		}
		w.refunded(early)
		passes(15 * time.Minute) // the third one is nobody's: it expires, by an enquiry or the origin's own clock
		if p, err = w.sh.Desk.Payment(t.Context(), late.PaymentID); err != nil || p.Status != "expired" {
			t.Errorf("late: %+v, %v", p, err)
		}
		w.wantMoney("998.00", "0.00") // 1000.00 and the other two payers' 10.00 each, less 20.00 and 2.00
	})
}

// others is what an expired directory leaves alone, and the one kind of grant that it does not.
func (w *world) others(payer, mother regiontest.Person) {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.bj.Grant(ctx, payer, mother, func(f *client.GrantRequest) {
		f.Funding, f.Limit = client.FundingVirtualLimit, "5.00"
	})
	w.expired("a limit across regions", err)
	if _, err = w.bj.Grant(ctx, payer, mother); err != nil {
		w.t.Errorf("a grant across regions: %v", err)
	}
	today := policy.Day(time.Now()).String()
	told, err := w.fz.Desk.Statement(ctx, client.StatementRequest{
		Person: mother.Person, Role: "beneficiary", From: today, To: today, Limit: 10,
	})
	if err != nil || len(told.Entries) == 0 {
		w.t.Errorf("the beneficiary's statement over regions: %+v, %v", told, err)
	}
}

// atHome has a family of one region hold 2.00 there, and returns the child and the payment.
func (w *world) atHome() (regiontest.Person, string) {
	w.t.Helper()
	ctx := w.t.Context()
	payer, child := regiontest.Employee("110000", "孙七", 5, 1000), regiontest.Resident("110000", "赵六", 4)
	if err := errors.Join(w.bj.Open(ctx, payer), w.bj.Open(ctx, child)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.bj.Grant(ctx, payer, child); err != nil {
		w.t.Fatal(err)
	}
	p, err := w.bj.Pay(ctx, child, "at-home", "2.00")
	if err != nil || p.Status != "held" {
		w.t.Fatalf("within a region: %+v, %v", p, err)
	}
	return child, p.PaymentID
}

// noHoldAtHome: within the region too, grants are made, and no money is held.
func (w *world) noHoldAtHome(payer, child regiontest.Person) {
	w.t.Helper()
	ctx := w.t.Context()
	_, err := w.bj.Grant(ctx, payer, child, func(f *client.GrantRequest) {
		f.Funding, f.Limit = client.FundingVirtualLimit, "5.00"
	})
	w.expired("a limit at home", err)
	if _, err = w.bj.Grant(ctx, payer, child); err != nil {
		w.t.Errorf("a grant at home: %v", err)
	}
	p, err := w.bj.Pay(ctx, child, "at-home-late", "3.00")
	w.expired(fmt.Sprintf("a payment at home: %+v", p), err)
}

// expired wants the refusal that says why.
func (w *world) expired(what string, err error) {
	w.t.Helper()
	var e *api.Error
	if !errors.As(err, &e) || e.Code != policy.CodeRegionUnreachable ||
		!strings.Contains(e.Detail, "directory has expired") || !strings.Contains(e.DetailZH, "目录已过期") {
		w.t.Errorf("%s: %v", what, err)
	}
}

// TestCutOffRegion: a region that cannot be told of a revocation learns it at its next contact; until
// then it takes no new hold once its own directory has expired.
func TestCutOffRegion(t *testing.T) {
	t.Parallel()
	short := func(d *federation.DirectoryData) { d.Issued, d.Expires = time.Now(), time.Now().Add(5*time.Minute) }
	with(t, short, func(t *testing.T, w *world) {
		mother := w.family()
		w.boards[beijing].cut.Store(true)
		w.post(federation.DirectoryKey(2), w.next(w.Directory, nil))
		passes(2 * time.Second)
		w.wantVersion(2, w.sh, w.fz)
		w.wantVersion(1, w.bj)
		passes(6 * time.Minute)
		if p, err := w.pays(mother, "10.00"); err != nil || p.Status != "declined" || p.Held != "0.00" {
			t.Errorf("a region whose directory has expired takes a hold: %+v, %v", p, err)
		}
		w.boards[beijing].cut.Store(false)
		passes(5 * time.Second)
		w.wantVersion(2, w.bj)
		w.confirmed(w.held(mother, "20.00"))
	})
}

// TestRevocation: from the moment at which a region applies the directory, a revoked key moves no money
// there: what the visit region has signed with it is refused, and what it signs with its new key counts.
func TestRevocation(t *testing.T) {
	t.Parallel()
	with(t, nil, func(t *testing.T, w *world) {
		mother := w.family()
		held := w.held(mother, "10.00")
		w.boards[shanghai].cut.Store(true) // Shanghai goes on signing with the key that it does not know to be revoked
		w.post(federation.DirectoryKey(2), w.next(w.Directory, func(d *federation.DirectoryData) {
			revoke(d, shanghai, federation.UseSign)
		}))
		passes(time.Second)
		w.wantVersion(2, w.bj, w.fz)
		w.wantVersion(1, w.sh)
		p, _, err := w.sh.Desk.Confirm(t.Context(), regiontest.Key("c"), held.PaymentID, nil, 5*time.Second)
		if err != nil || p.Status != "capturing" {
			t.Errorf("%+v, %v", p, err)
		}
		w.wantMoney("1000.00", "10.00")
		if n := count(t, w.bj, "gongji_parcels_refused_total", "310000", "key_revoked"); n == 0 {
			t.Error("nothing was refused")
		}
		signed := w.next(inForce(w.bj), func(d *federation.DirectoryData) { w.rotate(d, w.sh) })
		w.boards[shanghai].cut.Store(false)
		w.post(federation.DirectoryKey(3), signed)
		passes(10 * time.Second)
		w.wantVersion(3, w.bj, w.sh, w.fz)
		if p, err = w.sh.Desk.Payment(t.Context(), held.PaymentID); err != nil || p.Status != "captured" {
			t.Errorf("under the new key: %+v, %v", p, err)
		}
		w.wantMoney("990.00", "0.00")
	})
}
