package chaos_test

import (
	"slices"
	"testing"
	"time"

	"gongji/testnet/chaos"
)

func TestPlanIsTheSeeds(t *testing.T) {
	a := chaos.Plan(7, time.Minute, 3, 3)
	if !slices.Equal(a, chaos.Plan(7, time.Minute, 3, 3)) {
		t.Error("the same seed gives another plan")
	}
	if slices.Equal(a, chaos.Plan(8, time.Minute, 3, 3)) {
		t.Error("another seed gives the same plan")
	}
	kinds := map[chaos.Kind]int{}
	for _, f := range chaos.Plan(1, time.Hour, 3, 3) {
		kinds[f.Kind]++
		freezes := f.Kind == chaos.FreezeOne || f.Kind == chaos.FreezeTwo
		if f.At >= time.Hour || f.Region > 2 || f.Node > 2 || freezes != (f.Length > 0) {
			t.Errorf("fault %+v", f)
		}
	}
	if len(kinds) != 4 {
		t.Errorf("kinds %v", kinds)
	}
}
