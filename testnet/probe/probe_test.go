package probe_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"testing"
	"time"

	"gongji/testnet/probe"
)

const metrics = `# HELP consensus_leader 1 while
consensus_leader %d
consensus_commands_total 100
consensus_entries_total 25
gongji_parcels_total{direction="out",peer="310000"} 4
gongji_parcels_total{direction="out",peer="350100"} 3
gongji_parcels_total{direction="in",peer="310000"} 90
gongji_messages_total{peer="310000",direction="out"} 1.4e+01
process_cpu_seconds_total 2.5
process_resident_memory_bytes 1e6
`

func node(t *testing.T, leader, pid int) probe.Node {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, metrics, leader)
	})
	mux.HandleFunc("GET /debug/pprof/profile", func(w http.ResponseWriter, r *http.Request) {
		if err := pprof.StartCPUProfile(w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer pprof.StopCPUProfile()
		data := make([]byte, 1<<20)
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end) && r.Context().Err() == nil; {
			sha256.Sum256(data)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return probe.Node{API: s.URL, Admin: s.URL, PID: pid}
}

func TestReadSharedProcess(t *testing.T) {
	p := probe.New([]probe.Node{node(t, 1, 0), node(t, 0, 0), {API: "http://127.0.0.1:1"}})
	defer p.Close()
	f, err := p.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.CPU != 2.5 || f.RSS != 1e6 || f.Commands != 100 || f.Entries != 25 || f.Parcels != 14 || f.Messages != 28 {
		t.Errorf("read %+v", f)
	}
}

func TestReadOwnProcesses(t *testing.T) {
	p := probe.New([]probe.Node{node(t, 1, 11), node(t, 0, 12)})
	defer p.Close()
	f, err := p.Read(t.Context())
	if err != nil || f.CPU != 5 || f.RSS != 2e6 {
		t.Errorf("read %+v, %v", f, err)
	}
}

func TestReadNobody(t *testing.T) {
	p := probe.New([]probe.Node{{API: "http://127.0.0.1:1"}})
	if _, err := p.Read(t.Context()); err == nil {
		t.Error("nobody answered, and no error")
	}
}

// TestProfile takes a real profile, of work that a handler of net/http does: the stage is the API's.
func TestProfile(t *testing.T) {
	p := probe.New([]probe.Node{node(t, 1, 0)})
	defer p.Close()
	stages, err := p.Profile(t.Context(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if stages["api"] <= 0 {
		t.Errorf("stages %v", stages)
	}
}

func FuzzStages(f *testing.F) {
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		f.Fatal(err)
	}
	pprof.StopCPUProfile()
	f.Add(b.Bytes())
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(raw) }))
		defer s.Close()
		p := probe.New([]probe.Node{{Admin: s.URL}})
		defer p.Close()
		_, _ = p.Profile(t.Context(), time.Second) // no panic
	})
}
