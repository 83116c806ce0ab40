package api

import (
	"context"
	"net/http"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

// mandateForm reads the body of POST /v1/grants/{grant_id}/mandates.
func mandateForm(f *form, body *node) client.MandateRequest {
	o := f.root(body)
	m := client.MandateRequest{
		RequestID: o.requestID(),
		Purpose:   o.word("purpose", optional, func(s string) bool { return policy.Purpose(s).Premium() }),
	}
	_, m.MaxAmount = o.positive("max_amount", optional)
	o.done()
	if m.Purpose == "" {
		m.Purpose = string(policy.PurposeResidentPremium)
	}
	return m
}

// ending is what a DELETE of mandates carries in its query.
type ending struct{ requestID, mandateID string }

func endingForm(f *form, body *node) ending {
	o := f.root(body)
	e := ending{requestID: o.requestID(), mandateID: o.text("mandate_id", optional)}
	o.done()
	if o.has("mandate_id") && !validID(e.mandateID) {
		f.refuseWith(policy.CodeInvalidRequest, "/mandate_id", "This is not an id.", "编号格式不正确。")
	}
	return e
}

func wholeMandate(m client.Mandate) client.Mandate {
	m.Results = listed(m.Results)
	return m
}

func wholeMandates(list client.MandateList) client.MandateList {
	list.Mandates = listed(list.Mandates)
	for i := range list.Mandates {
		list.Mandates[i] = wholeMandate(list.Mandates[i])
	}
	return list
}

func createMandate(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.MandateRequest]{
		read:      mandateForm,
		requestID: func(m client.MandateRequest) string { return m.RequestID },
		run: func(ctx context.Context, key RequestKey, m client.MandateRequest) (any, Written, error) {
			id, err := c.pathID()
			if err != nil {
				return nil, Written{}, err
			}
			v, w, err := f.desk.CreateMandate(ctx, key, id, m)
			return wholeMandate(v), w, err
		},
	})
}

func listMandates(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	if err != nil {
		return answer{}, err
	}
	v, err := f.desk.Mandates(ctx, id)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, wholeMandates(v))
}

// deleteMandates has its ids in the query, since a DELETE carries no body.
func deleteMandates(ctx context.Context, f *Face, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	return writeParsed(ctx, f, c, c.query("request_id", "mandate_id"), writing[ending]{
		read:      endingForm,
		requestID: func(e ending) string { return e.requestID },
		run: func(ctx context.Context, key RequestKey, e ending) (any, Written, error) {
			id, err := c.pathID()
			if err != nil {
				return nil, Written{}, err
			}
			v, w, err := f.desk.EndMandates(ctx, key, id, e.mandateID)
			return wholeMandates(v), w, err
		},
	})
}

// query makes a body of what stands in the query under these names. What stands there twice is of a wrong type: one
// that was passed over would make "all" of an act on one thing.
func (c *call) query(names ...string) *node {
	body := &node{kind: kindObject}
	values := c.r.URL.Query()
	for _, name := range names {
		switch v := values[name]; len(v) {
		case 0:
			continue
		case 1:
			body.items = append(body.items, node{kind: kindString, text: v[0]})
		default:
			body.items = append(body.items, node{kind: kindArray})
		}
		body.keys = append(body.keys, name)
	}
	return body
}
