package load

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"golang.org/x/sync/errgroup"

	"gongji/gateway/client"
	"gongji/testnet/topology"
)

const (
	prepareClients = 96
	validFrom      = "2020-01-01" // fixed, so that a second run repeats the first one's requests
)

// prepare makes the grants of all pairs at the payers' homes, and waits until the beneficiaries' homes know them. A
// run on the same federation repeats the same requests and makes nothing twice.
func (d *driver) prepare(ctx context.Context) error {
	if err := d.say("Making %d grants.", len(d.o.Pairs)); err != nil {
		return err
	}
	texts := map[string]client.Commitment{}
	for code, api := range d.o.Regions {
		text, err := api.Commitment(ctx)
		if err != nil {
			return fmt.Errorf("load: the commitment of %s: %w", code, err)
		}
		texts[code] = text
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(prepareClients)
	for _, pair := range d.o.Pairs {
		group.Go(func() error {
			id, err := d.grant(ctx, pair, texts[pair.Payer.Region])
			if err != nil {
				return fmt.Errorf("load: a grant: %w", err)
			}
			return d.known(ctx, pair, id)
		})
	}
	return group.Wait()
}

func (d *driver) grant(ctx context.Context, pair topology.Pair, text client.Commitment) (string, error) {
	sum := sha256.Sum256([]byte(pair.Payer.IDNumber + pair.Beneficiary.IDNumber))
	digest := hex.EncodeToString(sum[:])
	g, err := d.o.Regions[pair.Payer.Region].CreateGrant(ctx, client.GrantRequest{
		RequestID: "load-grant-" + digest[:32], Payer: person(pair.Payer), Beneficiary: person(pair.Beneficiary),
		Relation: "parent", Channel: "national_app",
		Consent: client.Consent{
			Version: text.Version, Digest: text.Digest, Signature: base64.StdEncoding.EncodeToString(sum[:]),
		},
		Proofs:    []client.Proof{{Kind: "household_register", Digest: digest}},
		ValidFrom: validFrom,
	})
	return g.GrantID, err
}

// known waits until the beneficiary's home has heard of the grant.
func (d *driver) known(ctx context.Context, pair topology.Pair, id string) error {
	ctx, cancel := context.WithTimeout(ctx, settleWait)
	defer cancel()
	who := person(pair.Beneficiary)
	for {
		list, err := d.o.Regions[who.Region].SearchGrants(ctx, client.GrantSearch{Beneficiary: &who})
		if err != nil {
			return fmt.Errorf("load: the grants of a beneficiary: %w", err)
		}
		for _, g := range list.Grants {
			if g.GrantID == id {
				return nil
			}
		}
		if !pause(ctx, 10*askPause) {
			return fmt.Errorf("load: %s has not heard of a grant after %s", who.Region, settleWait)
		}
	}
}

func person(p topology.Person) client.Person {
	return client.Person{IDType: client.IDTypeResident, IDNumber: p.IDNumber, Name: p.Name, Region: p.Region}
}
