package trust_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/federation"
	"gongji/federation/federationtest"
	"gongji/gateway/trust"
)

// TestWatch: people are told 30, 7, 1 and 0 days before a key ends, once each; a list's authority on its last
// day; the leader alone tells. The metric counts the days.
func TestWatch(t *testing.T) {
	t.Parallel()
	m := newMaker(t)
	m.data.RevocationLists = [][]byte{m.list()}
	d := m.signed()
	clock, leads := now, false
	registry := prometheus.NewRegistry()
	var told []string
	w := must[*trust.Watch](t)(trust.NewWatch(trust.WatchConfig{
		Self: "350100", Directory: func() *federation.Directory { return d }, Now: func() time.Time { return clock },
		Leads: func() bool { return leads }, Audit: func(event string, attrs ...slog.Attr) {
			for _, a := range attrs {
				if a.Key == "kind" || a.Key == "within_days" || a.Key == "member" {
					event += " " + a.Value.String()
				}
			}
			told = append(told, event)
		},
	}, registry))
	at := func(moment time.Time, about string) []string {
		clock, told = moment, nil
		w.Look()
		w.Look()
		return slices.DeleteFunc(told, func(s string) bool { return !strings.Contains(s, about) })
	}
	end := d.Members()[1].Keys[0].NotAfter
	if got := at(end.AddDate(0, 0, -30), ""); len(got) != 0 {
		t.Errorf("a node that does not lead tells %q", got)
	}
	leads = true
	if got := at(now.AddDate(0, 0, 4), ""); len(got) != 0 {
		t.Errorf("two days before the next list: %q", got)
	}
	if got := at(now.AddDate(0, 0, 5), "revocation_list"); len(got) != 1 || !strings.HasSuffix(got[0], " 1") {
		t.Errorf("a day before the next list: %q", got)
	}
	for _, c := range []struct {
		days int
		want string
	}{{31, ""}, {30, "30"}, {20, ""}, {7, "7"}, {1, "1"}, {-1, "0"}, {-2, ""}} {
		got := at(end.AddDate(0, 0, -c.days), "key 350100")
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 2 || !strings.HasSuffix(got[0], " "+c.want)) {
			t.Errorf("%d days before: %q, want two for %q", c.days, got, c.want)
		}
	}
	clock = now
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].GetMetric()) != 6 {
		t.Errorf("%v (%v), want four keys, an authority and a list", families, err)
	}
}

// signed signs the directory with a root of its own.
func (m *maker) signed() *federation.Directory {
	m.t.Helper()
	m.data.Version, m.data.Issued, m.data.Expires = 1, now, now.AddDate(5, 0, 0)
	for i := range m.data.Members {
		m.data.Members[i].Name, m.data.Members[i].State = "pool", federation.MemberOpen
	}
	m.data.Pairs = []federation.Pair{{A: "110000", B: "350100", From: "2026-01-01"}}
	s := must[*federationtest.Sealer](m.t)(federationtest.NewSealer("root"))
	raw := must[[]byte](m.t)(federation.SignDirectory(m.data, s.Sign))
	id, public := s.SignKey()
	roots := federation.Roots{Threshold: 1, Keys: []federation.RootKey{{ID: id, Public: public}}}
	return must[*federation.Directory](m.t)(federation.ParseDirectory(s, roots, raw, nil, now))
}
