package api

import (
	"context"
	"net/http"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

func getCommitment(ctx context.Context, f *Face, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	v, err := f.desk.Commitment(ctx)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, v)
}

func getRules(ctx context.Context, f *Face, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	v, err := f.desk.Rules(ctx)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, wholeRules(v))
}

// wholeRules has no null where the page shows a list.
func wholeRules(r client.Rules) client.Rules {
	if r.VisitLimits == nil {
		r.VisitLimits = map[string]string{}
	}
	r.Purposes, r.Relations = listed(r.Purposes), listed(r.Relations)
	return r
}

// listed makes an empty list of none.
func listed[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// home refuses what another region is responsible for.
func (f *Face) home(p client.Person, field string) error {
	if p.Region == f.region {
		return nil
	}
	return &Error{Code: policy.CodeNotHomeRegion, Field: field + "/region", Region: p.Region}
}

func wholeGrant(g client.Grant) client.Grant {
	g.Proofs = listed(g.Proofs)
	return g
}

func (f *Face) grant(ctx context.Context, id string) (client.Grant, error) {
	g, err := f.desk.Grant(ctx, id)
	return wholeGrant(g), err
}

func getGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	if err != nil {
		return answer{}, err
	}
	g, err := f.grant(ctx, id)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, g)
}

func createGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.GrantRequest]{
		read:      grantForm,
		requestID: func(g client.GrantRequest) string { return g.RequestID },
		check:     func(_ context.Context, g client.GrantRequest) error { return f.home(g.Payer, "/payer") },
		run: func(ctx context.Context, key RequestKey, g client.GrantRequest) (any, Written, error) {
			v, w, err := f.desk.CreateGrant(ctx, key, g)
			return wholeGrant(v), w, err
		},
	})
}

func patchGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.GrantPatch]{
		keepNulls: true,
		read:      patchForm,
		requestID: func(p client.GrantPatch) string { return p.RequestID },
		run: func(ctx context.Context, key RequestKey, p client.GrantPatch) (any, Written, error) {
			return onGrant(c, func(id string) (client.Grant, Written, error) { return f.desk.PatchGrant(ctx, key, id, p) })
		},
	})
}

// onGrant runs a write on the grant that the path names.
func onGrant(c *call, run func(id string) (client.Grant, Written, error)) (any, Written, error) {
	id, err := c.pathID()
	if err != nil {
		return nil, Written{}, err
	}
	g, w, err := run(id)
	return wholeGrant(g), w, err
}

func acceptGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	return ofBeneficiary(ctx, f, c, f.desk.AcceptGrant)
}

func renounceGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	return ofBeneficiary(ctx, f, c, f.desk.RenounceGrant)
}

// ofBeneficiary is a write that the beneficiary makes at the own home, where the face cannot read the grant by its id.
func ofBeneficiary(
	ctx context.Context, f *Face, c *call,
	act func(ctx context.Context, key RequestKey, id string) (client.Grant, Written, error),
) (answer, error) {
	return write(ctx, f, c, writing[client.Act]{
		repeats:   true,
		read:      actForm,
		requestID: func(a client.Act) string { return a.RequestID },
		run: func(ctx context.Context, key RequestKey, _ client.Act) (any, Written, error) {
			return onGrant(c, func(id string) (client.Grant, Written, error) { return act(ctx, key, id) })
		},
	})
}

// revokeGrant has its request id in the query, since a DELETE carries no body.
func revokeGrant(ctx context.Context, f *Face, c *call) (answer, error) {
	if err := c.noBody(); err != nil {
		return answer{}, err
	}
	return writeParsed(ctx, f, c, c.query("request_id"), writing[client.Act]{
		read:      actForm,
		requestID: func(a client.Act) string { return a.RequestID },
		run: func(ctx context.Context, key RequestKey, _ client.Act) (any, Written, error) {
			return onGrant(c, func(id string) (client.Grant, Written, error) { return f.desk.RevokeGrant(ctx, key, id) })
		},
	})
}

func setOrder(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.OrderRequest]{
		repeats:   true,
		read:      orderForm,
		requestID: func(o client.OrderRequest) string { return o.RequestID },
		check: func(_ context.Context, o client.OrderRequest) error {
			return f.home(o.Beneficiary, "/beneficiary")
		},
		run: func(ctx context.Context, key RequestKey, o client.OrderRequest) (any, Written, error) {
			v, w, err := f.desk.SetOrder(ctx, key, o)
			v.Grants = listed(v.Grants)
			return v, w, err
		},
	})
}

func searchGrants(ctx context.Context, f *Face, c *call) (answer, error) {
	body, err := parse(c.body, false)
	if err != nil {
		return answer{}, err
	}
	form := f.newForm()
	search := grantSearchForm(form, &body)
	if err := form.failure(); err != nil {
		return answer{}, err
	}
	if err := form.wrongValue(); err != nil {
		return answer{}, err
	}
	if search.Payer != nil {
		if err := f.home(*search.Payer, "/payer"); err != nil {
			return answer{}, err
		}
	}
	return pages(search.Limit, func(limit int) (any, error) {
		search.Limit = limit
		grants, next, err := f.desk.SearchGrants(ctx, search)
		for i := range grants {
			grants[i] = wholeGrant(grants[i])
		}
		return client.GrantList{Grants: listed(grants), NextCursor: next}, err
	})
}
