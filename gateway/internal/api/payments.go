package api

import (
	"context"
	"net/http"

	"gongji/gateway/client"
	"gongji/gateway/internal/money"
)

// wholePayment has no null where the page shows a list.
func wholePayment(p client.Payment) client.Payment {
	p.Legs, p.Declines = listed(p.Legs), listed(p.Declines)
	return p
}

func (f *Face) payment(ctx context.Context, id string) (client.Payment, error) {
	p, err := f.desk.Payment(ctx, id)
	return wholePayment(p), err
}

func getPayment(ctx context.Context, f *Face, c *call) (answer, error) {
	id, err := c.pathID()
	if err == nil {
		err = c.noBody()
	}
	if err != nil {
		return answer{}, err
	}
	p, err := f.payment(ctx, id)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, p)
}

// charged is a payment's form with what its checks compute with.
type charged struct {
	client.PaymentRequest

	charge charge
}

// chargeable holds a payment against the region's longest time to decide, the last of the 400s, and against what is
// always refused.
func (f *Face) chargeable(ctx context.Context, p charged) error {
	if err := f.inTime(ctx, p.DecideWithinSeconds); err != nil {
		return err
	}
	return p.charge.forbidden(p.PaymentRequest)
}

// inTime holds a time to decide against the region's longest.
func (f *Face) inTime(ctx context.Context, seconds *int) error {
	if seconds == nil {
		return nil
	}
	rules, err := f.desk.Rules(ctx)
	if err != nil {
		return err
	}
	if *seconds > rules.DecideWithinSecondsMax {
		return malformed("/decide_within_seconds", "The number is out of range.", "数值超出范围。")
	}
	return nil
}

func createPayment(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[charged]{
		read: func(form *form, body *node) charged {
			r, charge := paymentForm(form, body, false)
			return charged{r, charge}
		},
		requestID: func(p charged) string { return p.RequestID },
		check:     f.chargeable,
		run: func(ctx context.Context, key RequestKey, p charged) (any, Written, error) {
			v, w, err := f.desk.CreatePayment(ctx, key, p.PaymentRequest)
			return wholePayment(v), w, err
		},
	})
}

func quote(ctx context.Context, f *Face, c *call) (answer, error) {
	body, err := parse(c.body, false)
	if err != nil {
		return answer{}, err
	}
	form := f.newForm()
	r, charge := paymentForm(form, &body, true)
	if err = form.failure(); err != nil {
		return answer{}, err
	}
	if err = form.wrongValue(); err != nil {
		return answer{}, err
	}
	if err = f.chargeable(ctx, charged{r, charge}); err != nil {
		return answer{}, err
	}
	p, err := f.desk.Quote(ctx, r)
	if err != nil {
		return answer{}, err
	}
	return document(http.StatusOK, wholePayment(p))
}

// confirming is a confirm's form with the amount read.
type confirming struct {
	client.Confirmation

	amount *money.Amount
}

func confirmPayment(ctx context.Context, f *Face, c *call) (answer, error) {
	query := &form{}
	wait := waitForm(query, c.r.URL.Query()["wait"])
	if err := query.failure(); err != nil {
		return answer{}, err
	}
	return write(ctx, f, c, writing[confirming]{
		read: func(form *form, body *node) confirming {
			r, amount := confirmForm(form, body)
			return confirming{r, amount}
		},
		requestID: func(r confirming) string { return r.RequestID },
		run: func(ctx context.Context, key RequestKey, r confirming) (any, Written, error) {
			return onPayment(c, func(id string) (client.Payment, Written, error) {
				return f.desk.Confirm(ctx, key, id, r.amount, wait)
			})
		},
	})
}

// onPayment runs a write on the payment that the path names.
func onPayment(c *call, run func(id string) (client.Payment, Written, error)) (any, Written, error) {
	id, err := c.pathID()
	if err != nil {
		return nil, Written{}, err
	}
	p, w, err := run(id)
	return wholePayment(p), w, err
}

func cancelPayment(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.Act]{
		read:      actForm,
		requestID: func(a client.Act) string { return a.RequestID },
		run: func(ctx context.Context, key RequestKey, _ client.Act) (any, Written, error) {
			return onPayment(c, func(id string) (client.Payment, Written, error) { return f.desk.Cancel(ctx, key, id) })
		},
	})
}

func completePayment(ctx context.Context, f *Face, c *call) (answer, error) {
	return write(ctx, f, c, writing[client.Completion]{
		read:      completionForm,
		requestID: func(r client.Completion) string { return r.RequestID },
		check: func(ctx context.Context, r client.Completion) error {
			return f.inTime(ctx, r.DecideWithinSeconds)
		},
		run: func(ctx context.Context, key RequestKey, r client.Completion) (any, Written, error) {
			return onPayment(c, func(id string) (client.Payment, Written, error) {
				return f.desk.Complete(ctx, key, id, r)
			})
		},
	})
}

func searchPayments(ctx context.Context, f *Face, c *call) (answer, error) {
	body, err := parse(c.body, false)
	if err != nil {
		return answer{}, err
	}
	form := f.newForm()
	search := paymentSearchForm(form, &body)
	if err := form.failure(); err != nil {
		return answer{}, err
	}
	if err := form.wrongValue(); err != nil {
		return answer{}, err
	}
	return pages(search.Limit, func(limit int) (any, error) {
		search.Limit = limit
		payments, next, err := f.desk.SearchPayments(ctx, c.caller.Platform, search)
		for i := range payments {
			payments[i] = wholePayment(payments[i])
		}
		return client.PaymentList{Payments: listed(payments), NextCursor: next}, err
	})
}
