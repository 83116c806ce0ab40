//go:build integration && unix

package scenario_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gongji/federation/federationtest/realkafka"
	"gongji/gateway/client"
	"gongji/gateway/config"
	"gongji/gateway/marked"
	"gongji/internal/freeport"
	"gongji/testnet/broker"
	"gongji/testnet/topology"
)

// The regions of the marked story: where the bills arise, and where the beneficiary lives.
const (
	markedVisit = "310000"
	markedHome  = "110000"
)

// programs is a federation of gateway processes, each the program that a region runs, started by hand.
type programs struct {
	t      *testing.T
	dir    string
	bin    string
	nodes  []topology.Node
	story  *marked.Story
	hunt   *marked.Hunt
	direct *http.Client // keeps no connection, whose buffers would have what was sent last
	pids   map[string]int
	stop   []func()
	opened map[string]uint64 // region → index of the log at which the marked persons had accounts
}

// prepare makes a federation whose nodes may be dumped, and take snapshots and close archives of evidence early.
func prepare(t *testing.T, kafka string) *programs {
	t.Helper()
	p := &programs{
		t: t, dir: filepath.Join(t.TempDir(), "net"), pids: map[string]int{}, opened: map[string]uint64{},
		direct: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	plan := topology.Plan{BasePort: freeport.Base(t), Kafka: kafka, LoadAccounts: loadPairs}
	if err := topology.Make(p.dir, plan, time.Now()); err != nil {
		t.Fatal(err)
	}
	p.nodes = plan.Nodes()
	for _, n := range p.nodes {
		p.tune(topology.Layout{Dir: p.dir}.Config(n.ID))
	}
	return p
}

// startPrograms builds the gateway, and starts nine of it on a broker. Dead memory is overwritten by the collector
// (GODEBUG clobberfree), so that a dump has what is still held, and not what nobody has overwritten yet.
func startPrograms(t *testing.T, brokers string) *programs {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "gateway")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "gongji/gateway").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := prepare(t, brokers)
	p.bin = bin
	if err := broker.CreateTopics(t.Context(), brokers, topology.Topics()); err != nil {
		t.Fatal(err)
	}
	layout := topology.Layout{Dir: p.dir}
	for _, n := range p.nodes {
		p.start(bin, n, layout)
	}
	return p
}

func (p *programs) tune(path string) {
	p.t.Helper()
	c, err := config.Read(path)
	if err != nil {
		p.t.Fatal(err)
	}
	c.CoreDumps, c.Log.Level, c.Evidence.ArchiveMessages = true, "debug", 4
	c.Tuning.SnapshotEntries, c.Tuning.TrailingEntries = 16, 16
	raw, err := c.Encode()
	if err == nil {
		err = os.WriteFile(path, raw, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *programs) start(bin string, n topology.Node, layout topology.Layout) {
	p.t.Helper()
	out, err := os.Create(layout.Log(n.ID)) // standard output and error
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(bin, "--config", layout.Config(n.ID))
	cmd.Env = append(os.Environ(), "GODEBUG=clobberfree=1")
	cmd.Stdout, cmd.Stderr = out, out
	if err = cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(cmd.Wait(), out.Close()) }()
	p.pids[n.ID] = cmd.Process.Pid
	once := false
	end := func() {
		if once {
			return
		}
		once = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				p.t.Errorf("%s: %v", n.ID, err)
			}
		case <-time.After(endMax):
			_ = cmd.Process.Kill()
			p.t.Errorf("%s did not end: %v", n.ID, <-ended)
		}
	}
	p.stop = append(p.stop, end)
	p.t.Cleanup(end)
}

// tell opens accounts for the marked persons and tells their story.
func (p *programs) tell() {
	p.t.Helper()
	cast := marked.NewCast(markedVisit, markedHome)
	p.hunt = marked.NewHunt(cast.Child.Masked(), cast.Texts()...)
	listening := &http.Client{Transport: &marked.Listener{Hunt: p.hunt, Next: p.direct.Transport}}
	apis := map[string]*client.Client{}
	for _, r := range topology.Regions() {
		var nodes []string
		for _, n := range p.nodes {
			if n.Region == r.Code {
				nodes = append(nodes, n.APIURL())
				p.awaitReady(n)
			}
		}
		c, err := client.New(client.Options{Nodes: nodes, HTTP: listening})
		if err != nil {
			p.t.Fatal(err)
		}
		apis[r.Code] = c
	}
	for _, code := range []string{markedVisit, markedHome} {
		people, err := json.Marshal(config.People{People: cast.People(code)})
		if err != nil {
			p.t.Fatal(err)
		}
		until(p.t, "the marked persons have accounts in "+code, func(ctx context.Context) bool {
			for _, n := range p.of(code) {
				if status, err := p.send(ctx, "http://"+n.Admin, http.MethodPost, "/admin/v1/people", people); err == nil &&
					status == http.StatusNoContent {
					return true
				}
			}
			return false
		})
		p.opened[code] = p.log(p.t.Context(), p.of(code)[0]).AppliedIndex
	}
	p.story = &marked.Story{
		Cast: cast, Visit: apis[markedVisit], Home: apis[markedHome],
		Raw: func(ctx context.Context, method, path, body string) (int, error) {
			return p.send(ctx, p.of(markedVisit)[0].APIURL(), method, path, []byte(body))
		},
	}
	if err := p.story.Tell(p.t.Context()); err != nil {
		p.t.Fatal(err)
	}
}

// of are a region's nodes.
func (p *programs) of(code string) []topology.Node {
	return slices.DeleteFunc(slices.Clone(p.nodes), func(n topology.Node) bool { return n.Region != code })
}

func (p *programs) awaitReady(n topology.Node) {
	p.t.Helper()
	until(p.t, n.ID+" is ready", func(ctx context.Context) bool {
		status, err := p.send(ctx, n.APIURL(), http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	})
}

// send asks a node and hunts in what it answers.
func (p *programs) send(ctx context.Context, base, method, path string, body []byte) (int, error) {
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	answer, err := p.direct.Do(r)
	if err != nil {
		return 0, err
	}
	said, err := io.ReadAll(answer.Body)
	if p.hunt != nil {
		p.hunt.Look("answers", fmt.Sprintf("%s with status %d", method, answer.StatusCode), said)
	}
	return answer.StatusCode, errors.Join(err, answer.Body.Close())
}

// logState is what the operators see of a node's log.
type logState struct {
	AppliedIndex uint64 `json:"applied_index"`
	Snapshot     uint64 `json:"snapshot"`
}

func (p *programs) log(ctx context.Context, n topology.Node) logState {
	p.t.Helper()
	var status struct {
		Log logState `json:"log"`
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Admin+"/admin/v1/status", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := p.direct.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	if err = errors.Join(json.NewDecoder(answer.Body).Decode(&status), answer.Body.Close()); err != nil {
		p.t.Fatal(err)
	}
	return status.Log
}

// Sizes of what overwrites buffers: a request that goes to the leader, and the headers of one that is read.
const (
	longBody   = 60 << 10
	longHeader = 12 << 10
	rinses     = 4
)

// rinse overwrites the buffers of a region's connections: requests stand in them until the next ones come. What the
// nodes hold of persons anywhere else, it leaves.
func (p *programs) rinse(code string) {
	p.t.Helper()
	long := []byte(`{"payer":"` + strings.Repeat("x", longBody) + `"}`)
	for range rinses {
		for _, n := range p.of(code) {
			if _, err := p.send(p.t.Context(), n.APIURL(), http.MethodPost, "/v1/grants/search", long); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	for _, n := range p.of(code) {
		for range rinses { // the collections empty the pools of buffers, all but the one that the request uses
			r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+n.Admin+"/debug/pprof/heap?gc=1", nil)
			if err != nil {
				p.t.Fatal(err)
			}
			r.Header.Set("Padding", strings.Repeat("x", longHeader))
			answer, err := p.direct.Do(r)
			if err != nil {
				p.t.Fatal(err)
			}
			profile, err := io.ReadAll(answer.Body)
			if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK {
				p.t.Fatalf("%s: %s, %v", n.ID, answer.Status, err)
			}
			p.hunt.Look("profiles", n.ID, profile)
		}
	}
}

// dumps is how often a process is dumped in which something clear was found. A leader that stands still for its dump is
// followed by another one, which reads the lanes anew: what is found once was under way, what is found again is held.
const dumps = 3

// keeps hunts in the memory of a serving process, and returns the hunt.
func (p *programs) keeps(n topology.Node) *marked.Hunt {
	p.t.Helper()
	var h *marked.Hunt
	for range dumps {
		p.awaitReady(n)
		p.rinse(n.Region)
		h = marked.NewHunt(p.story.Cast.Child.Masked(), p.story.Cast.Texts()...)
		if p.dump(h, n, filepath.Join(p.t.TempDir(), "core")); h.Clear("core") == 0 {
			break
		}
	}
	return h
}

// dump has gdb dump a serving process, and hunts in the dump.
func (p *programs) dump(h *marked.Hunt, n topology.Node, base string) {
	p.t.Helper()
	pid := strconv.Itoa(p.pids[n.ID])
	if said, err := exec.CommandContext(p.t.Context(), "gcore", "-o", base, pid).CombinedOutput(); err != nil {
		p.t.Fatalf("gcore: %v: %s", err, said)
	}
	path := base + "." + pid
	if err := errors.Join(h.Core("core", n.ID, path, p.heap(path).counts), os.Remove(path)); err != nil {
		p.t.Error(err)
	}
}

// Sizes of the Go heap on Linux: it grows by arenas, wherever the program's start has put it, and hands out pages.
const (
	arenaBits = 26
	pageSize  = 8 << 10
)

// span is a piece of the heap that has objects, and no stack.
type span struct{ begin, end uint64 }

// heap is what a dumped process has of Go's memory.
type heap struct {
	arenas map[uint64]bool // by their first address, shifted
	held   []span
}

// counts reports whether an address is in a span with objects, or outside of the heap.
func (h *heap) counts(address uint64) bool {
	return !h.arenas[address>>arenaBits] || slices.ContainsFunc(h.held, func(s span) bool {
		return s.begin <= address && address < s.end
	})
}

// heap asks the runtime's own records in the dump, by gdb, where objects are. Dead ones in them were overwritten by the
// collector; the dead frames of stacks nobody overwrites.
func (p *programs) heap(core string) *heap {
	p.t.Helper()
	const inUse = 1 // runtime.mSpanInUse
	script := filepath.Join(p.t.TempDir(), "spans.gdb")
	err := os.WriteFile(script, []byte(`set language c
set $all = 'runtime.mheap_'.allspans
set $i = 0
while $i < $all.len
  set $s = $all.array[$i]
  printf "span %lu %lu %u\n", $s.startAddr, $s.npages, $s.state.s.value
  set $i = $i + 1
end
`), 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := exec.CommandContext(p.t.Context(), "gdb", "-nx", "-batch", "-x", script, p.bin, core).Output()
	if err != nil {
		p.t.Fatalf("gdb: %v: %s", err, out)
	}
	h := &heap{arenas: map[uint64]bool{}}
	for line := range strings.Lines(string(out)) {
		var begin, pages, state uint64
		if _, err := fmt.Sscanf(line, "span %d %d %d", &begin, &pages, &state); err != nil || begin == 0 {
			continue // a record without a span
		}
		h.arenas[begin>>arenaBits] = true
		if state == inUse {
			h.held = append(h.held, span{begin, begin + pages*pageSize})
		}
	}
	if len(h.held) < 100 {
		p.t.Fatalf("gdb has found %d spans: %s", len(h.held), out)
	}
	return h
}

// kept waits until a node has sealed an archive of evidence, and a snapshot with the marked persons.
func (p *programs) kept(n topology.Node) {
	p.t.Helper()
	until(p.t, n.ID+" has an archive of evidence", func(context.Context) bool {
		found, err := filepath.Glob(filepath.Join(topology.Layout{Dir: p.dir}.Node(n.ID), "data", "evidence", "*.seal"))
		return err == nil && len(found) > 0
	})
	until(p.t, n.ID+" has a snapshot", func(ctx context.Context) bool {
		return p.log(ctx, n).Snapshot >= p.opened[n.Region]
	})
}

// TestMarkedOnRealKafka (R-28, design 6): nine processes of the program on a real Kafka tell the whole story of marked
// persons. No clear number or name is in what a serving process still holds in its memory, in anything on the nodes'
// disks, in what they printed, or in what the broker has on its disk.
func TestMarkedOnRealKafka(t *testing.T) {
	kafka, err := realkafka.Start(t.Context(), filepath.Join(t.TempDir(), "kafka"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kafka.Kill(); err != nil {
			t.Error(err)
		}
	})
	p := startPrograms(t, kafka.Addr())
	p.tell()
	for _, n := range slices.Concat(p.of(markedVisit), p.of(markedHome)) {
		p.kept(n)
	}
	cores := 0
	var held []string
	for _, n := range slices.Concat(p.of(markedVisit), p.of(markedHome)) {
		h := p.keeps(n)
		cores += h.Found("core")
		held = append(held, h.Findings()...)
	}
	if cores == 0 {
		t.Error("not even the masked number is in the dumps")
	}
	for _, end := range p.stop {
		end()
	}
	if err := kafka.Kill(); err != nil {
		t.Error(err)
	}
	if err := p.hunt.Files(p.dir); err != nil {
		t.Fatal(err)
	}
	lanes := marked.NewHunt(markedVisit+markedHome, p.story.Cast.Texts()...) // a parcel's header names both
	if err := lanes.Files(filepath.Dir(kafka.Log())); err != nil {
		t.Fatal(err)
	}
	for _, found := range slices.Concat(held, p.hunt.Findings(), lanes.Findings()) {
		t.Error(found)
	}
	for _, place := range []string{"log", "state", "snapshots", "tables", "answers", "evidence"} {
		t.Logf("%s: the masked number is in %d pieces", place, p.hunt.Found(place))
		if p.hunt.Found(place) == 0 && place != "evidence" { // archives have persons by their digests only
			t.Errorf("not even the masked number is in the %s", place)
		}
	}
	if lanes.Found("files") == 0 {
		t.Errorf("no parcel stands on the broker's disk: %d pieces", lanes.Looked())
	}
}

// TestMarkedOnEmbeddedBroker: the same on the testnet's own broker, whose topics stand in the data folder.
func TestMarkedOnEmbeddedBroker(t *testing.T) {
	p := prepare(t, "")
	r := up(t, p.dir)
	p.tell()
	for _, n := range slices.Concat(p.of(markedVisit), p.of(markedHome)) {
		p.kept(n)
	}
	r.end(t)
	if err := p.hunt.Files(p.dir); err != nil {
		t.Fatal(err)
	}
	lanes := marked.NewHunt(markedVisit+markedHome, p.story.Cast.Texts()...)
	if err := lanes.Files(topology.Layout{Dir: p.dir}.Broker()); err != nil {
		t.Fatal(err)
	}
	p.hunt.Look("printed", "the testnet", []byte(r.output.String()))
	for _, found := range append(p.hunt.Findings(), lanes.Findings()...) {
		t.Error(found)
	}
	if lanes.Found("files") == 0 || p.hunt.Found("state") == 0 {
		t.Errorf("%d parcels, %d records with the masked number", lanes.Found("files"), p.hunt.Found("state"))
	}
}
