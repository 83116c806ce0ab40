package rotate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/client"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/policy"
	"gongji/gateway/internal/rotate"
	"gongji/gateway/internal/settle"
	"gongji/gateway/internal/simtest/regiontest"
	"gongji/gateway/internal/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	beijing  = regiontest.Beijing
	shanghai = regiontest.Shanghai
)

// world is two regions of three nodes in virtual time, each node with a key ring of its own.
type world struct {
	*regiontest.Federation

	t      *testing.T
	people []regiontest.Person
}

// with runs act in a world of some families: each a payer in Beijing and a beneficiary in Shanghai, with a grant.
func with(t *testing.T, families int, c regiontest.Config, act func(t *testing.T, w *world)) {
	t.Helper()
	c.Codes, c.Nodes, c.OwnRings = []federation.Region{beijing, shanghai}, 3, true
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(c)
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		passes(2 * time.Second) // every leader has joined its peers and named its keys
		w := &world{Federation: f, t: t}
		for i := range families {
			w.people = append(w.people,
				regiontest.Employee(string(beijing), fmt.Sprintf("欧阳%c", '一'+rune(i)), i, 1_000_000_00),
				regiontest.Resident(string(shanghai), fmt.Sprintf("上官%c", '一'+rune(i)), i))
		}
		for i, p := range w.people {
			if err := w.region(i).Open(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		for i := 0; i < len(w.people); i += 2 {
			if _, err := w.region(i).Grant(t.Context(), w.people[i], w.people[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		act(t, w)
	})
}

// region is the home of the person of an index.
func (w *world) region(i int) *regiontest.Region {
	return w.Regions[federation.Region(w.people[i].Region)]
}

func passes(d time.Duration) {
	synctest.Wait()
	<-time.After(d)
	synctest.Wait()
}

// until waits, in virtual time, for what has to come.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 60 * 60 * 10 {
		if holds() {
			return
		}
		passes(100 * time.Millisecond)
	}
	t.Fatalf("waited an hour in vain until %s", what)
}

// again asks the nodes of a region one after another until one can answer, as a platform's client does.
func again[T any](ctx context.Context, r *regiontest.Region, ask func(n *regiontest.Node) (T, error)) (T, error) {
	var out T
	var err error
	for i := range 600 {
		out, err = ask(r.Nodes[i%len(r.Nodes)])
		elsewhere := errors.Is(err, consensus.ErrNoLeader) || errors.Is(err, consensus.ErrUnknown) ||
			errors.Is(err, settle.ErrNotLeading)
		if !elsewhere || ctx.Err() != nil {
			return out, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return out, err
}

// pay has a person's payment of 1.00 at a region captured.
func (w *world) pay(ctx context.Context, r *regiontest.Region, who regiontest.Person, visit string) error {
	f := r.PaymentRequest(who, visit, "1.00")
	key := regiontest.Key(visit)
	p, err := again(ctx, r, func(n *regiontest.Node) (client.Payment, error) {
		p, _, err := n.Desk.CreatePayment(ctx, key, f)
		return p, err
	})
	if err != nil {
		return err
	}
	if p.Status != client.PaymentHeld {
		return fmt.Errorf("payment %s is %s: %+v", visit, p.Status, p.Declines)
	}
	amount := money.Amount(100)
	confirm := regiontest.Key("c-" + visit)
	_, err = again(ctx, r, func(n *regiontest.Node) (client.Payment, error) {
		p, _, err := n.Desk.Confirm(ctx, confirm, p.PaymentID, &amount, time.Second)
		return p, err
	})
	return err
}

// leader is the node that leads.
func leader(t *testing.T, r *regiontest.Region) (int, *regiontest.Node) {
	t.Helper()
	for i, n := range r.Nodes {
		if lead, _ := n.Log.Leadership(); lead.Leader {
			return i, n
		}
	}
	t.Fatal("nobody leads")
	return 0, nil
}

// change gives leadership to the next node.
func change(t *testing.T, r *regiontest.Region) {
	t.Helper()
	i, _ := leader(t, r)
	r.Group.SetLeader((i + 1) % len(r.Nodes))
	until(t, "somebody leads", func() bool {
		for _, n := range r.Nodes {
			if lead, _ := n.Log.Leadership(); lead.Leader {
				return true
			}
		}
		return false
	})
}

// start begins a rotation on the node that leads.
func start(t *testing.T, r *regiontest.Region, use ledger.KeyUse) ledger.RotationRecord {
	t.Helper()
	_, n := leader(t, r)
	if err := n.Rotator.Start(t.Context(), use, "operator-1"); err != nil {
		t.Fatal(err)
	}
	return now(t, r)
}

// now is how a region's rotation stands.
func now(t *testing.T, r *regiontest.Region) ledger.RotationRecord {
	t.Helper()
	_, n := leader(t, r)
	return n.Ledger.InForce().Keys.Rotation
}

// copyKeys brings the keys of every node to every other one, as an operator does with files.
func copyKeys(t *testing.T, r *regiontest.Region) {
	t.Helper()
	for _, from := range r.Nodes {
		for _, to := range r.Nodes {
			if from == to {
				continue
			}
			if err := regiontest.CopyKeys(to.Ring, from.Ring); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// known are the persons that a region has taken in: how many records, and how many places in the index of tokens.
func known(t *testing.T, n *regiontest.Node) (int, int) {
	t.Helper()
	persons, tokens := 0, 0
	each(t, n, func(key, _ []byte) {
		switch key[0] {
		case 'n':
			persons++
		case 't', 'T':
			tokens++
		}
	})
	return persons, tokens
}

// each visits a node's whole state.
func each(t *testing.T, n *regiontest.Node, visit func(key, value []byte)) {
	t.Helper()
	err := n.Log.ReadStale(func(r consensus.Reader) error {
		r.Scan(nil, nil, func(key, value []byte) bool {
			visit(key, value)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tokenBytes are the tokens of persons under a key.
func tokenBytes(t *testing.T, v *vault.Vault, key string, people ...regiontest.Person) [][]byte {
	t.Helper()
	var out [][]byte
	for _, p := range people {
		tokens, err := v.TokensUnder(key, p.Identity())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, tokens.Token[:], tokens.Name[:])
	}
	return out
}

// holds tells in which kinds of records of any node one of the needles stands.
func holds(t *testing.T, r *regiontest.Region, needles ...[]byte) []string {
	t.Helper()
	var found []string
	for _, n := range r.Nodes {
		each(t, n, func(key, value []byte) {
			whole := slices.Concat(key, value)
			for _, x := range needles {
				if kind := string(key[:1]); bytes.Contains(whole, x) && !slices.Contains(found, kind) {
					found = append(found, kind)
				}
			}
		})
	}
	slices.Sort(found)
	return found
}

func used(t *testing.T, r *regiontest.Region, who regiontest.Person) money.Amount {
	t.Helper()
	_, n := leader(t, r)
	var sum money.Amount
	err := n.Vault.Finding(who.Identity(), func(tokens ledger.Tokens) error {
		return n.Log.Read(t.Context(), func(rd consensus.Reader) error {
			v := n.Ledger.View(rd)
			f, err := v.Find(tokens)
			if err != nil {
				return err
			}
			sum, err = v.UsedYear(f.No, policy.Year(time.Now()))
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func progress(t *testing.T, n *regiontest.Node) rotate.Progress {
	t.Helper()
	p, err := n.Rotator.Progress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}
