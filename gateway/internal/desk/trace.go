package desk

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/api"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// traceEventsMax bounds what is taken of one peer's answer.
const traceEventsMax = 1000

// Trace is a payment's way through all regions: what this region recorded, and what each region of a leg
// recorded of its part. A region that does not answer, or has not everything at hand, is named. A platform asks for its
// own payments.
func (d *Desk) Trace(ctx context.Context, platform, id string) (client.Trace, error) {
	if err := d.view(ctx, func(v ledger.View) error { return d.own(v, platform, id) }); err != nil {
		return client.Trace{}, err
	}
	return d.trace(ctx, id, false)
}

// own refuses a payment that a platform did not ask for: to it, it does not exist. Where requests are unsigned, on a
// testnet, nobody knows whose a payment is, and everybody sees it.
func (d *Desk) own(v ledger.View, platform, id string) error {
	p, err := v.Payment(id)
	if err != nil {
		return err
	}
	if p == nil || p.Request.Platform != platform && platform != api.UnsignedPlatform &&
		p.Request.Platform != api.UnsignedPlatform {
		return d.refusal(policy.CodeNotFound)
	}
	return nil
}

// TraceAnywhere is Trace for operators, who may ask at a payer's home too: there it has what that home recorded, and
// what the visit region tells of their business with each other.
func (d *Desk) TraceAnywhere(ctx context.Context, id string) (client.Trace, error) {
	return d.trace(ctx, id, true)
}

// others are the regions that have a part in a payment, as this one knows it. It refuses an unknown one.
func (d *Desk) others(v ledger.View, id string, anywhere bool) ([]string, error) {
	p, err := v.Payment(id)
	if err != nil {
		return nil, err
	}
	var all []string
	if p != nil {
		for i := range p.Legs {
			all = append(all, p.Legs[i].Region)
		}
	} else {
		var holds []*ledger.HoldRecord
		if anywhere {
			holds, err = v.HoldsOf(id)
		}
		if err != nil || len(holds) == 0 {
			return nil, cmp.Or[error](err, d.refusal(policy.CodeNotFound))
		}
		for _, h := range holds {
			all = append(all, h.Origin)
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(r string) bool { return r == string(d.Self) }), nil
}

func (d *Desk) trace(ctx context.Context, id string, anywhere bool) (client.Trace, error) {
	var own []*wirepb.TraceEvent
	var regions []string
	out := client.Trace{Events: []client.TraceEvent{}}
	err := d.view(ctx, func(v ledger.View) error {
		var err error
		if regions, err = d.others(v, id, anywhere); err != nil {
			return err
		}
		said, err := d.Settle.Recorded(v, id)
		if err != nil {
			return err
		}
		own, err = d.Settle.Trace(v, said, id, "")
		if len(said.Missing()) > 0 {
			out.Missing = append(out.Missing, string(d.Self))
		}
		return errors.Join(err, said.Close())
	})
	if err != nil {
		return out, err
	}
	out.Events = appendEvents(out.Events, string(d.Self), own)
	answers := make([]*wirepb.TraceAnswer, len(regions))
	var g errgroup.Group
	for i, r := range regions {
		g.Go(func() error {
			ask := &wirepb.Body{Kind: &wirepb.Body_TraceAsk{TraceAsk: &wirepb.TraceAsk{PaymentId: id}}}
			got, err := d.Settle.Ask(ctx, federation.Region(r), ask, vault.Identity{})
			if err == nil {
				answers[i] = got.Body.GetTraceAnswer()
			}
			return nil
		})
	}
	_ = g.Wait() // each answer is looked at by itself
	for i, r := range regions {
		if answers[i] == nil {
			out.Missing = append(out.Missing, r)
			continue
		}
		if answers[i].GetMore() {
			out.Missing = append(out.Missing, r) // it has more than it could tell
		}
		events := answers[i].GetEvents()
		out.Events = appendEvents(out.Events, r, events[:min(len(events), traceEventsMax)])
	}
	slices.SortStableFunc(out.Events, func(a, b client.TraceEvent) int { return cmp.Compare(a.Time, b.Time) })
	return out, nil
}

func appendEvents(out []client.TraceEvent, region string, events []*wirepb.TraceEvent) []client.TraceEvent {
	for _, e := range events {
		c := client.TraceEvent{
			Time: client.FormatTime(time.UnixMicro(e.GetTime()).UTC()), Region: region, Node: e.GetNode(), What: e.GetWhat(),
			FromState: e.GetFromState(), ToState: e.GetToState(), MessageID: e.GetMessageId(), SignedBy: e.GetSignedBy(),
		}
		if e.GetVerified() != settle.TraceUnsigned {
			good := e.GetVerified() == settle.TraceGood
			c.Verified = &good
		}
		out = append(out, c)
	}
	return out
}

// Evidence is the bundle of a payment of this region.
func (d *Desk) Evidence(ctx context.Context, platform, id string) ([]byte, error) {
	return d.EvidenceOf(ctx, id, false, func(v ledger.View) (bool, error) {
		return true, d.own(v, platform, id)
	})
}

// EvidenceOf is the bundle of a payment, grant or mandate that known says to be one of this region. opening keeps the
// salts by which a given person can be held against the bundle's digests: only for who may know the person.
func (d *Desk) EvidenceOf(
	ctx context.Context, subject string, opening bool, known func(ledger.View) (bool, error),
) ([]byte, error) {
	b := &evidence.Bundle{Subject: subject, Region: string(d.Self), Prepared: d.Now()}
	err := d.view(ctx, func(v ledger.View) error {
		ok, err := known(v)
		if err != nil {
			return err
		}
		if !ok {
			return d.refusal(policy.CodeNotFound)
		}
		if err = d.ownTicket(v, b, opening); err != nil {
			return err
		}
		said, err := d.Settle.Recorded(v, subject)
		if err != nil {
			return err
		}
		return errors.Join(d.collect(v, said, b, opening), said.Close())
	})
	if err != nil {
		return nil, err
	}
	if len(b.Missing) > 0 {
		d.Audit("evidence_incomplete", slog.String("subject", subject), slog.String("reason", "archive_missing"),
			slog.Int("archives", len(b.Missing)))
	}
	if opening {
		d.Audit("evidence_opened", slog.String("subject", subject))
	}
	return b.Sign(d.Settle.Sealer)
}

// collect puts what the region has into a bundle: what was signed, and what it says of itself.
func (d *Desk) collect(v ledger.View, said *evidence.Reader, b *evidence.Bundle, opening bool) error {
	if err := b.Collect(said, d.Settle.Sealer.Hash, opening); err != nil {
		return err
	}
	b.Missing = said.Missing()
	events, err := d.Settle.Trace(v, said, b.Subject, "")
	for _, e := range events {
		if e.GetMessageId() == "" {
			b.OwnWord = append(b.OwnWord, evidence.Word{
				Time: time.UnixMicro(e.GetTime()).UTC(), Node: e.GetNode(), What: e.GetWhat(), From: e.GetFromState(),
				To: e.GetToState(),
			})
		}
	}
	return err
}

// ownTicket is the ticket of a payment whose hold requests did not leave this region.
func (*Desk) ownTicket(v ledger.View, b *evidence.Bundle, opening bool) error {
	p, err := v.Payment(b.Subject)
	if err != nil || p == nil || len(p.Ticket) == 0 {
		return err
	}
	if proof, err := federation.DecodeProof(p.Ticket); err == nil {
		b.Add(proof, opening)
	}
	return nil
}
