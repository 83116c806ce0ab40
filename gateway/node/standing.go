package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"gongji/gateway/config"
	"gongji/gateway/internal/auditlog"
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
		n.malformed(w, r, http.StatusBadRequest, err.Error(), "人员文件不正确："+err.Error())
		return
	}
	for _, p := range people.People { // all before the first: a wrong one imports nobody
		if _, err = n.account(p, policy.Year(n.deps.Clock())); err != nil {
			n.malformed(w, r, http.StatusBadRequest, err.Error(), "人员文件不正确："+err.Error())
			return
		}
	}
	batch := 0
	err = n.importPeople(r.Context(), people, "", func(ctx context.Context, c *ledger.OpenAccounts) error {
		batch++
		object := fmt.Sprintf("batch %d: %d of %d persons", batch, len(c.Accounts), len(people.People))
		o, failed := n.propose(ctx, "people_imported", object, c)
		return refusalOf(o, failed)
	})
	if n.answerOutcome(w, r, ledger.Outcome{}, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}

var errStanding = errors.New("node: not a change of a standing")

// adminStanding sets scheme and insured status of one person of the region's Book. Every change and every
// refusal is audited, without the identity.
func (n *Node) adminStanding(w http.ResponseWriter, r *http.Request) {
	change, err := readStanding(w, r)
	var c *ledger.SetStanding
	if err == nil {
		c, err = n.standing(change)
	}
	if err != nil {
		n.adminProblem(w, r, policy.CodeInvalidRequest, "", "")
		return
	}
	o, err := n.propose(r.Context(), "standing_set", c.Person.Masked, c,
		auditlog.Attr{Name: "scheme", Value: change.Scheme}, auditlog.Attr{Name: "status", Value: change.Status},
		auditlog.Attr{Name: "said_by", Value: change.Operator})
	if n.answerOutcome(w, r, o, err) {
		w.WriteHeader(http.StatusNoContent)
	}
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
	n.audited(r.Context(), "index_rebuild", slog.String("operator", callerOf(r.Context()).name),
		slog.Bool("asked", err == nil))
	if n.answerOutcome(w, r, ledger.Outcome{}, err) {
		w.WriteHeader(http.StatusAccepted)
	}
}

// adminIndex tells how far the rebuild has come.
func (n *Node) adminIndex(w http.ResponseWriter, r *http.Request) {
	list, err := n.desk.Rebuilds(r.Context())
	if n.answerOutcome(w, r, ledger.Outcome{}, err) {
		n.writeJSON(w, r, map[string]any{"rebuilds": list})
	}
}
