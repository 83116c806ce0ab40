//go:build integration && unix

package scenario_test

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gongji/federation"
	"gongji/federation/root"
	"gongji/gateway/client"
	"gongji/internal/freeport"
)

// What a rotation of this test is made of. In life the new keys begin a day after they are published.
const (
	rotationRate = 20 // payments a second: none may be refused, on a slow machine either
	rotationSoon = 3 * time.Second
	rotationBoth = 2 * time.Second // how long old and new keys are valid together
)

// TestRotationOfProcesses: nine gateway processes. New signing and encryption keys of every region come
// into the key folders while the nodes run, are published beside the old ones with certificates of another authority,
// begin, outlive the old ones, and these are revoked, all of it under load. No payment is refused or declined, and no
// parcel.
func TestRotationOfProcesses(t *testing.T) {
	r := up(t, filepath.Join(t.TempDir(), "net"), "--processes", "--base-port", strconv.Itoa(freeport.Base(t)),
		"--load-accounts", strconv.Itoa(loadPairs))
	o := newOffice(t, r.dir, r.session.Kafka...)
	d, stop := droveAt(t, r.fed, r.pairs, rotationRate)
	d.mustHave(t, rotationRate)
	fresh := map[string][]federation.Key{}
	for _, region := range r.session.Regions {
		fresh[region.Code] = append(o.spares(t, region.Code, federation.UseSign, 1),
			o.spares(t, region.Code, federation.UseSeal, 1)...)
	}
	d.mustHave(t, rotationRate) // the newest key of a folder is nobody's yet

	from := time.Now().UTC().Truncate(time.Second).Add(rotationSoon)
	end := from.Add(rotationBoth)
	version, _ := o.publish(t, func(data *federation.DirectoryData) error {
		for code, keys := range fresh {
			for i := range keys {
				keys[i].NotBefore = from
			}
			if err := root.Rotate(data, federation.Region(code), keys, end); err != nil {
				return err
			}
		}
		return nil
	})
	if known := r.inForce(t, version); known.After(from) {
		t.Logf("the new keys began %s before everybody knew them", known.Sub(from))
	}
	until(t, "the old keys have ended", func(context.Context) bool { return time.Now().After(end) })
	d.mustHave(t, 3*rotationRate)
	version, _ = o.publish(t, func(data *federation.DirectoryData) error {
		for i := range data.Members {
			for j := range data.Members[i].Keys {
				k := &data.Members[i].Keys[j]
				k.Revoked = k.NotBefore.Before(from)
			}
		}
		return nil
	})
	r.inForce(t, version)
	d.mustHave(t, 3*rotationRate)
	stop()
	d.settled(t)
	d.allCaptured(t)
	for _, region := range r.session.Regions {
		for _, n := range region.Nodes {
			r.refusedNothing(t, n.ID)
		}
	}
	r.mustCheck(t)
}

// allCaptured fails for every payment that did not end as it should.
func (d *drive) allCaptured(t *testing.T) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for code, n := range d.refused {
		t.Errorf("%d payments were refused: %s", n, code)
	}
	for id, e := range d.ends {
		if e.payment.Status != client.PaymentCaptured {
			t.Errorf("payment %s, asked for after %s, is %s after %s", id, e.began, e.payment.Status, e.took)
		}
	}
}

// refusedNothing reads a node's counters of refused parcels.
func (f *fed) refusedNothing(t *testing.T, id string) {
	t.Helper()
	for _, n := range f.nodes(id[:6]) {
		if n.ID != id {
			continue
		}
		m, err := metrics(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range m {
			if strings.HasPrefix(name, "gongji_parcels_refused_total{") && v != 0 {
				t.Errorf("%s: %s is %v", id, name, v)
			}
		}
	}
}
