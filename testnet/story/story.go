// Package story plays what happened to family 1 of the testnet: a family spread over three provinces pays one hospital
// bill from two accounts, gets a part of it back, has next year's premium collected, settles an emergency afterwards,
// meets a limit, and revokes a grant. It asks the API and nothing else, and tells on the screen who pays for whom,
// which region answered what, and what is held, captured and left as cash.
package story

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gongji/gateway/client"
	"gongji/testnet/topology"
)

// ErrOther: the federation answered something else than the story expects.
var ErrOther = errors.New("story: went otherwise")

// API is what the story asks of one region. client.Client is one.
type API interface {
	Grants
	Payments
	Later
}

// Grants are the calls about consent.
type Grants interface {
	Commitment(ctx context.Context) (client.Commitment, error)
	Rules(ctx context.Context) (client.Rules, error)
	CreateGrant(ctx context.Context, r client.GrantRequest) (client.Grant, error)
	SearchGrants(ctx context.Context, r client.GrantSearch) (client.GrantList, error)
	SetOrder(ctx context.Context, r client.OrderRequest) (client.Order, error)
	RevokeGrant(ctx context.Context, id, requestID string) (client.Grant, error)
}

// Payments are the calls about one bill.
type Payments interface {
	CreatePayment(ctx context.Context, r client.PaymentRequest) (client.Payment, error)
	Payment(ctx context.Context, id string) (client.Payment, error)
	Confirm(ctx context.Context, id string, r client.Confirmation, wait time.Duration) (client.Payment, error)
	Cancel(ctx context.Context, id, requestID string) (client.Payment, error)
}

// Later are the calls about what comes after a bill, or every year.
type Later interface {
	Complete(ctx context.Context, id string, r client.Completion) (client.Payment, error)
	CreateRefund(ctx context.Context, paymentID string, r client.RefundRequest) (client.Refund, error)
	Refund(ctx context.Context, paymentID, refundID string) (client.Refund, error)
	CreateMandate(ctx context.Context, grantID string, r client.MandateRequest) (client.Mandate, error)
	Mandates(ctx context.Context, grantID string) (client.MandateList, error)
}

var _ API = (*client.Client)(nil)

// Times of waiting for what travels between the regions.
const (
	settleWait = 20 * time.Second
	askPause   = 50 * time.Millisecond
)

// beijingSeconds are what the whole country's clock is ahead of UTC.
const beijingSeconds = 8 * 60 * 60

// Regions gives each region's API by its code.
type Regions map[string]API

// Told is what the story did, for reports and for those who go on from it.
type Told struct {
	Beneficiary topology.Person  `json:"-"`
	Grants      []string         `json:"grants"`
	Payments    []client.Payment `json:"payments"`
	Refunds     []client.Refund  `json:"refunds"`
	// Premiums are empty outside the season.
	Premiums []client.PremiumResult `json:"premiums"`
	Refusals []string               `json:"refusals"` // codes
}

// cast is family 1.
type cast struct {
	mother, daughter, son topology.Person
	youngest, grandchild  topology.Person // of Shanghai
}

// teller plays one story.
type teller struct {
	out     *printer
	regions Regions
	cast    cast
	run     string // makes ids of this telling unique
	now     time.Time
	today   string
	told    Told
	paid    client.Payment // the hospital's bill
	father  string         // the grandchild's father's grant
}

// Tell plays the story on a running federation and writes it to w. now is today in Beijing's sense. On a federation
// that goes on it is told again, with what the accounts have left.
func Tell(ctx context.Context, regions Regions, w io.Writer, now time.Time) (Told, error) {
	family, err := findCast(topology.People())
	if err != nil {
		return Told{}, err
	}
	t := &teller{
		out: &printer{w: w}, regions: regions, cast: family, run: token(),
		now: now, today: now.In(time.FixedZone("CST", beijingSeconds)).Format(time.DateOnly),
	}
	t.told.Beneficiary = family.mother
	t.prologue()
	for _, act := range []func(context.Context) error{
		t.grants, t.hospital, t.pharmacy, t.refund, t.premium, t.emergency, t.limit, t.revoked, t.refusals,
	} {
		if err := act(ctx); err != nil {
			return t.told, err
		}
	}
	return t.told, t.out.err
}

// findCast finds the three by region and scheme.
func findCast(people []topology.Person) (cast, error) {
	var c cast
	for _, p := range people {
		if p.Family != topology.StoryFamily {
			continue
		}
		switch {
		case p.Region == "350100" && p.Scheme == topology.Resident:
			c.mother = p
		case p.Region == "350100" && p.Scheme == topology.Employee:
			c.daughter = p
		case p.Region == "110000" && p.Scheme == topology.Employee:
			c.son = p
		case p.Region == "310000" && p.Scheme == topology.Employee:
			c.youngest = p
		case p.Region == "310000" && p.Scheme == topology.Resident:
			c.grandchild = p
		}
	}
	if slices.Contains([]string{c.mother.Name, c.daughter.Name, c.son.Name, c.youngest.Name, c.grandchild.Name}, "") {
		return cast{}, errors.New("story: family 1 is not complete")
	}
	return c, nil
}

// printer writes lines and keeps the first error, so that the story reads straight.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) title(text string) {
	p.line("")
	p.line("── %s %s", text, strings.Repeat("─", max(0, 76-len([]rune(text)))))
}

// place names a region for the screen.
func place(code string) string {
	for _, r := range topology.Regions() {
		if r.Code == code {
			return r.NameZH + " " + r.Name + " " + code
		}
	}
	return code
}

func api(p topology.Person) client.Person {
	return client.Person{IDType: "01", IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}

// token is 16 random hex digits.
func token() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// signature stands for what the channel that vouches for the payer signs.
func signature(person topology.Person) string {
	return base64.StdEncoding.EncodeToString([]byte("synthetic consent of " + person.IDNumber))
}

// until asks again until done says so, at most settleWait.
func until(ctx context.Context, done func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	for {
		ok, err := done(ctx)
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(askPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: it takes too long", ErrOther)
		case <-timer.C:
		}
	}
}

// codeOf is the code of a problem, "" for another error.
func codeOf(err error) string {
	if problem, ok := errors.AsType[*client.ProblemError](err); ok {
		return problem.Problem.Code
	}
	return ""
}
