package node

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"gongji/consensus"
	"gongji/crypto"
	"gongji/gateway/internal/auditlog"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/operator"
	"gongji/gateway/internal/policy"
)

// A login: the node gives a challenge, the operator's key signs it, the passphrase comes with it. The signature is
// looked at first. Whoever lacks the key is refused and never counts against the operator: nobody locks another one out
// by guessing. Whoever has the key has five passphrases.

const (
	challengesMax   = 1024 // that wait; more are refused
	challengeLives  = time.Minute
	loginsPerSecond = 10 // challenges and logins at this node; more are refused
	loginBodyMax    = 8 << 10
	passphrasesMax  = 2 // derivations at the same time: each is some tenths of a second of a core
)

func (n *Node) loginRoutes() []adminRoute {
	return []adminRoute{
		{pattern: "POST /admin/v1/challenges", open: true, handler: n.adminChallenge},
		{pattern: "POST /admin/v1/sessions", open: true, handler: n.adminLogin},
		{pattern: "DELETE /admin/v1/sessions", needs: dutyObserve, handler: n.adminLogout},
		{pattern: "GET /admin/v1/whoami", needs: dutyObserve, handler: n.adminWho},
	}
}

// logins is what a node remembers of those who are about to log in. Safe for concurrent use.
type logins struct {
	mu      sync.Mutex
	waiting map[[operator.ChallengeSize]byte]time.Time // until when
	second  int64
	used    int
	slots   chan struct{}
}

func newLogins() *logins {
	return &logins{
		waiting: map[[operator.ChallengeSize]byte]time.Time{}, slots: make(chan struct{}, passphrasesMax),
	}
}

// admit counts a call against the rate.
func (l *logins) admit(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := now.Unix(); s != l.second {
		l.second, l.used = s, 0
	}
	l.used++
	return l.used <= loginsPerSecond
}

// give remembers a challenge; false when too many wait.
func (l *logins) give(now time.Time, c [operator.ChallengeSize]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) >= challengesMax {
		for k, until := range l.waiting {
			if !now.Before(until) {
				delete(l.waiting, k)
			}
		}
	}
	if len(l.waiting) >= challengesMax {
		return false
	}
	l.waiting[c] = now.Add(challengeLives)
	return true
}

// take takes a challenge back: it counts once.
func (l *logins) take(now time.Time, c []byte) bool {
	if len(c) != operator.ChallengeSize {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [operator.ChallengeSize]byte(c)
	until, ok := l.waiting[key]
	delete(l.waiting, key)
	return ok && now.Before(until)
}

// adminChallenge gives a challenge that counts at this node, once, for a minute.
func (n *Node) adminChallenge(w http.ResponseWriter, q *http.Request) {
	now := n.deps.Clock()
	var c [operator.ChallengeSize]byte
	n.deps.Random(c[:])
	if n.cfg.Operators.None || !n.logins.admit(now) || !n.logins.give(now, c) {
		n.refuseLogin(w, q, "", "rate", policy.CodeRateLimited)
		return
	}
	n.writeJSON(w, q, map[string]any{"challenge": c[:], "node": n.cfg.NodeID, "region": n.cfg.Region})
}

// loginRequest is the body of POST /admin/v1/sessions.
type loginRequest struct {
	Name       string `json:"name"`
	Challenge  []byte `json:"challenge"`
	Signature  []byte `json:"signature"`
	Passphrase string `json:"passphrase"`
}

// adminLogin begins a session.
func (n *Node) adminLogin(w http.ResponseWriter, q *http.Request) {
	now := n.deps.Clock()
	if n.cfg.Operators.None || !n.logins.admit(now) {
		n.refuseLogin(w, q, "", "rate", policy.CodeRateLimited)
		return
	}
	var in loginRequest
	if !n.readBody(w, q, loginBodyMax, &in) {
		return
	}
	if !n.logins.take(now, in.Challenge) {
		n.refuseLogin(w, q, in.Name, "challenge", policy.CodeUnauthenticated)
		return
	}
	o, err := n.operator(q, in.Name)
	switch {
	case err != nil:
		n.adminProblem(w, q, policy.CodeNoLeader, "", "")
		return
	case o == nil || o.State != ledger.OperatorActive:
		n.refuseLogin(w, q, in.Name, "operator", policy.CodeUnauthenticated)
		return
	case !n.signedBy(o, &in):
		n.refuseLogin(w, q, in.Name, "signature", policy.CodeUnauthenticated)
		return
	case now.Before(o.LockedUntil):
		n.refuseLogin(w, q, in.Name, "locked", policy.CodeForbidden)
		return
	}
	good, ok := n.fits(q, o, in.Passphrase)
	if !ok {
		n.refuseLogin(w, q, in.Name, "rate", policy.CodeRateLimited)
		return
	}
	n.beginSession(w, q, o, good)
}

func (n *Node) operator(q *http.Request, name string) (*ledger.OperatorRecord, error) {
	var o *ledger.OperatorRecord
	if !operator.ValidName(name) {
		return nil, nil //nolint:nilnil // there is none of that name
	}
	err := n.log.Read(q.Context(), func(r consensus.Reader) error {
		var err error
		o, err = n.ledger.View(r).Operator(name)
		return err
	})
	return o, err
}

func (n *Node) signedBy(o *ledger.OperatorRecord, in *loginRequest) bool {
	v, err := n.sealer.suite.Verifier(crypto.Public(o.Registration.Public))
	return err == nil &&
		v.Verify(operator.LoginMessage(n.cfg.Region, n.cfg.NodeID, in.Name, in.Challenge), in.Signature) == nil
}

// fits derives the passphrase, a few at a time; ok is false when the caller went away meanwhile.
func (n *Node) fits(q *http.Request, o *ledger.OperatorRecord, passphrase string) (bool, bool) {
	select {
	case n.logins.slots <- struct{}{}:
		defer func() { <-n.logins.slots }()
		return o.Registration.Fits(n.sealer.suite.Hash, []byte(passphrase)), true
	case <-q.Context().Done():
		return false, false
	}
}

// beginSession lets the log decide: it counts the wrong passphrases of all nodes.
func (n *Node) beginSession(w http.ResponseWriter, q *http.Request, o *ledger.OperatorRecord, good bool) {
	token := make([]byte, operator.TokenSize)
	n.deps.Random(token)
	out, err := n.tell(q.Context(), &ledger.Login{
		Name: o.Registration.Name, Good: good, Changed: o.Changed, Session: n.sealer.Hash(token), Node: n.cfg.NodeID,
	})
	if !n.answerOutcome(w, q, out, err) {
		return
	}
	n.writeJSON(w, q, map[string]any{
		"token": base64.RawURLEncoding.EncodeToString(token), "operator": out.ID, "role": o.Role,
		"idle_seconds": int(ledger.SessionIdle / time.Second), "ends_in_seconds": int(ledger.SessionEnds / time.Second),
	})
}

func (n *Node) refuseLogin(w http.ResponseWriter, q *http.Request, name, reason string, code policy.Code) {
	n.audited(q.Context(), "login_refused", slog.String("name", name), slog.String("reason", reason),
		slog.String("result", auditlog.ResultRefused))
	n.adminProblem(w, q, code, "", "")
}

// adminLogout ends the caller's session.
func (n *Node) adminLogout(w http.ResponseWriter, q *http.Request) {
	out, err := n.tell(q.Context(), &ledger.UseSession{Session: callerOf(q.Context()).session, End: true})
	if n.answerOutcome(w, q, out, err) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// adminWho says who the caller is.
func (n *Node) adminWho(w http.ResponseWriter, q *http.Request) {
	who := callerOf(q.Context())
	n.writeJSON(w, q, map[string]any{"operator": who.name, "role": who.role, "region": n.cfg.Region, "node": n.cfg.NodeID})
}
