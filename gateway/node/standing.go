package node

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"gongji/gateway/config"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/vault"
)

// standingMax bounds the body of one change, in bytes.
const standingMax = 4096

// standingChange is the body of POST /admin/v1/standing. The words are those of the people file.
type standingChange struct {
	IDNumber string `json:"id_number"`
	Name     string `json:"name"`
	Scheme   string `json:"scheme"` // 310 employee, 390 resident
	Status   string `json:"status"` // 1 normal, 2 suspended, 4 terminated
	Operator string `json:"operator"`
}

// peopleMax bounds the body of an import, in bytes: the persons of a large pool, a quarter of a KiB each.
const peopleMax = 256 << 20

// adminPeople imports a people file again: somebody new gets an account; of somebody who has one, scheme and status
// are set, and the opening of the present year if it was not published yet. Balances of accounts stay as they are. An
// import that was cut off is made again.
func (n *Node) adminPeople(w http.ResponseWriter, r *http.Request) {
	people, err := config.ReadPeople(http.MaxBytesReader(w, r.Body, peopleMax))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, p := range people.People { // all before the first: a wrong one imports nobody
		if _, err = n.account(p, policy.Year(n.deps.Clock())); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	err = n.importPeople(r.Context(), people, "")
	n.audited(r.Context(), "people_imported", slog.Int("persons", len(people.People)), slog.Bool("done", err == nil))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

var errStanding = errors.New("node: not a change of a standing")

// adminStanding sets scheme and insured status of one person of the region's Book. Every change and every
// refusal is audited, without the identity.
func (n *Node) adminStanding(w http.ResponseWriter, r *http.Request) {
	change, err := readStanding(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c, err := n.standing(change)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	o, err := n.vault.Propose(r.Context(), n.log, c)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	n.audited(r.Context(), "standing_set", slog.String("operator", cmp.Or(callerOf(r.Context()).name, change.Operator)),
		slog.String("person", c.Person.Masked), slog.String("scheme", change.Scheme),
		slog.String("status", change.Status), slog.String("refused", string(o.Code)))
	if o.Code != "" {
		http.Error(w, string(o.Code), o.Code.Status())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// readStanding reads the body strictly. No error quotes it.
func readStanding(w http.ResponseWriter, r *http.Request) (standingChange, error) {
	var change standingChange
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, standingMax))
	d.DisallowUnknownFields()
	if d.Decode(&change) != nil || !errors.Is(d.Decode(new(any)), io.EOF) || change.Operator == "" {
		return change, errStanding
	}
	return change, nil
}

func (n *Node) standing(change standingChange) (*ledger.SetStanding, error) {
	who, err := person.Parse(person.Input{
		IDType: person.IDTypeResident, IDNumber: change.IDNumber, Name: change.Name, Region: n.cfg.Region,
	})
	if err != nil {
		return nil, errStanding
	}
	scheme, err := strconv.Atoi(change.Scheme)
	if err != nil || scheme != int(policy.SchemeEmployee) && scheme != int(policy.SchemeResident) {
		return nil, errStanding
	}
	status, err := strconv.Atoi(change.Status)
	if err != nil || status != int(policy.StatusNormal) && status != int(policy.StatusSuspended) &&
		status != int(policy.StatusTerminated) {
		return nil, errStanding
	}
	c := &ledger.SetStanding{Scheme: policy.Scheme(scheme), Status: policy.InsuredStatus(status)}
	c.Person, err = n.vault.Person(vault.Of(who), n.vault.NewNo())
	return c, err
}

// adminRebuild has the index of this region's beneficiaries rebuilt by asking all regions.
func (n *Node) adminRebuild(w http.ResponseWriter, r *http.Request) {
	err := n.desk.RebuildIndex(r.Context())
	n.audited(r.Context(), "index_rebuild", slog.Bool("asked", err == nil))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// adminIndex tells how far the rebuild has come.
func (n *Node) adminIndex(w http.ResponseWriter, r *http.Request) {
	list, err := n.desk.Rebuilds(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	n.writeJSON(w, r, map[string]any{"rebuilds": list})
}
