package golden

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"gongji/gateway/client"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
)

// do plays one command and returns the lines of its answer.
func (w *world) do(line string) ([]string, error) {
	words := strings.Fields(line)
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: an empty command", ErrScript)
	}
	verb, words := words[0], words[1:]
	if run, ok := w.worldly()[verb]; ok {
		return run(words)
	}
	run, ok := w.calls()[verb]
	if !ok {
		return nil, fmt.Errorf("%w: there is no command %q", ErrScript, verb)
	}
	if err := w.begin(); err != nil {
		return nil, err
	}
	a, err := run(words)
	if err != nil {
		return nil, err
	}
	return w.show(a)
}

// calls are the commands that ask the API.
func (w *world) calls() map[string]func([]string) (answer, error) {
	return map[string]func([]string) (answer, error){
		"again":        func([]string) (answer, error) { return w.send(w.last) },
		"commitment":   w.info("/v1/commitment"),
		"public-rules": w.info("/v1/rules"),
		"call":         w.call,

		"grant":   w.makeGrant,
		"grants":  w.searchGrants,
		"read":    func(words []string) (answer, error) { return w.onGrant(words, http.MethodGet, "", nil) },
		"change":  func(words []string) (answer, error) { return w.onGrant(words, http.MethodPatch, "", body{}) },
		"suspend": w.become("suspended"),
		"resume":  w.become("active"),
		"revoke":  w.revoke,
		"accept":  func(words []string) (answer, error) { return w.onGrant(words, http.MethodPost, "/accept", body{}) },
		"renounce": func(words []string) (answer, error) {
			return w.onGrant(words, http.MethodPost, "/renounce", body{})
		},
		"order": w.setOrder,

		"mandate":      func(words []string) (answer, error) { return w.onGrant(words, http.MethodPost, "/mandates", body{}) },
		"mandates":     func(words []string) (answer, error) { return w.onGrant(words, http.MethodGet, "/mandates", nil) },
		"end-mandates": w.endMandates,

		"pay":      func(words []string) (answer, error) { return w.charge(words, "/v1/payments") },
		"quote":    func(words []string) (answer, error) { return w.charge(words, "/v1/quotes") },
		"show":     func(words []string) (answer, error) { return w.onPayment(words, "", nil) },
		"confirm":  func(words []string) (answer, error) { return w.onPayment(words, "/confirm", body{}) },
		"cancel":   func(words []string) (answer, error) { return w.onPayment(words, "/cancel", body{}) },
		"complete": func(words []string) (answer, error) { return w.onPayment(words, "/complete", body{}) },
		"refund": func(words []string) (answer, error) {
			return w.onPayment(words, "/refunds", body{"reason": "overcharged"})
		},
		"refunds":     func(words []string) (answer, error) { return w.onPayment(words, "/refunds", nil) },
		"read-refund": w.readRefund,
		"find":        w.findPayments,

		"quotas":    w.quotas,
		"statement": w.statement,
	}
}

func (w *world) info(path string) func([]string) (answer, error) {
	return func(words []string) (answer, error) {
		region, _ := at(words, firstOf(words))
		return w.get(region, path)
	}
}

func firstOf(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// call asks anything: METHOD PATH at REGION KEY=VALUE, any number of them.
func (w *world) call(words []string) (answer, error) {
	region, words := at(words, "")
	given, rest := pairs(words)
	if len(rest) != 2 {
		return answer{}, fmt.Errorf("%w: call METHOD PATH at REGION", ErrScript)
	}
	var b body
	if len(given) > 0 {
		b = body{}
	}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	return w.ask(region, rest[0], rest[1], b)
}

// makeGrant: PAYER→BENEFICIARY [RELATION], at the payer's home unless it says otherwise.
func (w *world) makeGrant(words []string) (answer, error) {
	if len(words) == 0 {
		return answer{}, fmt.Errorf("%w: grant PAYER→BENEFICIARY", ErrScript)
	}
	payer, beneficiary, err := w.couple(words[0])
	if err != nil {
		return answer{}, err
	}
	region, words := at(words[1:], payer.Region)
	given, rest := pairs(words)
	relation := "parent"
	if len(rest) > 0 {
		relation = rest[0]
	}
	text, err := w.get(region, "/v1/commitment")
	if err != nil {
		return answer{}, err
	}
	var c client.Commitment
	if err := json.Unmarshal(text.body, &c); err != nil {
		return answer{}, err
	}
	b := body{
		"request_id": w.requestID(), "payer": inClear(payer), "beneficiary": inClear(beneficiary), "relation": relation,
		"channel": "national_app", "proofs": []any{}, "valid_from": w.day("today"),
		"consent": body{"version": c.Version, "digest": c.Digest, "signature": "c2lnbmVk"},
	}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	return w.post(region, "/v1/grants", b)
}

// searchGrants: payer=PERSON or beneficiary=PERSON, at the person's home unless it says otherwise.
func (w *world) searchGrants(words []string) (answer, error) {
	region, words := at(words, "")
	given, _ := pairs(words)
	b := body{}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	for _, kv := range given {
		if p := w.people[kv[1]]; p != nil && region == "" {
			region = p.Region
		}
	}
	return w.post(region, "/v1/grants/search", b)
}

// onGrant does something to the grant that is named, or the last one, at the home that its id names.
func (w *world) onGrant(words []string, method, path string, b body) (answer, error) {
	id, words, err := w.names.target(aGrant, words)
	if err != nil {
		return answer{}, err
	}
	region, words := at(words, homeOf(id))
	given, _ := pairs(words)
	if b != nil {
		b["request_id"] = w.requestID()
	}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	return w.ask(region, method, "/v1/grants/"+id+path, b)
}

// homeOf is the region in the id of a grant.
func homeOf(id string) string {
	parts := strings.Split(id, "-")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

func (w *world) become(status string) func([]string) (answer, error) {
	return func(words []string) (answer, error) {
		return w.onGrant(words, http.MethodPatch, "", body{"status": status})
	}
}

func (w *world) revoke(words []string) (answer, error) {
	return w.delete(words, "")
}

func (w *world) endMandates(words []string) (answer, error) {
	return w.delete(words, "/mandates")
}

func (w *world) delete(words []string, path string) (answer, error) {
	id, words, err := w.names.target(aGrant, words)
	if err != nil {
		return answer{}, err
	}
	region, _ := at(words, homeOf(id))
	return w.ask(region, http.MethodDelete, "/v1/grants/"+id+path+"?request_id="+w.requestID(), nil)
}

// setOrder: BENEFICIARY GRANT…, at the beneficiary's home.
func (w *world) setOrder(words []string) (answer, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return answer{}, err
	}
	region, words := at(words[1:], p.Region)
	grants := []any{}
	for _, word := range words {
		id, err := w.names.id(word)
		if err != nil {
			return answer{}, err
		}
		grants = append(grants, id)
	}
	return w.ask(region, http.MethodPut, "/v1/beneficiaries/order",
		body{"request_id": w.requestID(), "beneficiary": inClear(p), "grants": grants})
}

// charge: BENEFICIARY at REGION KIND PURPOSE self_borne=…: a bill of which everything that the own account does not pay
// is asked for.
func (w *world) charge(words []string, path string) (answer, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return answer{}, err
	}
	region, words := at(words[1:], p.Region)
	given, rest := pairs(words)
	if len(rest) != 2 {
		return answer{}, fmt.Errorf("%w: pay BENEFICIARY at REGION KIND PURPOSE KEY=VALUE", ErrScript)
	}
	w.counter++
	b := body{
		"request_id": fmt.Sprintf("request-%d", w.counter), "beneficiary": inClear(p), "purpose": rest[1],
		"credential":  body{"type": "e_credential", "holder_id_number": p.IDNumber},
		"institution": body{"code": strings.ToUpper(rest[0][:1]) + region + "00001", "kind": rest[0]},
		"visit_id":    fmt.Sprintf("visit-%d", w.counter), "visit_date": w.day("today"),
		"bill": body{"id": fmt.Sprintf("bill-%d", w.counter), "fund_paid": "0.00"},
	}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	if bill, ok := b["bill"].(body); ok {
		complete(b, bill)
	}
	return w.post(region, path, b)
}

// complete fills in what follows from the other figures of a bill.
func complete(b, bill body) {
	read := func(key string) (money.Amount, bool) {
		s, ok := bill[key].(string)
		if !ok {
			return 0, key == "own_account_paid"
		}
		v, err := policy.ParseAmount(s, key)
		return v, err == nil
	}
	self, ok1 := read("self_borne")
	fund, ok2 := read("fund_paid")
	own, ok3 := read("own_account_paid")
	if _, given := bill["total"]; !given && ok1 && ok2 {
		bill["total"] = (self + fund).String()
	}
	if _, given := b["amount"]; !given && ok1 && ok3 && own <= self {
		b["amount"] = (self - own).String()
	}
}

// onPayment does something to the payment that is named, or the last one, where its visit was.
func (w *world) onPayment(words []string, path string, b body) (answer, error) {
	id, words, err := w.names.target(aPayment, words)
	if err != nil {
		return answer{}, err
	}
	region, words := at(words, homeOf(id))
	given, rest := pairs(words)
	path = "/v1/payments/" + id + path
	for _, word := range rest {
		path += "?" + word // wait:0
	}
	if b == nil {
		return w.get(region, strings.ReplaceAll(path, ":", "="))
	}
	b["request_id"] = w.requestID()
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	return w.post(region, strings.ReplaceAll(path, ":", "="), b)
}

// readRefund: the refund that is named, or the last one, of the last payment.
func (w *world) readRefund(words []string) (answer, error) {
	id, words, err := w.names.target(aRefund, words)
	if err != nil {
		return answer{}, err
	}
	return w.onPayment(words, "/refunds/"+id, nil)
}

// findPayments: visit_id=…, bill_id=… or request_id=… at REGION.
func (w *world) findPayments(words []string) (answer, error) {
	region, words := at(words, "")
	given, _ := pairs(words)
	b := body{}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return answer{}, err
	}
	return w.send(sent{region: region, method: http.MethodPost, path: "/v1/payments/search", body: raw})
}

func (w *world) quotas(words []string) (answer, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return answer{}, err
	}
	region, _ := at(words, p.Region)
	return w.post(region, "/v1/quotas", body{"person": inClear(p)})
}

// statement: PERSON payer|beneficiary [from=…] [to=…].
func (w *world) statement(words []string) (answer, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return answer{}, err
	}
	region, words := at(words[1:], p.Region)
	given, rest := pairs(words)
	b := body{"person": inClear(p), "role": firstOf(rest), "from": w.day("today"), "to": w.day("today")}
	if err := w.fill(b, given); err != nil {
		return answer{}, err
	}
	return w.post(region, "/v1/statements", b)
}
