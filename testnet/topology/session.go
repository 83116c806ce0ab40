package topology

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Session is session.json: where everything is, for programs that test the federation from outside.
type Session struct {
	Kafka        []string        `json:"kafka"`
	Regions      []SessionRegion `json:"regions"`
	People       []Person        `json:"people"`
	Institutions []Institution   `json:"institutions"`
}

// SessionRegion is one region of a session.
type SessionRegion struct {
	Code  string        `json:"code"`
	Nodes []SessionNode `json:"nodes"`
	Rules Rules         `json:"rules"`
}

// SessionNode is one node of a session; PID is its own process, or 0.
type SessionNode struct {
	ID    string `json:"id"`
	API   string `json:"api"`
	Admin string `json:"admin"`
	PID   int    `json:"pid"`
}

// NewSession describes the plan's federation; pid tells a node's own process, or 0.
func NewSession(plan Plan, pid func(node string) int) Session {
	s := Session{Kafka: plan.Brokers(), People: People()}
	for _, r := range Regions() {
		region := SessionRegion{Code: r.Code, Rules: r.Rules}
		for _, n := range plan.Nodes() {
			if n.Region == r.Code {
				region.Nodes = append(region.Nodes, SessionNode{ID: n.ID, API: n.APIURL(), Admin: n.AdminURL(), PID: pid(n.ID)})
			}
		}
		s.Regions = append(s.Regions, region)
		s.Institutions = append(s.Institutions, r.Institutions()...)
	}
	return s
}

// Write replaces the file whole.
func (s Session) Write(path string) error { return writeJSON(path, s) }

// ReadSession reads the session of a data folder.
func ReadSession(dir string) (Session, error) {
	var s Session
	err := readJSON(Layout{dir}.Session(), &s)
	return s, err
}

// ReadLoadPairs reads who pays for whom in the load.
func ReadLoadPairs(dir string) ([]Pair, error) {
	var pairs []Pair
	err := readJSON(Layout{dir}.LoadPairs(), &pairs)
	return pairs, err
}

// Region returns the region of that code.
func (s Session) Region(code string) (SessionRegion, bool) {
	for _, r := range s.Regions {
		if r.Code == code {
			return r, true
		}
	}
	return SessionRegion{}, false
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return fmt.Errorf("no running testnet there: %w", err)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("topology: %s: %w", path, err)
	}
	return nil
}
