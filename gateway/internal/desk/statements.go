package desk

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/vault"
	"gongji/gateway/internal/wire/wirepb"
)

// Bounds of a beneficiary's statement: the asks under way at once, and the pages of one home for one of ours.
const (
	statementAsks  = 8
	statementPages = 64
)

// Statement lists the movements of a person, who is known at home under this name.
func (d *Desk) Statement(ctx context.Context, f client.StatementRequest) (client.Statement, error) {
	if err := d.home(f.Person.Region); err != nil {
		return client.Statement{}, err
	}
	q := ledger.StatementAsk{After: f.Cursor, Limit: f.Limit}
	var err error
	if q.From, err = policy.ParseDay(f.From, "/from"); err != nil {
		return client.Statement{}, err
	}
	if q.To, err = policy.ParseDay(f.To, "/to"); err != nil {
		return client.Statement{}, err
	}
	switch {
	case q.To < q.From || q.To-q.From >= settle.StatementDaysMax:
		return client.Statement{}, policy.Refuse(policy.CodeInvalidRequest, "/to")
	case q.After != "" && !ledger.ValidMovementKey(q.After):
		return client.Statement{}, policy.Refuse(policy.CodeInvalidRequest, "/cursor")
	}
	who := identity(f.Person)
	if q.Account, err = d.known(ctx, who); err != nil {
		return client.Statement{}, err
	}
	if f.Role == client.RoleBeneficiary {
		return d.received(ctx, who, q, f.AllowMissing)
	}
	return d.given(ctx, q)
}

// known finds a person of this region, whose number is empty while the state does not know them. One whom it knows by
// name is not asked about again, so a core that is away keeps nobody from reading.
func (d *Desk) known(ctx context.Context, who vault.Identity) (string, error) {
	var f ledger.Found
	err := d.Vault.Finding(who, func(tokens ledger.Tokens) error {
		return d.view(ctx, func(v ledger.View) error {
			var failed error
			f, failed = v.Find(tokens)
			return failed
		})
	})
	if err != nil || f.Named {
		return f.No, err
	}
	no, facts, err := d.Settle.Facts(ctx, who)
	if err != nil {
		return "", d.asked(err, d.Self)
	}
	if !facts.Known {
		e := d.refusal(policy.CodeIdentityMismatch)
		e.Field = "/person"
		return "", e
	}
	return no, nil
}

// given is a payer's statement: it stands here.
func (d *Desk) given(ctx context.Context, q ledger.StatementAsk) (client.Statement, error) {
	out := client.Statement{Entries: []client.StatementEntry{}}
	if q.Account == "" {
		return out, nil
	}
	err := d.view(ctx, func(v ledger.View) error {
		lines, next, err := v.Statement(q)
		if err != nil {
			return err
		}
		out.NextCursor = next
		for i := range lines {
			l := &lines[i]
			to, err := masked(v, l.Hold.Beneficiary)
			if err != nil {
				return err
			}
			out.Entries = append(out.Entries, client.StatementEntry{
				Time: client.FormatTime(l.At), PaymentID: l.Hold.PaymentID, HoldID: l.Hold.ID, Counterparty: to,
				Institution: l.Hold.Institution, Purpose: string(l.Hold.Purpose), Kind: l.Kind.String(),
				Amount: l.Amount.String(), Status: l.Hold.State.API(),
			})
		}
		return nil
	})
	return out, err
}

// source is one home that is asked about some of a beneficiary's grants.
type source struct {
	region federation.Region
	grants []string
	got    []*wirepb.StatementEntry
	err    error
}

// received is a beneficiary's statement, put together from the homes of all payers.
func (d *Desk) received(
	ctx context.Context, who vault.Identity, q ledger.StatementAsk, allowMissing bool,
) (client.Statement, error) {
	out := client.Statement{Entries: []client.StatementEntry{}}
	sources, err := d.sources(ctx, q.Account)
	if err != nil {
		return out, err
	}
	var g errgroup.Group
	g.SetLimit(statementAsks)
	for _, s := range sources {
		g.Go(func() error {
			s.err = d.gather(ctx, s, who, q)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	var all []*wirepb.StatementEntry
	for _, s := range sources {
		switch {
		case s.err == nil:
			all = append(all, s.got...)
		case !allowMissing:
			return out, d.asked(s.err, s.region)
		case !slices.Contains(out.Missing, string(s.region)):
			out.Missing = append(out.Missing, string(s.region))
		}
	}
	slices.SortFunc(all, func(a, b *wirepb.StatementEntry) int { return cmp.Compare(a.GetKey(), b.GetKey()) })
	if len(all) > q.Limit {
		all = all[:q.Limit]
		out.NextCursor = all[q.Limit-1].GetKey()
	}
	for _, e := range all {
		out.Entries = append(out.Entries, shownEntry(e))
	}
	return out, nil
}

func shownEntry(e *wirepb.StatementEntry) client.StatementEntry {
	return client.StatementEntry{
		Time: client.FormatTime(time.UnixMicro(e.GetTime())), PaymentID: e.GetPaymentId(), HoldID: e.GetHoldId(),
		Counterparty: client.MaskedPerson{
			IDNumber: e.GetCounterparty(), Name: e.GetCounterpartyName(), Region: e.GetCounterpartyRegion(),
		},
		Institution: e.GetInstitution(), Purpose: e.GetPurpose(), Kind: e.GetKind(),
		Amount: money.Amount(e.GetAmount()).String(), Status: e.GetStatus(),
	}
}

// sources are the homes of the index, in the order of their codes.
func (d *Desk) sources(ctx context.Context, no string) ([]*source, error) {
	byRegion := map[string][]string{}
	if no != "" {
		err := d.view(ctx, func(v ledger.View) error {
			index, err := v.Index(no)
			for i := range index {
				home := index[i].PayerRegion
				byRegion[home] = append(byRegion[home], index[i].Entry.ID)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	var out []*source
	for _, region := range slices.Sorted(maps.Keys(byRegion)) {
		for grants := range slices.Chunk(byRegion[region], settle.StatementGrantsMax) {
			out = append(out, &source{region: federation.Region(region), grants: grants})
		}
	}
	return out, nil
}

// gather asks one home, page after page, until it has told one entry more than is shown, or all.
func (d *Desk) gather(ctx context.Context, s *source, who vault.Identity, q ledger.StatementAsk) error {
	after := q.After
	for range statementPages {
		ask := &wirepb.StatementAsk{
			Grants: s.grants, From: q.From.String(), To: q.To.String(), After: after,
			Limit: uint32(q.Limit + 1 - len(s.got)), //nolint:gosec // at most 1001
		}
		got, err := d.Settle.Ask(ctx, s.region, &wirepb.Body{Kind: &wirepb.Body_StatementAsk{StatementAsk: ask}}, who)
		if err != nil {
			return err
		}
		answer := got.Body.GetStatementAnswer()
		if answer == nil {
			return errAnswer
		}
		for _, e := range answer.GetEntries() {
			if !plausible(e, s.region, after, q) {
				return fmt.Errorf("%w: a statement out of order", errAnswer)
			}
			after = e.GetKey()
			s.got = append(s.got, e)
		}
		if answer.GetNext() == "" || len(s.got) > q.Limit {
			return nil
		}
		if answer.GetNext() < after || !ledger.ValidMovementKey(answer.GetNext()) {
			return fmt.Errorf("%w: a statement goes on nowhere", errAnswer)
		}
		after = answer.GetNext()
	}
	return fmt.Errorf("%w: a statement does not end", settle.ErrUnreachable)
}

// plausible reports whether an entry is what was asked for: of that home, inside the days, behind the one before it. A
// home speaks for its own payers only.
func plausible(e *wirepb.StatementEntry, from federation.Region, after string, q ledger.StatementAsk) bool {
	day := policy.Day(time.UnixMicro(e.GetTime()))
	return e.GetKey() > after && ledger.ValidMovementKey(e.GetKey()) && day >= q.From && day <= q.To &&
		e.GetCounterpartyRegion() == string(from) && e.GetAmount() > 0 && e.GetAmount() <= money.Max.Fen()
}
