package api

import (
	"context"
	"net/http"
	"strings"

	"gongji/gateway/client"
	"gongji/gateway/internal/policy"
)

// newForm is a form of today.
func (f *Face) newForm() *form {
	return &form{members: f.desk.Member, today: policy.Day(f.clock())}
}

// pathID is the id in the path, the third segment of all of them; not_found if no id can look like it.
func (c *call) pathID() (string, error) {
	segments := strings.Split(c.r.URL.Path, "/")
	if len(segments) < 4 || !validID(segments[3]) {
		return "", &Error{Code: policy.CodeNotFound}
	}
	return segments[3], nil
}

// noBody refuses fields where none are known.
func (c *call) noBody() error {
	if len(strings.TrimSpace(string(c.body))) == 0 {
		return nil
	}
	n, err := parse(c.body, false)
	if err != nil {
		return err
	}
	form := &form{}
	form.root(&n).done()
	return form.failure()
}

// failure is the first thing that is wrong with the form itself.
func (f *form) failure() error {
	if f.broken == nil {
		return nil
	}
	return f.broken
}

// wrongValue is the first value that will not do.
func (f *form) wrongValue() error {
	if f.wrong == nil {
		return nil
	}
	return f.wrong
}

// writing is how one kind of write is carried out. The steps stand in the order in which they are checked.
type writing[T any] struct {
	keepNulls bool
	// repeats: run answers a repeat itself, since the thing cannot be read here by its id alone: the order of a
	// beneficiary, and an accepted grant, whose home is another region.
	repeats   bool
	read      func(f *form, body *node) T
	requestID func(T) string
	// check is what comes behind the other 400s and needs no money: 421, and 422s of the request alone.
	check func(ctx context.Context, form T) error
	// run carries the write out. The whole answer comes from the desk.
	run func(ctx context.Context, key RequestKey, form T) (any, Written, error)
}

// write answers a write: form and request id, replay or conflict, other 400s, the rest.
func write[T any](ctx context.Context, f *Face, c *call, w writing[T]) (answer, error) {
	body, err := parse(c.body, w.keepNulls)
	if err != nil {
		return answer{}, err
	}
	return writeParsed(ctx, f, c, &body, w)
}

func writeParsed[T any](ctx context.Context, f *Face, c *call, body *node, w writing[T]) (answer, error) {
	form := f.newForm()
	content := w.read(form, body)
	if err := form.failure(); err != nil {
		return answer{}, err
	}
	key := RequestKey{
		Platform: c.caller.Platform, ID: w.requestID(content), Digest: digest(f.hash, c.r.Method, c.r.URL.Path, body),
		Signed: c.caller.Signed,
	}
	kind, id, seen, err := f.desk.Seen(ctx, key)
	if err != nil {
		return answer{}, err
	}
	if seen && !w.repeats {
		return f.asItIsNow(ctx, kind, id)
	}
	if err = form.wrongValue(); err != nil {
		return answer{}, err
	}
	if w.check != nil {
		if err = w.check(ctx, content); err != nil {
			return answer{}, err
		}
	}
	thing, written, err := w.run(ctx, key, content)
	if err != nil {
		return answer{}, err
	}
	return writtenAnswer(thing, written)
}

// asItIsNow answers a repeat with the thing as it is now.
func (f *Face) asItIsNow(ctx context.Context, kind, id string) (answer, error) {
	var thing any
	var err error
	switch kind {
	case KindGrant:
		thing, err = f.grant(ctx, id)
	case KindRefund:
		thing, err = f.refund(ctx, id)
	case KindMandate:
		var m client.Mandate
		m, err = f.desk.Mandate(ctx, id)
		thing = wholeMandate(m)
	case KindMandates:
		var list client.MandateList
		list, err = f.desk.Mandates(ctx, id)
		thing = wholeMandates(list)
	default:
		thing, err = f.payment(ctx, id)
	}
	if err != nil {
		return answer{}, err
	}
	return writtenAnswer(thing, Written{Replay: true})
}

func writtenAnswer(thing any, w Written) (answer, error) {
	status := http.StatusOK
	if w.Created && !w.Replay {
		status = http.StatusCreated
	}
	a, err := document(status, thing)
	a.replay = w.Replay
	return a, err
}

// pageBytesMax keeps an answer within what Ask carries: a list is cut into shorter pages than were asked for.
const pageBytesMax = 768 << 10

// pages asks for a page, and for a shorter one while it is too large. It ends: a page of one is always answered.
func pages(limit int, page func(limit int) (any, error)) (answer, error) {
	for {
		list, err := page(limit)
		if err != nil {
			return answer{}, err
		}
		a, err := document(http.StatusOK, list)
		if err != nil || len(a.body) <= pageBytesMax || limit == 1 {
			return a, err
		}
		limit /= 2
	}
}
