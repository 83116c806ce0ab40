package rotate

import (
	"context"
	"errors"
	"fmt"

	"gongji/consensus"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// walk looks at as many records as the rate allows until the next look.
func (r *Rotator) walk(ctx context.Context) error {
	left := max(int(float64(r.Timing.Rate)*r.Timing.Look.Seconds()), 1)
	for left > 0 && ctx.Err() == nil {
		c, err := r.page(left)
		if err != nil || c == nil {
			r.reason = reasonOf(err)
			return err
		}
		o, err := r.propose(ctx, c)
		if err != nil {
			return err
		}
		if o.Code == policy.CodeWrongState {
			return nil // another leader was faster: the next look sees where the walk stands
		}
		r.Metrics.moved(c)
		left -= max(int(c.Seen), 1)
	}
	return nil
}

// page makes the command of the next page; nil when there is nothing to walk through any more.
func (r *Rotator) page(limit int) (*ledger.RotatePage, error) {
	var k ledger.KeysRecord
	var page ledger.WalkPage
	on := false
	err := r.Log.ReadStale(func(rd consensus.Reader) error {
		v := r.Ledger.View(rd)
		var err error
		if k, err = v.Keys(); err != nil {
			return err
		}
		if on = k.Rotation.Stage == ledger.RotationMoving; !on {
			return nil
		}
		page, err = v.WalkPage(&k, limit)
		return err
	})
	if err != nil || !on {
		return nil, err
	}
	under := &k.Rotation
	c := &ledger.RotatePage{
		Rotation: under.Number, Step: under.Step, After: under.After, Next: page.Next, Last: page.Last, Seen: page.Seen,
	}
	for _, i := range page.Tokens {
		m, err := r.token(under, &i)
		if err != nil {
			return nil, err
		}
		c.Tokens = append(c.Tokens, m)
	}
	for _, i := range page.Sealed {
		who, err := r.Vault.Open(i.Sealed)
		if err != nil {
			return nil, fmt.Errorf("rotate: a person of the %s: %w", under.Step, err)
		}
		fresh, err := r.Vault.SealUnder(under.New, who)
		if err != nil {
			return nil, err
		}
		c.Sealed = append(c.Sealed, ledger.Resealed{
			Key: i.Key, Place: i.Place, Old: r.Vault.Hash(i.Sealed), New: fresh,
		})
	}
	return c, nil
}

// errUnsealed: the persons of the index have no record. It is a fault of the state.
var errUnsealed = errors.New("rotate: a person of the index has no record")

// token makes a person's tokens under the new key. The old one must come out of the same identity: what is sealed under
// another person's number must not move anybody's token.
func (r *Rotator) token(under *ledger.RotationRecord, i *ledger.TokenItem) (ledger.MovedToken, error) {
	none := ledger.MovedToken{}
	if len(i.Sealed) == 0 {
		return none, errUnsealed
	}
	who, err := r.Vault.Open(i.Sealed)
	if err != nil {
		return none, fmt.Errorf("rotate: person %s: %w", i.Person, err)
	}
	old, err := r.Vault.TokensUnder(under.Old, who)
	if err != nil {
		return none, err
	}
	if old.Token != i.Token {
		return none, fmt.Errorf("rotate: person %s: the sealed identity is not the one of the token", i.Person)
	}
	fresh, err := r.Vault.TokensUnder(under.New, who)
	return ledger.MovedToken{Old: i.Token, New: fresh.Token, Name: fresh.Name}, err
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
