package ledger_test

import (
	"testing"

	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// TestQuotaOfNewYear: a core that still speaks of last year has not published this year's opening, and what is
// shown says so.
func TestQuotaOfNewYear(t *testing.T) {
	t.Parallel()
	f, _ := related(t)
	in := f.regions[beijing].nodes[0].l.InForce()
	year := policy.Year(f.now)
	for of, provisional := range map[int]bool{year: false, year - 1: true} {
		facts := ledger.Facts{
			Known: true, Scheme: int(policy.SchemeEmployee), Status: int(policy.StatusNormal),
			Balance: 70000, Year: of, Opening: 100000,
		}
		q, err := f.view(beijing).Quota(f.now, "n-son", facts, in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if q.Year != year || q.Facts.Provisional != provisional {
			t.Errorf("of %d: %d, provisional %v", of, q.Year, q.Facts.Provisional)
		}
	}
}
