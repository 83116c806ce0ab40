package check

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"gongji/gateway/client"
)

// Bounds of what a node is asked.
const (
	lineMax     = 1 << 20          // bytes of one line of an audit
	digestMax   = 4 << 20          // bytes of an answer with digests
	digestWait  = 5 * time.Second  // for one node's digests
	auditWait   = 10 * time.Minute // for one region's whole audit
	firstByteIn = 30 * time.Second // a node that does not begin to answer is passed over
)

// HTTP is the Source that asks the operators' listeners of the nodes.
type HTTP struct {
	client *http.Client
	admin  map[string]string   // base address by node
	nodes  map[string][]string // by region
}

var _ Source = (*HTTP)(nil)

// NewHTTP makes a Source. admin has the base address of each node's operators' listener.
func NewHTTP(regions []Region, admin map[string]string) *HTTP {
	h := &HTTP{
		client: &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: firstByteIn}},
		admin:  admin, nodes: map[string][]string{},
	}
	for _, r := range regions {
		h.nodes[r.Code] = r.Nodes
	}
	return h
}

// Close lets go of the connections.
func (h *HTTP) Close() { h.client.CloseIdleConnections() }

// Audit asks the region's nodes, one after another, until one answers. Any will do: an audit is linearizable.
func (h *HTTP) Audit(ctx context.Context, region string, visit func(line client.AuditLine) error) error {
	ctx, cancel := context.WithTimeout(ctx, auditWait)
	defer cancel()
	var failed error
	for _, node := range h.nodes[region] {
		body, err := h.get(ctx, node, "/admin/v1/audit")
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		// From here on lines have been visited: what fails now cannot be begun again with another node.
		return errors.Join(readLines(body, visit), body.Close())
	}
	return failed
}

// readLines reads one JSON document a line; a line may have lineMax bytes.
func readLines(r io.Reader, visit func(line client.AuditLine) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 64<<10), lineMax)
	for s.Scan() {
		var line client.AuditLine
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return fmt.Errorf("check: a line of the audit: %w", err)
		}
		if err := visit(line); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("check: reading the audit: %w", err)
	}
	return nil
}

// Digests asks one node what it remembers.
func (h *HTTP) Digests(ctx context.Context, node string) (map[uint64]string, error) {
	ctx, cancel := context.WithTimeout(ctx, digestWait)
	defer cancel()
	body, err := h.get(ctx, node, "/admin/v1/digest")
	if err != nil {
		return nil, err
	}
	digests, err := readDigests(body)
	return digests, errors.Join(err, body.Close())
}

func readDigests(r io.Reader) (map[uint64]string, error) {
	var answer struct {
		Digests map[string]string `json:"digests"`
	}
	if err := json.NewDecoder(io.LimitReader(r, digestMax)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("check: digests: %w", err)
	}
	out := make(map[uint64]string, len(answer.Digests))
	for text, digest := range answer.Digests {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("check: digests: %w", err)
		}
		out[index] = digest
	}
	return out, nil
}

func (h *HTTP) get(ctx context.Context, node, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, h.admin[node]+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("check: %s answers %s to %s", node, answer.Status, path)
		return nil, errors.Join(err, answer.Body.Close())
	}
	return answer.Body, nil
}
