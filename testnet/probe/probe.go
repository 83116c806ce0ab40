// Package probe reads from the nodes what a load wants to know: processor time, memory, log entries and parcels
// from their metrics, and where the processor time goes from their profiles.
package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/testnet/load"
)

// Bounds of answers and waits.
const (
	metricsMax   = 8 << 20
	profileBytes = 64 << 20
	answerWait   = 10 * time.Second
)

// Node is one node to ask.
type Node struct {
	API, Admin string // base addresses
	PID        int    // 0: it shares its process with the others
}

// Nodes asks a federation's nodes. Nodes that are down are left out.
type Nodes struct {
	nodes  []Node
	client *http.Client
}

var _ load.Probe = (*Nodes)(nil)

// New makes a probe of the nodes.
func New(nodes []Node) *Nodes {
	return &Nodes{nodes: nodes, client: &http.Client{Transport: &http.Transport{}}}
}

// Close lets go of the connections.
func (p *Nodes) Close() { p.client.CloseIdleConnections() }

// Read sums the nodes' metrics. What a process counts (processor time, memory) is taken once for each process; log
// entries are the leaders', since followers apply the same ones.
func (p *Nodes) Read(ctx context.Context) (load.Figures, error) {
	var f load.Figures
	var failed error
	shared, answered := false, 0
	for _, n := range p.nodes {
		m, err := p.metrics(ctx, n)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		answered++
		if n.PID != 0 || !shared {
			shared = shared || n.PID == 0
			f.CPU += m["process_cpu_seconds_total"]
			f.RSS += m["process_resident_memory_bytes"]
		}
		f.Parcels += m[`gongji_parcels_total{out}`]
		f.Messages += m[`gongji_messages_total{out}`]
		if m["consensus_leader"] == 1 {
			f.Commands += m["consensus_commands_total"]
			f.Entries += m["consensus_entries_total"]
		}
	}
	if answered == 0 {
		return f, failed
	}
	return f, nil
}

func (p *Nodes) metrics(ctx context.Context, n Node) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	body, err := p.get(ctx, n.API+"/metrics")
	if err != nil {
		return nil, err
	}
	m, err := readMetrics(io.LimitReader(body, metricsMax))
	return m, errors.Join(err, body.Close())
}

// readMetrics sums each name over its labels. What has a direction is told apart by it: name{out}.
func readMetrics(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := s.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		end := max(strings.LastIndexByte(line, ' '), 0)
		series := line[:end]
		value, err := strconv.ParseFloat(strings.TrimSpace(line[end:]), 64)
		if err != nil {
			return nil, fmt.Errorf("probe: a line of the metrics cannot be read: %.80q", line)
		}
		name, labels, _ := strings.Cut(series, "{")
		if _, rest, found := strings.Cut(labels, `direction="`); found {
			direction, _, _ := strings.Cut(rest, `"`)
			name += "{" + direction + "}"
		}
		out[name] += value
	}
	return out, s.Err()
}

// Profile takes a CPU profile of every process for d, and says how many seconds each stage used.
func (p *Nodes) Profile(ctx context.Context, d time.Duration) (map[string]float64, error) {
	ctx, cancel := context.WithTimeout(ctx, d+answerWait)
	defer cancel()
	var asked []Node
	shared := false
	for _, n := range p.nodes {
		if n.PID != 0 || !shared {
			shared = shared || n.PID == 0
			asked = append(asked, n)
		}
	}
	results := make([]map[string]float64, len(asked))
	var group errgroup.Group
	for i, n := range asked {
		group.Go(func() error {
			stages, err := p.profile(ctx, n, d)
			if err != nil && n.PID != 0 && ctx.Err() == nil {
				return nil // a node that is down uses no time
			}
			results[i] = stages
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, stages := range results {
		for stage, seconds := range stages {
			out[stage] += seconds
		}
	}
	return out, nil
}

func (p *Nodes) profile(ctx context.Context, n Node, d time.Duration) (map[string]float64, error) {
	body, err := p.get(ctx, fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", n.Admin, max(1, int(d/time.Second))))
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(body, profileBytes))
	err = errors.Join(err, body.Close())
	if err != nil {
		return nil, err
	}
	return stagesOf(raw)
}

func (p *Nodes) get(ctx context.Context, url string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("probe: %s answers %s", url, answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}
