package simtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
)

// errGaveUp: a platform has repeated its request long enough.
var errGaveUp = errors.New("the platform gave up")

const (
	patience   = 4 * time.Minute  // of a platform with one request
	askTimeout = 20 * time.Second // of one attempt
)

// reply is what a platform got for one request in the end.
type reply struct {
	status   int
	body     string
	problem  client.Problem
	unknowns int // attempts before, of which nobody knows what came of them
}

// insist asks a region for one thing as api.md says: the same request at any node, until an answer decides.
func (w *world) insist(rng *rand.Rand, r *region, about, method, path string, body any) (reply, error) {
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	var out reply
	began := time.Now()
	for time.Since(began) < patience {
		m := r.machines[rng.IntN(len(r.machines))]
		status, text, err := w.attempt(m, method, path, string(raw))
		out.status, out.body, out.problem = status, text, client.Problem{}
		switch {
		case err != nil:
			out.unknowns++
			w.story.tell("platform", about, "%s %s at %s: %v", method, path, m.id, err)
		case status < http.StatusMultipleChoices:
			if method == http.MethodPost {
				w.happened(r, path)
			}
			return out, nil
		default:
			if err := json.Unmarshal([]byte(text), &out.problem); err != nil {
				return out, fmt.Errorf("answer %d is no problem: %w", status, err)
			}
			w.story.tell("platform", about, "%s %s at %s: %d %s (outcome %s)", method, path, m.id, status, out.problem.Code,
				out.problem.Outcome)
			if status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
				return out, nil
			}
			if out.problem.Outcome != client.OutcomeNone {
				out.unknowns++
			}
		}
		time.Sleep(time.Duration(100+rng.IntN(2500)) * time.Millisecond)
	}
	return out, errGaveUp
}

func (w *world) attempt(m *machine, method, path, body string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return m.ask(ctx, false, method, path, body)
}

// makeGrants has relatives give each other their accounts, before anything breaks.
func (w *world) makeGrants() error {
	var payers, others []*human
	for _, p := range w.people {
		if p.balance > 0 {
			payers = append(payers, p)
		} else {
			others = append(others, p)
		}
	}
	for i, b := range others {
		w.rng.Shuffle(len(payers), func(i, j int) { payers[i], payers[j] = payers[j], payers[i] })
		for k, p := range payers[:4] {
			if err := w.makeGrant(fmt.Sprintf("g-%d-%d", i, k), p, b); err != nil {
				return fmt.Errorf("grant %d of %d: %w", k, i, err)
			}
		}
	}
	if err := w.makeGrant("g-lost", w.lost[0], w.lost[1]); err != nil {
		return err
	}
	time.Sleep(10 * time.Second) // the beneficiaries' homes hear of them
	return nil
}

func (w *world) makeGrant(id string, payer, beneficiary *human) error {
	home := w.region(payer.Region)
	c, err := w.insist(w.rng, home, id, http.MethodGet, "/v1/commitment", nil)
	if err != nil {
		return err
	}
	var text client.Commitment
	if err := json.Unmarshal([]byte(c.body), &text); err != nil {
		return err
	}
	form := client.GrantRequest{
		RequestID: id, Payer: payer.Person, Beneficiary: beneficiary.Person, Relation: "parent", Channel: "national_app",
		Consent:   client.Consent{Version: text.Version, Digest: text.Digest, Signature: "c2ltdWxhdGVk"},
		Proofs:    []client.Proof{},
		ValidFrom: time.Now().Add(8 * time.Hour).Format(time.DateOnly),
	}
	if id != "g-lost" && w.rng.IntN(2) == 0 {
		form.AnnualLimit = yuan(int64(40_000 + w.rng.IntN(120_000)))
	}
	if id != "g-lost" && w.rng.IntN(3) == 0 {
		form.PerPaymentLimit = yuan(int64(8_000 + w.rng.IntN(20_000)))
	}
	got, err := w.insist(w.rng, home, id, http.MethodPost, "/v1/grants", form)
	if err != nil {
		return err
	}
	if got.status != http.StatusCreated && got.status != http.StatusOK {
		return fmt.Errorf("answered %d: %s", got.status, got.body)
	}
	return nil
}

// wish is what a platform does with a payment once it is held.
type wish int

const (
	confirmAll wish = iota
	confirmPart
	cancelIt
	leaveIt
	auto
)

// visit is one payment as a platform lives it.
type visit struct {
	w      *world
	n      int
	region *region
	at     time.Duration
	wish   wish
	wait   time.Duration // between hold and decision
	rng    *rand.Rand
	form   client.PaymentRequest

	id        string
	last      client.Payment  // newest answer
	answered  bool            // last holds one
	refused   string          // code of the problem that answered the first request
	unknowns  int             // attempts of it that got no answer
	confirmed int64           // the amount of a confirm that was answered with the payment; 0: none was
	decided   string          // code of the problem that answered the decision
	took      wish            // of the decision that was answered
	refunds   []client.Refund // that were answered
}

// planVisits draws the payments.
func (w *world) planVisits(count int, during time.Duration) []*visit {
	var sick []*human
	for _, p := range w.people {
		if p.balance == 0 {
			sick = append(sick, p)
		}
	}
	day := time.Now().Add(8 * time.Hour).Format(time.DateOnly)
	visits := make([]*visit, 0, count)
	for n := range count {
		r := w.regions[w.rng.IntN(len(w.regions))]
		who := sick[w.rng.IntN(len(sick))]
		amount := int64(1_000 + w.rng.IntN(30_000))
		within := 10 + w.rng.IntN(80)
		remote, partial := true, w.rng.IntN(5) > 0
		v := &visit{
			w: w, n: n, region: r, at: time.Duration(w.rng.Int64N(int64(during))),
			rng: rand.New(rand.NewPCG(w.seed, uint64(n))),
			form: client.PaymentRequest{
				RequestID: fmt.Sprintf("v-%d", n), Beneficiary: who.Person,
				Credential:  client.Credential{Type: client.CredentialECredential, HolderIDNumber: who.IDNumber, RemoteUse: &remote},
				Institution: client.Institution{Code: "H" + r.code + "00001", Kind: "hospital"},
				Purpose:     "outpatient", VisitID: fmt.Sprintf("visit-%d", n/2), VisitDate: day,
				Bill: client.Bill{
					ID: fmt.Sprintf("bill-%d", n), Total: yuan(amount + 5_000), FundPaid: yuan(5_000), SelfBorne: yuan(amount),
				},
				Amount: yuan(amount), AllowPartial: &partial, DecideWithinSeconds: &within,
			},
		}
		v.plan(within)
		visits = append(visits, v)
	}
	w.planBursts(visits)
	return visits
}

func (v *visit) plan(within int) {
	rng := v.w.rng
	switch roll := rng.IntN(100); {
	case roll < 45:
		v.wish = confirmAll
	case roll < 62:
		v.wish = confirmPart
	case roll < 77:
		v.wish = cancelIt
	case roll < 90:
		v.wish = leaveIt
	default:
		v.wish = auto
		v.form.Confirm = client.ConfirmAuto
	}
	v.wait = time.Duration(rng.IntN(1000)) * time.Millisecond
	switch rng.IntN(4) {
	case 0: // the citizen takes time
		v.wait = time.Duration(rng.IntN(within*1000)) * time.Millisecond
	case 1: // and sometimes too much
		v.wait = time.Duration(within)*time.Second - time.Duration(rng.IntN(3000)-500)*time.Millisecond
	}
}

// planBursts lets some payments come at the same moment for the same person: holds compete for the same accounts.
func (w *world) planBursts(visits []*visit) {
	for i := 0; i+3 < len(visits); i += 8 {
		for _, v := range visits[i+1 : i+3] {
			v.at = visits[i].at + time.Duration(w.rng.IntN(400))*time.Millisecond
			v.form.Beneficiary = visits[i].form.Beneficiary
			v.form.Credential.HolderIDNumber = visits[i].form.Credential.HolderIDNumber
		}
	}
}

// live is the visit from the first request to the last.
func (v *visit) live() {
	time.Sleep(v.at)
	about := v.form.RequestID
	got, err := v.w.insist(v.rng, v.region, about, http.MethodPost, "/v1/payments", v.form)
	v.unknowns = got.unknowns
	if err != nil {
		v.refused = "gave_up"
		v.w.story.tell("platform", about, "%s: %v", about, err)
		return
	}
	if got.problem.Code != "" {
		v.refused = got.problem.Code
		return
	}
	if !v.take(got.body) {
		return
	}
	if v.last.Status == client.PaymentRequested {
		time.Sleep(12 * time.Second)
		v.look()
	}
	if v.last.Status == client.PaymentHeld && v.wish != auto && v.wish != leaveIt {
		time.Sleep(v.wait)
		v.decide()
	}
	v.giveBack()
}

// decide sends the platform's word and remembers the answer.
func (v *visit) decide() {
	path := "/v1/payments/" + v.id
	var body any
	held := fen(v.last.Held)
	amount := held
	switch v.wish {
	case confirmAll:
		body, path = client.Confirmation{RequestID: v.form.RequestID + ".c"}, path+"/confirm?wait=5"
	case confirmPart:
		amount = 1 + v.rng.Int64N(held)
		body = client.Confirmation{RequestID: v.form.RequestID + ".c", Amount: yuan(amount)}
		path += "/confirm?wait=2"
	default:
		body, path = client.Act{RequestID: v.form.RequestID + ".x"}, path+"/cancel"
	}
	got, err := v.w.insist(v.rng, v.region, v.id, http.MethodPost, path, body)
	switch {
	case err != nil:
		v.decided = "gave_up"
	case got.problem.Code != "":
		v.decided = got.problem.Code
	case v.take(got.body):
		v.took = v.wish
		v.decided = "done"
		if v.wish != cancelIt {
			v.confirmed = amount
		}
	}
}

// look reads the payment.
func (v *visit) look() bool {
	got, err := v.w.insist(v.rng, v.region, v.id, http.MethodGet, "/v1/payments/"+v.id, nil)
	if err != nil || got.problem.Code != "" {
		v.w.story.fault("payment %s of %s cannot be read: %v %s", v.id, v.form.RequestID, err, got.problem.Code)
		return false
	}
	return v.take(got.body)
}

// take reads an answer and holds it against the one before.
func (v *visit) take(body string) bool {
	var p client.Payment
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		v.w.story.fault("answer to %s cannot be read: %v", v.form.RequestID, err)
		return false
	}
	v.w.story.tell("platform", p.PaymentID, "%s is payment %s: %s, held %s, captured %s, cash %s%s", v.form.RequestID,
		p.PaymentID, p.Status, p.Held, p.Captured, p.CashDue, legsText(p))
	if v.answered {
		v.compare(p)
	}
	v.id, v.last, v.answered = p.PaymentID, p, true
	return true
}

func legsText(p client.Payment) string {
	var b strings.Builder
	for _, l := range p.Legs {
		fmt.Fprintf(&b, ", %s %s %s", l.HoldID, l.Status, l.Amount)
	}
	for _, d := range p.Declines {
		fmt.Fprintf(&b, ", %s %s", d.Region, d.Code)
	}
	return b.String()
}

// follows says which states may be answered after which (api.md 3).
func follows(before, after string) bool {
	next := map[string][]string{
		client.PaymentRequested: {
			client.PaymentHeld, client.PaymentDeclined, client.PaymentCapturing, client.PaymentCaptured,
			client.PaymentReleasing, client.PaymentReleased, client.PaymentExpired,
		},
		client.PaymentHeld: {
			client.PaymentCapturing, client.PaymentCaptured, client.PaymentReleasing, client.PaymentReleased,
			client.PaymentExpired,
		},
		client.PaymentCapturing: {client.PaymentCaptured},
		client.PaymentReleasing: {client.PaymentReleased, client.PaymentExpired, client.PaymentDeclined},
	}
	return before == after || slices.Contains(next[before], after)
}

// compare holds two answers of one payment against each other: what was promised stays.
func (v *visit) compare(p client.Payment) {
	a := v.last
	switch {
	case p.PaymentID != a.PaymentID:
		v.w.story.fault("%s is payment %s and payment %s", v.form.RequestID, a.PaymentID, p.PaymentID)
	case !follows(a.Status, p.Status):
		v.w.story.fault("payment %s was answered %s and then %s", p.PaymentID, a.Status, p.Status)
	case a.Status != client.PaymentRequested && p.Held != a.Held:
		v.w.story.fault("payment %s held %s and then %s", p.PaymentID, a.Held, p.Held)
	case a.Status == p.Status && p.CashDue != a.CashDue:
		v.w.story.fault("payment %s had %s and then %s cash due", p.PaymentID, a.CashDue, p.CashDue)
	case fen(p.Refunded) < fen(a.Refunded) || fen(p.Refunded) > fen(p.Captured):
		v.w.story.fault("payment %s had %s and then %s of %s back", p.PaymentID, a.Refunded, p.Refunded, p.Captured)
	case a.Status == client.PaymentCaptured && p.Captured != a.Captured:
		v.w.story.fault("payment %s captured %s and then %s", p.PaymentID, a.Captured, p.Captured)
	}
}

// fen reads an amount of the API.
func fen(text string) int64 {
	whole, part, ok := strings.Cut(text, ".")
	var y, f int64
	if _, err := fmt.Sscanf(whole+" "+part, "%d %d", &y, &f); err != nil || !ok || len(part) != 2 {
		return -1
	}
	return 100*y + f
}
