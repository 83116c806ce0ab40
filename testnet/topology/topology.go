// Package topology says what the testnet's federation looks like, and makes its data folder: three regions
// (api.md section 6) of three nodes each, with ports, keys, certificates, the signed directory,
// synthetic people, institutions and rules.
//
// The people are the same at every start: they come from a fixed seed. Keys and certificates are
// new for each folder. Nothing here starts anything; see testnet/runner.
package topology

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
)

// Sizes of the federation.
const (
	NodesPerRegion = 3
	BasePort       = 18000 // default
	portSpan       = 400   // ports from the base one that are used at most
)

// Purposes of R-14 in the order of api.md section 3.
var purposes = []string{
	"outpatient", "inpatient", "emergency", "chronic", "drug", "device", "consumable",
	"resident_premium", "ltc_premium", "checkup", "vaccine", "supplementary_insurance",
}

var relations = []string{
	"spouse", "parent", "child", "sibling",
	"paternal_grandparent", "maternal_grandparent", "paternal_grandchild", "maternal_grandchild",
}

// Region is one region of the testnet.
type Region struct {
	Code     string
	Name     string // English
	NameZH   string
	Rules    Rules
	prefixes []string // first six digits of the identity numbers that its people have
}

// Rules are the public part of a region's rules, as session.json shows them.
type Rules struct {
	AnnualShare            string            `json:"annual_share"`
	RetainedFloor          string            `json:"retained_floor"`
	VisitLimits            map[string]string `json:"visit_limits"`
	DecideWithinSecondsMax int               `json:"decide_within_seconds_max"`
	Purposes               []string          `json:"purposes"`
	Relations              []string          `json:"relations"`
	Hotline                string            `json:"hotline"`
}

// Institution is one that a region designated.
type Institution struct {
	Code     string   `json:"code"`
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Region   string   `json:"region"`
	Purposes []string `json:"purposes"`
}

// Regions returns the three regions, in the order of their codes.
func Regions() []Region {
	fuzhou := make([]string, 0, len(purposes))
	for _, p := range purposes {
		if p != "checkup" && p != "supplementary_insurance" {
			fuzhou = append(fuzhou, p)
		}
	}
	return []Region{
		{
			Code: "110000", Name: "Beijing", NameZH: "北京",
			Rules:    rules("0.60", "0.00", map[string]string{}, purposes, "010-12393"),
			prefixes: []string{"110101", "110102", "110105", "110106", "110108"},
		},
		{
			Code: "310000", Name: "Shanghai", NameZH: "上海",
			Rules:    rules("0.70", "0.00", map[string]string{"outpatient": "500.00"}, purposes, "021-12393"),
			prefixes: []string{"310101", "310104", "310105", "310106", "310115"},
		},
		{
			Code: "350100", Name: "Fuzhou", NameZH: "福州",
			Rules:    rules("0.70", "2000.00", map[string]string{}, fuzhou, "0591-12393"),
			prefixes: []string{"350102", "350103", "350104", "350105", "350111"},
		},
	}
}

func rules(share, floor string, visit map[string]string, open []string, hotline string) Rules {
	return Rules{
		AnnualShare: share, RetainedFloor: floor, VisitLimits: visit, DecideWithinSecondsMax: 900,
		Purposes: open, Relations: relations, Hotline: hotline,
	}
}

// Institutions returns what a region designates: two hospitals, a pharmacy, a tax office, an insurer. A
// region lists them for every purpose that fits, also those that its own money may not serve:
// another region's may.
func (r Region) Institutions() []Institution {
	hospital := []string{"outpatient", "inpatient", "emergency", "chronic", "checkup", "vaccine"}
	return []Institution{
		{"H" + r.Code + "00001", r.NameZH + "示例第一医院", "hospital", r.Code, hospital},
		{"H" + r.Code + "00002", r.NameZH + "示例第二医院", "hospital", r.Code, hospital[:4]},
		{"I" + r.Code + "00001", r.NameZH + "示例保险公司", "insurer", r.Code, []string{"supplementary_insurance"}},
		{"P" + r.Code + "00001", r.NameZH + "示例药店", "pharmacy", r.Code, []string{"drug", "device", "consumable"}},
		{"T" + r.Code + "00001", r.NameZH + "示例税务局", "tax", r.Code, []string{"resident_premium", "ltc_premium"}},
	}
}

// Node is one node of the federation and where it listens.
type Node struct {
	ID     string
	Region string
	API    string // host:port
	Admin  string // host:port
	Peer   string // host:port
}

// APIURL and AdminURL are the base addresses that clients ask.
func (n Node) APIURL() string { return "http://" + n.API }

// AdminURL is the base address of the operators' listener.
func (n Node) AdminURL() string { return "http://" + n.Admin }

// Nodes returns all nodes, region by region. The node n of region r (both from 1) has its API on
// base + 100 r + 10 n, the operators' listener one above, the peers' two above.
func Nodes(base int) []Node {
	var out []Node
	for i, r := range Regions() {
		for n := 1; n <= NodesPerRegion; n++ {
			port := base + 100*(i+1) + 10*n
			out = append(out, Node{
				ID: fmt.Sprintf("%s-%d", r.Code, n), Region: r.Code,
				API: loopback(port), Admin: loopback(port + 1), Peer: loopback(port + 2),
			})
		}
	}
	return out
}

// Kafka is where the embedded broker listens.
func Kafka(base int) string { return loopback(base) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Topics returns the topics of all ordered pairs of regions.
func Topics() []string {
	var out []string
	for _, from := range Regions() {
		for _, to := range Regions() {
			if from.Code != to.Code {
				out = append(out, "gongji."+from.Code+"."+to.Code)
			}
		}
	}
	return out
}

// Layout names the files of a data folder.
type Layout struct{ Dir string }

// State is the file that marks a folder as a federation's, and says how it was made.
func (l Layout) State() string { return filepath.Join(l.Dir, "testnet.json") }

// Session is session.json.
func (l Layout) Session() string { return filepath.Join(l.Dir, "session.json") }

// LoadPairs is where the load finds who pays for whom.
func (l Layout) LoadPairs() string { return filepath.Join(l.Dir, "load.json") }

// Broker is the embedded broker's folder.
func (l Layout) Broker() string { return filepath.Join(l.Dir, "kafka") }

// Office is the folder of the federation's office: the root's key ring, which no region has.
func (l Layout) Office() string { return filepath.Join(l.Dir, "office") }

// Directory is the federation's signed directory.
func (l Layout) Directory() string { return filepath.Join(l.Dir, "directory.json") }

// Region is a region's folder: keys, people, rules, the cluster's CA.
func (l Layout) Region(code string) string { return filepath.Join(l.Dir, "regions", code) }

// fourth is the description of the member that is in no first directory.
func (l Layout) fourth() string { return filepath.Join(l.Region(Fourth), "member.json") }

// Node is a node's folder; its configuration is Config.
func (l Layout) Node(id string) string { return filepath.Join(l.Dir, "nodes", id) }

// Config is a node's configuration file.
func (l Layout) Config(id string) string { return filepath.Join(l.Node(id), "node.yaml") }

// Log is a node's log file.
func (l Layout) Log(id string) string { return filepath.Join(l.Node(id), "node.log") }
