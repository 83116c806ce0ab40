package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"gongji/consensus"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// Operators are taken in, locked and removed by security officers; the first ones come from a file.

const (
	operatorMax      = 8 << 10 // bytes of one registration
	operatorsFileMax = 256 << 10
)

func (n *Node) operatorRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "GET /admin/v1/operators", needs: dutyObserve, handler: n.adminOperators},
		{pattern: "POST /admin/v1/operators", needs: dutySecure, two: true, handler: n.adminPutOperator},
		{pattern: "POST /admin/v1/operators/{name}/lock", needs: dutySecure, handler: n.adminLock},
		{pattern: "POST /admin/v1/operators/{name}/remove", needs: dutySecure, handler: n.adminRemove},
		{pattern: "POST /admin/v1/operators/{name}/unlock", needs: dutySecure, two: true, handler: n.adminUnlock},
	}
}

// enrolled is an operator as the operators' file and POST /admin/v1/operators have them.
type enrolled struct {
	Registration operator.Registration `json:"registration"`
	Role         operator.Role         `json:"role"`
}

// shownOperator is an operator as the API shows them.
type shownOperator struct {
	Name        string               `json:"name"`
	Role        operator.Role        `json:"role"`
	State       ledger.OperatorState `json:"state"`
	LockedUntil *time.Time           `json:"locked_until,omitempty"`
	Sessions    int                  `json:"sessions"`
	Changed     time.Time            `json:"changed"`
	By          string               `json:"by,omitempty"`
}

func (n *Node) adminOperators(w http.ResponseWriter, q *http.Request) {
	out := []shownOperator{}
	now := n.deps.Clock()
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		return n.ledger.View(r).Operators(func(o *ledger.OperatorRecord) bool {
			s := shownOperator{
				Name: o.Registration.Name, Role: o.Role, State: o.State, Sessions: len(o.Sessions), Changed: o.Changed, By: o.By,
			}
			if now.Before(o.LockedUntil) {
				s.LockedUntil = &o.LockedUntil
			}
			out = append(out, s)
			return true
		})
	})
	if n.answerOutcome(w, q, ledger.Outcome{}, err) {
		n.writeJSON(w, q, map[string]any{"operators": out})
	}
}

func (n *Node) adminPutOperator(w http.ResponseWriter, q *http.Request) {
	var in enrolled
	if !n.readBody(w, q, operatorMax, &in) {
		return
	}
	if in.Registration.Check(n.sealer.suite) != nil {
		n.adminProblem(w, q, policy.CodeInvalidRequest, "The registration is not signed by its own key, or out of bounds.",
			"登记信息未由本人密钥签名或超出范围。")
		return
	}
	who := callerOf(q.Context())
	n.done(w, q, &ledger.PutOperator{
		Registration: in.Registration, Role: in.Role, By: who.name, Second: who.second,
	})
}

// done proposes a command that writes its own line of the audit log, and answers 204.
func (n *Node) done(w http.ResponseWriter, q *http.Request, c ledger.Command) {
	out, err := n.tell(q.Context(), c)
	if n.answerOutcome(w, q, out, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (n *Node) stateOf(w http.ResponseWriter, q *http.Request, state ledger.OperatorState) {
	who := callerOf(q.Context())
	n.done(w, q, &ledger.StateOperator{Name: q.PathValue("name"), State: state, By: who.name, Second: who.second})
}

func (n *Node) adminLock(w http.ResponseWriter, q *http.Request) {
	n.stateOf(w, q, ledger.OperatorLocked)
}

func (n *Node) adminRemove(w http.ResponseWriter, q *http.Request) {
	n.stateOf(w, q, ledger.OperatorRemoved)
}

func (n *Node) adminUnlock(w http.ResponseWriter, q *http.Request) {
	n.stateOf(w, q, ledger.OperatorActive)
}

// readOfficers reads the operators' file: the first security officers, two at least, each with a good registration.
func (n *Node) readOfficers() ([]enrolled, error) {
	f, err := os.Open(n.cfg.Operators.File)
	if err != nil {
		return nil, fmt.Errorf("node: operators: %w", err)
	}
	var in struct {
		Officers []enrolled `json:"officers"`
	}
	d := json.NewDecoder(io.LimitReader(f, operatorsFileMax))
	d.DisallowUnknownFields()
	if err = errors.Join(d.Decode(&in), f.Close()); err != nil {
		return nil, fmt.Errorf("node: operators: %w", err)
	}
	if len(in.Officers) < 2 { //nolint:mnd // the rule of two persons
		return nil, errors.New("node: operators: the file must name two security officers at least")
	}
	for _, o := range in.Officers {
		if o.Role != operator.RoleSecurity {
			return nil, fmt.Errorf("node: operators: %q is no security officer; the officers take in the others",
				o.Registration.Name)
		}
		if err = o.Registration.Check(n.sealer.suite); err != nil {
			return nil, fmt.Errorf("node: operators: %q: %w", o.Registration.Name, err)
		}
	}
	return in.Officers, nil
}

// openOperators checks the file before the node starts: without operators nobody could look after it.
func (n *Node) openOperators() error {
	n.logins = newLogins()
	if n.cfg.Operators.None {
		return nil
	}
	var err error
	n.officers, err = n.readOfficers()
	return err
}

// bringOfficers brings the officers of the file in while the region has fewer than two. Names that the region has ever
// known are passed over: an officer who was locked or removed does not come back this way.
func (n *Node) bringOfficers(ctx context.Context) error {
	if len(n.officers) == 0 {
		return nil
	}
	active, known := 0, map[string]bool{}
	err := n.log.Read(ctx, func(r consensus.Reader) error {
		return n.ledger.View(r).Operators(func(o *ledger.OperatorRecord) bool {
			known[o.Registration.Name] = true
			if o.Role == operator.RoleSecurity && o.State == ledger.OperatorActive {
				active++
			}
			return true
		})
	})
	for _, o := range n.officers {
		if err != nil || active >= 2 {
			return err
		}
		if known[o.Registration.Name] {
			continue
		}
		err = n.put(ctx, &ledger.PutOperator{Registration: o.Registration, Role: o.Role, First: true})
		active++
	}
	return err
}
