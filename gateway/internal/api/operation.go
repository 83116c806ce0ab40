package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Operation is one call of the API.
type Operation struct {
	ID     string // as in the OpenAPI document
	Method string
	Path   string // with {grant_id}, {payment_id}, {refund_id}
	Write  bool   // has an effect, and needs the role for it
}

// operation is an Operation with what answers it on the leader.
type operation struct {
	Operation

	hotline bool          // its 4xx tell where to call
	takes   time.Duration // at most, at the leader
	run     func(ctx context.Context, f *Face, c *call) (answer, error)
}

func (o *operation) pattern() string { return o.Method + " " + o.Path }

// Times that the operations may take. A payment waits 10 s for its holds and asks the beneficiary's home before.
const (
	readTakes    = 10 * time.Second
	writeTakes   = 15 * time.Second
	paymentTakes = 25 * time.Second
	forwardSlack = 2 * time.Second // what the way to the leader adds
)

// within is how long the operation may take with its query.
func (o *operation) within(query url.Values) time.Duration {
	return o.takes + waitForm(&form{}, query["wait"])
}

// longest is within for a request in either form: one of the national convention has its wait inside.
func (o *operation) longest(r *http.Request) time.Duration {
	if isNational(r) {
		return o.takes + waitMax*time.Second
	}
	return o.within(r.URL.Query())
}

// Operations are all calls, also those that are not built yet, in the order of api.md.
func Operations() []Operation {
	ops := operations()
	list := make([]Operation, len(ops))
	for i := range ops {
		list[i] = ops[i].Operation
	}
	return list
}

func operations() []operation {
	read := func(id, method, path string, run func(context.Context, *Face, *call) (answer, error)) operation {
		return operation{Operation: Operation{ID: id, Method: method, Path: path}, takes: readTakes, run: run}
	}
	write := func(id, method, path string, run func(context.Context, *Face, *call) (answer, error)) operation {
		return operation{
			Operation: Operation{ID: id, Method: method, Path: path, Write: true}, takes: writeTakes, run: run,
		}
	}
	const get, post, grant, payment = http.MethodGet, http.MethodPost, "/v1/grants/{grant_id}", "/v1/payments/{payment_id}"
	createGrant := write("createGrant", post, "/v1/grants", createGrant)
	createGrant.hotline = true
	createPayment := write("createPayment", post, "/v1/payments", createPayment)
	createPayment.takes = paymentTakes
	completePayment := write("completePayment", post, payment+"/complete", completePayment)
	completePayment.takes = paymentTakes
	return []operation{
		read("getCommitment", get, "/v1/commitment", getCommitment),
		read("getRules", get, "/v1/rules", getRules),
		createGrant,
		read("getGrant", get, grant, getGrant),
		read("searchGrants", post, "/v1/grants/search", searchGrants),
		write("patchGrant", http.MethodPatch, grant, patchGrant),
		write("revokeGrant", http.MethodDelete, grant, revokeGrant),
		write("acceptGrant", post, grant+"/accept", acceptGrant),
		write("renounceGrant", post, grant+"/renounce", renounceGrant),
		write("setOrder", http.MethodPut, "/v1/beneficiaries/order", setOrder),
		write("createMandate", post, grant+"/mandates", createMandate),
		read("listMandates", get, grant+"/mandates", listMandates),
		write("deleteMandates", http.MethodDelete, grant+"/mandates", deleteMandates),
		createPayment,
		read("quote", post, "/v1/quotes", quote),
		read("getPayment", get, payment, getPayment),
		read("searchPayments", post, "/v1/payments/search", searchPayments),
		write("confirmPayment", post, payment+"/confirm", confirmPayment),
		write("cancelPayment", post, payment+"/cancel", cancelPayment),
		write("createRefund", post, payment+"/refunds", createRefund),
		read("listRefunds", get, payment+"/refunds", listRefunds),
		read("getRefund", get, payment+"/refunds/{refund_id}", getRefund),
		completePayment,
		read("getTrace", get, payment+"/trace", getTrace),
		read("getEvidence", get, payment+"/evidence", getEvidence),
		read("quotas", post, "/v1/quotas", quotas),
		read("statements", post, "/v1/statements", statements),
	}
}
