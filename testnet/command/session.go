package command

import (
	"fmt"
	"io"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/check"
	"gongji/testnet/topology"
)

// clients makes a client for each region; the addresses of a session are always good.
func clients(session topology.Session) map[string]*client.Client {
	out := map[string]*client.Client{}
	for _, r := range session.Regions {
		var nodes []string
		for _, n := range r.Nodes {
			nodes = append(nodes, n.API)
		}
		c, err := client.New(client.Options{Nodes: nodes})
		if err == nil {
			out[r.Code] = c
		}
	}
	return out
}

func regions(session topology.Session) []check.Region {
	var out []check.Region
	for _, r := range session.Regions {
		region := check.Region{Code: r.Code}
		for _, n := range r.Nodes {
			region.Nodes = append(region.Nodes, n.ID)
		}
		out = append(out, region)
	}
	return out
}

func source(session topology.Session) *check.HTTP {
	admin := map[string]string{}
	for _, r := range session.Regions {
		for _, n := range r.Nodes {
			admin[n.ID] = n.Admin
		}
	}
	return check.NewHTTP(regions(session), admin)
}

func federation(session topology.Session, s check.Source) check.Federation {
	return check.Federation{Regions: regions(session), Source: s, Now: time.Now}
}

// goOn says what one can try next.
func goOn(w io.Writer, session topology.Session) error {
	visit, ok := session.Region("310000")
	if !ok || len(visit.Nodes) == 0 {
		return nil
	}
	api := visit.Nodes[0].API
	_, err := fmt.Fprintf(w, `
Go on 继续 (README.md has more):
  curl -s %[1]s/v1/rules
  curl -s %[1]s/v1/commitment
  curl -s -X POST %[1]s/v1/payments/search -d '{"visit_id":"story"}'
  curl -s %[1]s/openapi.json
  go run ./testnet check        go run ./testnet books
  go run ./testnet load --rate max --duration 30s --report load.json
Ctrl-C ends the federation.
`, api)
	return err
}
