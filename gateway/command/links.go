package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// links are the commands about the links with other regions.
type links struct {
	List        linkList        `cmd:"" help:"Say how every link stands: numbers, epochs, why nothing new is agreed."`
	Begin       linkBegin       `cmd:"" help:"After a restore from a backup: begin a new epoch with a peer (two persons)."`
	Resume      linkResume      `cmd:"" help:"Go along with a peer that has begun anew (two persons)."`
	Differences linkDifferences `cmd:"" help:"Name every hold, leg and refund that both sides do not know alike."`
	Accept      linkAccept      `cmd:"" help:"Say that the differences are dealt with: new holds again (two persons)."`
}

// linkPeer is one other region.
type linkPeer struct {
	remote
	Peer string `arg:"" help:"Code of the other region, as 310000."`
}

func (l *linkPeer) act(ctx context.Context, p *Program, what, done string) error {
	_, err := l.json(ctx, p, http.MethodPost, "/admin/v1/links/"+url.PathEscape(l.Peer)+"/"+what, nil)
	if err != nil {
		return err // ErrWaits for the second person, but for a region that asks nobody who he is
	}
	return p.print("%s: %s\n", l.Peer, done)
}

type linkBegin struct{ linkPeer }

// Run begins a new epoch.
func (l *linkBegin) Run(ctx context.Context, p *Program) error {
	return l.act(ctx, p, "epoch", "a new epoch has begun; its operators have to resume the link")
}

type linkResume struct{ linkPeer }

// Run goes along with the peer's.
func (l *linkResume) Run(ctx context.Context, p *Program) error {
	return l.act(ctx, p, "resume", "the link goes on in the new epoch; both sides compare")
}

type linkAccept struct{ linkPeer }

// Run accepts what differs.
func (l *linkAccept) Run(ctx context.Context, p *Program) error {
	return l.act(ctx, p, "accept", "the differences are accepted")
}

type linkList struct{ remote }

// Run prints a line for each link.
func (l *linkList) Run(ctx context.Context, p *Program) error {
	data, err := l.ask(ctx, p, http.MethodGet, "/admin/v1/links", nil)
	if err != nil {
		return err
	}
	var all struct {
		Links []struct {
			Region   string `json:"region"`
			Stopped  string `json:"stopped"`
			Waiting  uint64 `json:"waiting"`
			Applied  uint64 `json:"applied"`
			OutEpoch uint64 `json:"out_epoch"`
			InEpoch  uint64 `json:"in_epoch"`
			Reunion  *struct {
				Compared     bool `json:"compared"`
				PeerCompared bool `json:"peer_compared"`
				Differences  int  `json:"differences"`
			} `json:"reunion"`
		} `json:"links"`
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	for _, x := range all.Links {
		state := "goes on"
		if x.Stopped != "" {
			state = "stopped: " + x.Stopped
		}
		line := fmt.Sprintf("%s  %s  out epoch %d, %d waiting; in epoch %d, %d applied", x.Region, state, x.OutEpoch,
			x.Waiting, x.InEpoch, x.Applied)
		if r := x.Reunion; r != nil {
			line += fmt.Sprintf("; compared here %t, there %t; %d differences", r.Compared, r.PeerCompared, r.Differences)
		}
		if err = p.print("%s\n", line); err != nil {
			return err
		}
	}
	return nil
}

type linkDifferences struct{ linkPeer }

// Run prints a line for each difference.
func (l *linkDifferences) Run(ctx context.Context, p *Program) error {
	data, err := l.ask(ctx, p, http.MethodGet, "/admin/v1/links/"+url.PathEscape(l.Peer)+"/differences", nil)
	if err != nil {
		return err
	}
	var all struct {
		Found       int  `json:"found"`
		Compared    bool `json:"compared"`
		Differences []struct {
			Kind        string `json:"kind"`
			ID          string `json:"id"`
			Here        string `json:"here"`
			There       string `json:"there"`
			AmountHere  string `json:"amount_here"`
			AmountThere string `json:"amount_there"`
		} `json:"differences"`
	}
	if err = json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("command: the node's answer: %w", err)
	}
	unknown := func(state, amount string) string {
		if state == "" {
			return "unknown"
		}
		return state + " " + amount
	}
	for _, d := range all.Differences {
		here, there := unknown(d.Here, d.AmountHere), unknown(d.There, d.AmountThere)
		err = p.print("%s %s: here %s, there %s\n", d.Kind, d.ID, here, there)
		if err != nil {
			return err
		}
	}
	return p.print("%d differences; compared: %t\n", all.Found, all.Compared)
}
