package golden

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gongji/adapters"
	"gongji/adapters/adaptertest"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	amounts "gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/simtest/regiontest"
)

// worldly are the commands that change the world around the API, or look behind it.
func (w *world) worldly() map[string]func([]string) ([]string, error) {
	return map[string]func([]string) ([]string, error){
		"clock":   w.clock,
		"region":  w.another,
		"person":  w.meet,
		"status":  w.status,
		"account": w.showAccount,
		"rules":   w.rules,
		"pair":    w.pair,
		"core":    w.core,
		"cut":     w.cut(true),
		"mend":    w.cut(false),
		"audits":  w.audits,
	}
}

// clock: a moment in Beijing, or a wait as +90s, +36h.
func (w *world) clock(words []string) ([]string, error) {
	text := firstOf(words)
	if rest, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrScript, err)
		}
		return nil, w.jump(w.now().Add(d))
	}
	return nil, w.setClock(text)
}

// meet: NAME CHINESE-NAME REGION SCHEME [balance=] [opening=] [status=].
func (w *world) meet(words []string) ([]string, error) {
	given, rest := pairs(words)
	if len(rest) != 4 || w.people[rest[0]] != nil {
		return nil, fmt.Errorf("%w: person NAME CHINESE-NAME REGION 310|390, once", ErrScript)
	}
	scheme, err := strconv.Atoi(rest[3])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScript, err)
	}
	p := &someone{called: rest[0], Person: regiontest.Person{
		Person: client.Person{
			IDType: client.IDTypeResident, IDNumber: regiontest.Number(rest[2], 10+len(w.people)), Name: rest[1], Region: rest[2],
		},
		Facts: ledger.Facts{Known: true, Scheme: scheme, Status: adapters.StatusNormal},
	}}
	opened := false
	for _, kv := range given {
		switch kv[0] {
		case "balance":
			p.Facts.Balance, err = amounts.Parse(kv[1])
		case "opening":
			p.Facts.Opening, err = amounts.Parse(kv[1])
			opened = true
		case "status":
			p.Facts.Status, err = strconv.Atoi(kv[1])
		default:
			err = fmt.Errorf("%w: a person has no %s", ErrScript, kv[0])
		}
		if err != nil {
			return nil, err
		}
	}
	if !opened {
		p.Facts.Opening = p.Facts.Balance
	}
	w.people[p.called] = p
	w.order = append(w.order, p.called)
	return nil, w.open(w.t.Context(), p)
}

// status: PERSON 1|2|4 [SCHEME]: what the insurance says of a person from now on.
func (w *world) status(words []string) ([]string, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return nil, err
	}
	if len(words) < 2 {
		return nil, fmt.Errorf("%w: status PERSON 1|2|4", ErrScript)
	}
	if p.Facts.Status, err = strconv.Atoi(words[1]); err == nil && len(words) > 2 {
		p.Facts.Scheme, err = strconv.Atoi(words[2])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrScript, err)
	}
	r, err := w.region(p.Region)
	if err != nil || w.cores[r.Code] != nil {
		return nil, errors.Join(err, w.open(w.t.Context(), p))
	}
	who, err := r.Vault.Person(p.Identity(), r.Vault.NewNo())
	if err != nil {
		return nil, err
	}
	_, err = r.Put(w.t.Context(), &ledger.SetStanding{
		Person: who, Scheme: policy.Scheme(p.Facts.Scheme), Status: policy.InsuredStatus(p.Facts.Status),
	})
	return nil, err
}

// showAccount: what the keeper of the money says.
func (w *world) showAccount(words []string) ([]string, error) {
	p, err := w.person(firstOf(words))
	if err != nil {
		return nil, err
	}
	m, err := w.account(p)
	if err != nil {
		return nil, err
	}
	if !m.known {
		return []string{"no account"}, nil
	}
	return []string{fmt.Sprintf("balance %s, %s held, %s at the year's opening", m.balance, m.held, m.opened)}, nil
}

// another: REGION like PILOT: a fourth region, before the world begins.
func (w *world) another(words []string) ([]string, error) {
	if w.fed != nil || len(words) != 3 || words[1] != "like" {
		return nil, fmt.Errorf("%w: region REGION like PILOT, first of all", ErrScript)
	}
	if w.config.Like == nil {
		w.config.Like = map[federation.Region]federation.Region{}
		w.config.Codes = []federation.Region{regiontest.Beijing, regiontest.Shanghai, regiontest.Fuzhou}
	}
	code := federation.Region(words[0])
	w.config.Codes = append(w.config.Codes, code)
	w.config.Like[code] = federation.Region(words[2])
	return nil, nil
}

// core: REGION before the world begins; REGION down or up afterwards.
func (w *world) core(words []string) ([]string, error) {
	code := federation.Region(firstOf(words))
	if w.fed == nil && len(words) == 1 {
		w.cores[code] = adaptertest.NewCore(1, w.now, adaptertest.Faults{})
		return nil, nil
	}
	if w.cores[code] == nil || len(words) != 2 || (words[1] != "up" && words[1] != "down") {
		return nil, fmt.Errorf("%w: core REGION, first of all; then core REGION down|up", ErrScript)
	}
	w.cores[code].SetFaults(adaptertest.Faults{Down: words[1] == "down"})
	return nil, nil
}

// cut: A-B, both ways.
func (w *world) cut(cut bool) func([]string) ([]string, error) {
	return func(words []string) ([]string, error) {
		a, b, ok := strings.Cut(firstOf(words), "-")
		if !ok {
			return nil, fmt.Errorf("%w: cut A-B", ErrScript)
		}
		if err := w.begin(); err != nil {
			return nil, err
		}
		one, other := federation.Region(a), federation.Region(b)
		for _, lane := range []federation.Lane{{From: one, To: other}, {From: other, To: one}} {
			if cut {
				w.fed.Bus.Cut(lane)
			} else {
				w.fed.Bus.Mend(lane)
			}
		}
		return nil, nil
	}
}

// pair: A-B closed, or from=DATE until=DATE. Everything is open at first.
func (w *world) pair(words []string) ([]string, error) {
	a, b, ok := strings.Cut(firstOf(words), "-")
	if !ok || a >= b {
		return nil, fmt.Errorf("%w: pair A-B closed|from=|until=, A before B", ErrScript)
	}
	given, rest := pairs(words[1:])
	change := func(d *federation.DirectoryData) {
		d.Pairs = slices.DeleteFunc(slices.Clone(d.Pairs), func(p federation.Pair) bool {
			return p.A == federation.Region(a) && p.B == federation.Region(b)
		})
		if slices.Contains(rest, "closed") {
			return
		}
		p := federation.Pair{A: federation.Region(a), B: federation.Region(b), From: "1999-01-01"}
		for _, kv := range given {
			switch kv[0] {
			case "from":
				p.From = w.day(kv[1])
			case "until":
				p.Until = w.day(kv[1])
			}
		}
		d.Pairs = append(d.Pairs, p)
		slices.SortFunc(d.Pairs, func(x, y federation.Pair) int {
			return strings.Compare(string(x.A+x.B), string(y.A+y.B))
		})
	}
	if w.fed == nil {
		w.pairs = append(w.pairs, change)
		return nil, nil
	}
	change(&w.fed.Data)
	return nil, w.fed.Redirect(w.t.Context())
}

// rules: REGION KEY=VALUE…, from the beginning; of a world that runs from today, or from=DATE.
func (w *world) rules(words []string) ([]string, error) {
	code := federation.Region(firstOf(words))
	given, rest := pairs(words)
	if len(rest) != 1 {
		return nil, fmt.Errorf("%w: rules REGION KEY=VALUE", ErrScript)
	}
	if w.fed == nil {
		var failed error
		change := func(region federation.Region, r *policy.Rules) {
			if region == code {
				failed = w.apply(r, given)
			}
		}
		change(code, &policy.Rules{})
		w.before = append(w.before, change)
		return nil, failed
	}
	r, err := w.region(string(code))
	if err != nil {
		return nil, err
	}
	now, err := r.Ledger.InForce().Rules.At(policy.Day(w.now()))
	if err != nil {
		return nil, err
	}
	next := now.Normalize()
	next.EffectiveFrom = policy.Day(w.now())
	if err = w.apply(&next, given); err != nil {
		return nil, err
	}
	next = next.Normalize()
	data, err := policy.EncodeRules(next)
	if err != nil {
		return nil, err
	}
	_, err = r.Put(w.t.Context(), &ledger.SetRules{Rules: data})
	return nil, err
}

// apply sets figures of rules.
func (w *world) apply(r *policy.Rules, given [][2]string) error {
	for _, kv := range given {
		key, value := kv[0], kv[1]
		name, purpose, _ := strings.Cut(key, ".")
		var err error
		switch name {
		case "from":
			r.EffectiveFrom, err = policy.ParseDate(w.day(value))
		case "annual_share":
			r.AnnualShare, err = amounts.ParseShare(value)
		case "share":
			var s amounts.Share
			s, err = amounts.ParseShare(value)
			r.PurposeShares = append(r.PurposeShares, policy.PurposeShare{Purpose: policy.Purpose(purpose), Share: s})
		case "retained_floor":
			r.RetainedFloor, err = amounts.Parse(value)
		case "visit_limit":
			var l amounts.Amount
			l, err = amounts.Parse(value)
			r.VisitLimits = slices.DeleteFunc(slices.Clone(r.VisitLimits), func(v policy.VisitLimit) bool {
				return v.Purpose == policy.Purpose(purpose)
			})
			r.VisitLimits = append(r.VisitLimits, policy.VisitLimit{Purpose: policy.Purpose(purpose), Limit: l})
		case "relations":
			r.Relations = nil
			for word := range strings.SplitSeq(value, ",") {
				r.Relations = append(r.Relations, policy.Relation(word))
			}
		case "close":
			r.Purposes = slices.DeleteFunc(slices.Clone(r.Purposes), func(p policy.Purpose) bool {
				return p == policy.Purpose(value)
			})
		case "own_account":
			r.OwnAccount = policy.OwnAccount(value)
		case "carried_over":
			r.CarriedOver = value == "true"
		case "within": // within.same_province=outpatient,inpatient
			var open []policy.Purpose
			for word := range strings.SplitSeq(value, ",") {
				open = append(open, policy.Purpose(word))
			}
			r.ScopePurposes = append(r.ScopePurposes, policy.ScopePurposes{Scope: policy.Scope(purpose), Purposes: open})
		case "open": // open.310000=2026-12-01
			var from policy.Date
			from, err = policy.ParseDate(w.day(value))
			r.Pairs = append(r.Pairs, policy.Pair{Region: purpose, From: from})
		case "consent":
			r.Consent = policy.Consent(value)
		case "commitment":
			r.Commitment.Version = value
		case "emergency_days":
			r.EmergencyDays, err = strconv.Atoi(value)
		case "decide_within_seconds_max":
			r.DecideWithinSecondsMax, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("%w: no rule %s", ErrScript, key)
		}
		if err != nil {
			return err
		}
	}
	*r = r.Normalize()
	return nil
}

// audits: REGION; what was audited there so far.
func (w *world) audits(words []string) ([]string, error) {
	r, err := w.region(firstOf(words))
	if err != nil {
		return nil, err
	}
	return r.Audits.List(), nil
}
