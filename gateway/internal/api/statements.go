package api

import (
	"context"
	"net/http"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

// statementDaysMax is how many days a statement may span: as long as request ids are kept.
const statementDaysMax = 400

// statementForm reads the body of POST /v1/statements.
func statementForm(f *form, body *node) client.StatementRequest {
	o := f.root(body)
	o.ignore("request_id")
	r := client.StatementRequest{
		Person: o.person("person", required),
		Role: o.word("role", required, func(s string) bool {
			return s == client.RolePayer || s == client.RoleBeneficiary
		}),
	}
	var from, to policy.Date
	from, r.From = o.day("from", required)
	to, r.To = o.day("to", required)
	r.Limit, r.Cursor = o.page()
	r.AllowMissing = *o.flag("allow_missing", false)
	o.done()
	if from.Valid() && to.Valid() && (to < from || to-from >= statementDaysMax) {
		f.refuseWith(policy.CodeInvalidRequest, "/to", "to lies before from, or more than 400 days are asked for.",
			"结束日期早于开始日期，或查询区间超过400天。")
	}
	return r
}

// quotaForm reads the body of POST /v1/quotas.
func quotaForm(f *form, body *node) client.QuotaRequest {
	o := f.root(body)
	o.ignore("request_id")
	r := client.QuotaRequest{Person: o.person("person", required)}
	r.Limit, r.Cursor = o.page()
	o.done()
	return r
}

// question reads the body of a call without any effect, about a person of this region.
func question[T any](f *Face, c *call, read func(*form, *node) T, who func(T) client.Person) (T, error) {
	body, err := parse(c.body, false)
	if err != nil {
		var none T
		return none, err
	}
	form := f.newForm()
	r := read(form, &body)
	if err = form.failure(); err != nil {
		return r, err
	}
	if err = form.wrongValue(); err != nil {
		return r, err
	}
	return r, f.home(who(r), "/person")
}

func statements(ctx context.Context, f *Face, c *call) (answer, error) {
	r, err := question(f, c, statementForm, func(r client.StatementRequest) client.Person { return r.Person })
	if err != nil {
		return answer{}, err
	}
	return pages(r.Limit, func(limit int) (any, error) {
		r.Limit = limit
		s, err := f.desk.Statement(ctx, r)
		s.Entries = listed(s.Entries)
		return s, err
	})
}

func quotas(ctx context.Context, f *Face, c *call) (answer, error) {
	r, err := question(f, c, quotaForm, func(r client.QuotaRequest) client.Person { return r.Person })
	if err != nil {
		return answer{}, err
	}
	q, err := f.desk.Quota(ctx, r)
	if err != nil {
		return answer{}, err
	}
	q.Limits, q.Purposes, q.Grants = listed(q.Limits), listed(q.Purposes), listed(q.Grants)
	return document(http.StatusOK, q)
}
