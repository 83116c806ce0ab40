package simtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// restless says what is still under way, "" if nothing is.
func (b *books) restless() string {
	for _, m := range b.w.machines() {
		if m.running() == nil {
			return m.id + " is down"
		}
	}
	pages := b.readAll()
	for _, r := range b.w.regions {
		p := pages[r.code]
		if p == nil {
			return r.code + " does not answer"
		}
		for id, pay := range p.payments {
			if !final(pay.State) {
				return fmt.Sprintf("payment %s is %s", id, pay.State)
			}
			for _, l := range pay.Legs {
				if !final(l.State) || l.Refunding != 0 {
					return fmt.Sprintf("leg %s is %s, its payment is %s, %d fen are on their way back", l.HoldID, l.State, pay.State,
						l.Refunding)
				}
			}
		}
		for id, h := range p.holds {
			if (!final(h.State) || h.Refunding != 0) && h.State != "not in the log" && h.Origin != ghostRegion {
				return fmt.Sprintf("hold %s is %s in %s", id, h.State, r.code)
			}
		}
	}
	return b.links()
}

// peerState is what GET /admin/v1/status says of a link.
type peerState struct {
	Region   string `json:"region"`
	Acked    uint64 `json:"acked"`
	Waiting  uint64 `json:"waiting"`
	Applied  uint64 `json:"applied"`
	Forked   bool   `json:"forked"`
	NewEpoch uint64 `json:"new_epoch"`
}

// links says which link is not idle, "" if all are: everything that was sent is in the other's log, and each side says
// so.
func (b *books) links() string {
	all := map[string]map[string]peerState{}
	for _, r := range b.w.regions {
		peers, err := b.peers(r)
		if err != nil {
			return fmt.Sprintf("links of %s: %v", r.code, err)
		}
		all[r.code] = peers
	}
	for from, peers := range all {
		for to, p := range peers {
			if p.Forked || p.NewEpoch != 0 {
				return fmt.Sprintf("link %s to %s is forked", to, from)
			}
			if back, ok := all[to]; ok && (p.Waiting != 0 || p.Acked != back[from].Applied) {
				return fmt.Sprintf("link %s to %s: acked %d, waiting %d, applied there %d", from, to, p.Acked, p.Waiting,
					back[from].Applied)
			}
		}
	}
	return ""
}

func (b *books) peers(r *region) (map[string]peerState, error) {
	err := errDown
	for _, m := range r.machines {
		ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
		status, text, askErr := m.ask(ctx, true, http.MethodGet, "/admin/v1/status", "")
		cancel()
		if askErr != nil || status != http.StatusOK {
			err = askErr
			continue
		}
		var got struct {
			Peers []peerState `json:"peers"`
		}
		if err = json.Unmarshal([]byte(text), &got); err != nil {
			continue
		}
		out := map[string]peerState{}
		for _, p := range got.Peers {
			out[p.Region] = p
		}
		return out, nil
	}
	return nil, err
}

// check is the end: every invariant over all regions and nodes.
func (b *books) check() {
	pages := b.readAll()
	if len(pages) < len(b.w.regions) {
		b.w.story.fault("a region does not answer at the end")
		return
	}
	for _, p := range pages {
		b.balances(p)
		b.openHolds(p)
		b.bounds(p)
		b.limits(p)
	}
	b.legsAndHolds(pages)
	b.haunted(pages)
	for _, r := range b.w.regions {
		b.replicas(r, pages[r.code])
	}
}

// replicas is I-6: all nodes of a region say the same, record by record, and their digests at one index are one.
func (b *books) replicas(r *region, want *page) {
	digests := map[string]string{}
	said := ""
	for _, m := range r.machines {
		p, err := b.read(m)
		if err != nil {
			b.w.story.fault("I-6 %s cannot be read: %v", m.id, err)
			continue
		}
		if said == "" {
			said = p.raw
		}
		if p.raw != said {
			b.w.story.fault("I-6 %s has other books than its region", m.id)
		}
		for index, digest := range b.digests(m) {
			if known, ok := digests[index]; ok && known != digest {
				b.w.story.fault("I-6 %s has another state at index %s", m.id, index)
			}
			digests[index] = digest
		}
	}
	if len(digests) == 0 || want == nil {
		b.w.story.fault("I-6 nobody in %s tells a digest", r.code)
	}
}

func (b *books) digests(m *machine) map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	status, text, err := m.ask(ctx, true, http.MethodGet, "/admin/v1/digest", "")
	var got struct {
		Digests map[string]string `json:"digests"`
	}
	if err != nil || status != http.StatusOK || json.Unmarshal([]byte(text), &got) != nil {
		b.w.story.fault("I-6 %s tells no digest: %d %v", m.id, status, err)
	}
	return got.Digests
}
