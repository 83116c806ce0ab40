package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gongji/federation"
	"gongji/testnet/topology"
)

// Bounds of one question to a node.
const (
	askWait   = 5 * time.Second
	answerMax = 64 << 20 // bytes
)

// Watch reads what the regions' nodes tell anybody who may ask: audit logs and counters. For one goroutine.
type Watch struct {
	regions map[federation.Region][]topology.SessionNode
	next    map[federation.Region]uint64 // number of the first line of the audit log that was not read
}

// NewWatch watches the nodes of a session.
func NewWatch(s topology.Session) *Watch {
	w := &Watch{map[federation.Region][]topology.SessionNode{}, map[federation.Region]uint64{}}
	for _, r := range s.Regions {
		w.regions[federation.Region(r.Code)] = r.Nodes
	}
	return w
}

// Line is a line of an audit log.
type Line struct {
	Number uint64 `json:"number"`
	Event  string `json:"event"`
	Count  int    `json:"count"`
	Attrs  []Attr `json:"attrs"`
}

// Attr is a word of a Line.
type Attr struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Of is the value of a word, empty if it is not there.
func (l *Line) Of(name string) string {
	for _, a := range l.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// tells reports whether the line is about that attack.
func (l *Line) tells(a *Attack) bool {
	reason := l.Of("reason")
	if a.Event == ticketEvent && !strings.Contains(reason, a.Reason) || a.Event != ticketEvent && reason != a.Reason {
		return false
	}
	return l.Event == a.Event && l.Of("peer") == string(a.Peer) && (a.Attr == "" || l.Of(a.Attr) == a.Value)
}

// News are the lines of a region's audit log since the last call.
func (w *Watch) News(ctx context.Context, at federation.Region) ([]Line, error) {
	from := max(w.next[at], 1)
	var failed error
	for _, n := range w.regions[at] {
		body, err := get(ctx, n.Admin+"/admin/v1/audit/log?from="+strconv.FormatUint(from, 10))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		lines, err := readLines(bytes.NewReader(body))
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if len(lines) > 0 {
			w.next[at] = lines[len(lines)-1].Number + 1
		}
		return lines, nil
	}
	return nil, fmt.Errorf("hostile: the audit log of %s: %w", at, failed)
}

// readLines reads an audit log as `gateway audit export` writes it.
func readLines(r io.Reader) ([]Line, error) {
	var out []Line
	for d := json.NewDecoder(r); ; {
		var row struct {
			Entry Line `json:"entry"`
		}
		switch err := d.Decode(&row); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, err
		case row.Entry.Number > 0: // the others are the header and checkpoints
			out = append(out, row.Entry)
		}
	}
}

// Counters are a region's counters by name and labels as they are written, summed over its nodes.
func (w *Watch) Counters(ctx context.Context, at federation.Region) (map[string]float64, error) {
	out := map[string]float64{}
	for _, n := range w.regions[at] {
		body, err := get(ctx, n.API+"/metrics")
		if err != nil {
			return nil, fmt.Errorf("hostile: the counters of %s: %w", n.ID, err)
		}
		for line := range strings.Lines(string(body)) {
			name, value := counter(strings.TrimSuffix(line, "\n"))
			out[name] += value
		}
	}
	return out, nil
}

// counter reads one line of a node's metrics: the name with its labels, and the value.
func counter(line string) (string, float64) {
	name, text, ok := strings.Cut(line, "} ")
	if ok {
		name += "}"
	} else {
		name, text, _ = strings.Cut(line, " ")
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "", 0 // a comment
	}
	return name, value
}

// series is the counter that an attack must move.
func (a *Attack) series() string {
	if a.Counter == ticketsRefused {
		return fmt.Sprintf(`%s{peer="%s"}`, a.Counter, a.Peer)
	}
	return fmt.Sprintf(`%s{peer="%s",reason="%s"}`, a.Counter, a.Peer, a.Reason)
}

// Read is how many records a region has read of the member's lane.
func (w *Watch) Read(ctx context.Context, at, from federation.Region) (float64, error) {
	counters, err := w.Counters(ctx, at)
	sum := counters[fmt.Sprintf(`gongji_parcels_total{direction="in",peer="%s"}`, from)]
	for name, v := range counters {
		if strings.HasPrefix(name, fmt.Sprintf(`%s{peer="%s",`, parcelsRefused, from)) {
			sum += v
		}
	}
	return sum, err
}

// get asks a node over plain HTTP.
func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, answerMax))
	if answer.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", url, answer.Status))
	}
	return body, errors.Join(err, answer.Body.Close())
}
