package api

import (
	"context"
	"net/http"
	"strings"

	"gongji/gateway/client"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/person"
	"gongji/gateway/internal/policy"
)

// refunding is a refund's form with the amount read.
type refunding struct {
	client.RefundRequest

	amount money.Amount
}

// refundForm reads the body of POST …/refunds. The reason is kept in the clear, so it may name nobody: what holds an
// identity number is refused.
func refundForm(f *form, body *node) refunding {
	o := f.root(body)
	r := refunding{RefundRequest: client.RefundRequest{RequestID: o.requestID()}}
	r.amount, r.Amount = o.positive("amount", required)
	r.Reason = o.word("reason", required, func(s string) bool { return printable(s, client.RefundReasonMax) })
	o.done()
	if namesNumber(r.Reason) {
		f.refuseWith(policy.CodeInvalidRequest, "/reason", "The reason must not hold an identity number.",
			"退费原因中不得包含公民身份号码。")
	}
	return r
}

// numberLength is that of an identity number.
const numberLength = 18

// namesNumber reports whether an identity number stands in a text.
func namesNumber(s string) bool {
	for i := 0; i+numberLength <= len(s); i++ {
		if _, err := person.ParseNumber(s[i : i+numberLength]); err == nil {
			return true
		}
	}
	return false
}

func createRefund(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[refunding]{
		read:      refundForm,
		requestID: func(r refunding) string { return r.RequestID },
		run: func(ctx context.Context, key RequestKey, r refunding) (any, Written, error) {
			id, err := c.pathID()
			if err != nil {
				return nil, Written{}, err
			}
			v, w, err := f.desk.CreateRefund(ctx, key, id, r.RefundRequest, r.amount)
			return wholeRefund(v), w, err
		},
	})
}

// wholeRefund has no null where the page shows a list.
func wholeRefund(r client.Refund) client.Refund {
	r.Legs = listed(r.Legs)
	return r
}

func (f *Face) refund(ctx context.Context, id string) (client.Refund, error) {
	r, err := f.desk.Refund(ctx, id)
	return wholeRefund(r), err
}

func getRefund(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	if err != nil {
		return answer{}, err
	}
	segments := strings.Split(c.r.URL.Path, "/")
	refundID := segments[len(segments)-1]
	if !validID(refundID) {
		return answer{}, &Error{Code: policy.CodeNotFound}
	}
	r, err := f.refund(ctx, refundID)
	if err != nil {
		return answer{}, err
	}
	if r.PaymentID != id {
		return answer{}, &Error{Code: policy.CodeNotFound}
	}
	return document(http.StatusOK, r)
}

func listRefunds(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	if err != nil {
		return answer{}, err
	}
	list, err := f.desk.Refunds(ctx, id)
	if err != nil {
		return answer{}, err
	}
	for i := range list {
		list[i] = wholeRefund(list[i])
	}
	return document(http.StatusOK, client.RefundList{Refunds: listed(list)})
}
