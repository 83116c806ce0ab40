package simtest_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gongji/gateway/client"
)

var (
	seedsFlag    = flag.Int("seeds", 20, "so many seeds, from 1 on")
	seedFlag     = flag.Uint64("seed", 0, "this seed alone")
	storyFlag    = flag.Bool("story", false, "tell what happened in any case")
	firstFlag    = flag.Bool("first", false, "begin no further seed after one that failed")
	paymentsFlag = flag.Int("payments", 200, "payments of a run")
	faultsFlag   = flag.Int("faults", 34, "faults of a run")
	onlyFlag     = flag.String("only", "", "kinds of faults, with commas; all if empty")
	nodesFlag    = flag.Int("nodes", nodesEach, "nodes of a region")
)

// runLength is the virtual time in which payments come and things break.
const runLength = 10 * time.Minute

// TestSim runs the simulation for some seeds.
func TestSim(t *testing.T) {
	t.Parallel()
	first, last := uint64(1), uint64(*seedsFlag)
	if *seedFlag != 0 {
		first, last = *seedFlag, *seedFlag
	}
	var failed atomic.Bool
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			if *firstFlag && failed.Load() {
				return
			}
			dir := t.TempDir()
			enough := func() bool { return *firstFlag && failed.Load() }
			defer func() { // a bubble that failed ends this goroutine
				if t.Failed() {
					failed.Store(true)
				}
			}()
			synctest.Test(t, func(t *testing.T) { simulate(t, seed, dir, enough) })
		})
	}
}

// simulate is one run. It ends early when something is wrong, or enough was seen elsewhere.
func simulate(t *testing.T, seed uint64, dir string, enough func() bool) {
	w, err := newWorld(seed, setting{dir: dir, nodes: *nodesFlag})
	if err != nil {
		t.Fatal(err)
	}
	w.enough = func() bool { return enough() || len(w.story.faults()) > 0 }
	if err := errors.Join(w.start(), w.makeGrants()); err != nil {
		w.story.fault("start: %v", err)
	} else {
		w.live()
	}
	if wrong := w.story.faults(); len(wrong) > 0 {
		t.Errorf("%d things are wrong\n%s", len(wrong), w.story.print(seed, *storyFlag))
	} else if *storyFlag {
		t.Log(w.story.print(seed, true))
	}
	w.stop()
}

// live is everything that happens, in its order.
func (w *world) live() {
	visits := w.planVisits(*paymentsFlag, runLength)
	var only []kind
	for k := range strings.SplitSeq(*onlyFlag, ",") {
		if k != "" {
			only = append(only, kind(k))
		}
	}
	var living, breaking sync.WaitGroup
	// Behind the end nothing answers and nothing starts, so who still waits is soon done.
	defer func() {
		w.shutDown()
		living.Wait()
		breaking.Wait()
	}()
	for _, v := range visits {
		living.Go(v.live)
	}
	for _, f := range w.planFaults(*faultsFlag, runLength, only) {
		breaking.Go(func() { w.run(f) })
	}
	for end := time.Now().Add(runLength); time.Now().Before(end); {
		time.Sleep(20 * time.Second)
		if w.books.look(); w.enough() {
			return
		}
	}
	breaking.Wait()
	w.mend()
	living.Go(w.playGhost)
	living.Wait()
	if w.enough() || !w.settle() {
		return
	}
	for _, v := range visits {
		v.verify()
	}
}

// settleMax is how long everything may take to come to rest: longer than the longest waits between two repeats that can
// have come about in the time of a run.
const settleMax = 15 * time.Minute

// settle waits until nothing is under way, and then checks every invariant.
func (w *world) settle() bool {
	began := time.Now()
	for {
		time.Sleep(15 * time.Second)
		w.books.look()
		why := w.books.restless()
		if why == "" {
			break
		}
		if w.enough() {
			return false
		}
		if time.Since(began) > settleMax {
			w.story.fault("I-5 nothing is broken any more, and after %v there is no rest: %s", settleMax, why)
			return false
		}
	}
	w.story.tell("world", "", "at rest %v after the faults", time.Since(began).Round(time.Second))
	w.books.check()
	return true
}

// verify holds what a platform was told against the books.
func (v *visit) verify() {
	w, id := v.w, v.form.RequestID
	got, err := w.insist(v.rng, v.region, id, http.MethodPost, "/v1/payments/search", client.PaymentSearch{RequestID: id})
	if err != nil || got.status != http.StatusOK {
		w.story.fault("%s cannot be searched: %v %s", id, err, got.body)
		return
	}
	var list client.PaymentList
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || len(list.Payments) > 1 {
		w.story.fault("%s has %d payments: %v", id, len(list.Payments), err)
		return
	}
	if len(list.Payments) == 0 {
		if v.answered {
			w.story.fault("payment %s was answered to %s and is not there", v.id, id)
		}
		return
	}
	p := list.Payments[0]
	if v.answered {
		raw, err := json.Marshal(p)
		if err != nil || !v.take(string(raw)) {
			w.story.fault("payment %s of %s: %v", p.PaymentID, id, err)
			return
		}
	} else if v.refused != "gave_up" && v.unknowns == 0 {
		w.story.fault("payment %s exists, and %s was refused as %s", p.PaymentID, id, v.refused)
	}
	v.verifyEnd(p)
	v.verifyRefunds(p)
}

// verifyEnd holds the decision against the end, and the cash against both.
func (v *visit) verifyEnd(p client.Payment) {
	w := v.w
	switch {
	case v.decided == "done" && v.took == cancelIt && p.Status != client.PaymentReleased:
		w.story.fault("payment %s was cancelled, and is %s", p.PaymentID, p.Status)
	case v.confirmed > 0 && (p.Status != client.PaymentCaptured || fen(p.Captured) != v.confirmed):
		w.story.fault("payment %s was confirmed with %d fen, and is %s with %s", p.PaymentID, v.confirmed, p.Status, p.Captured)
	case v.decided == "expired" && p.Status != client.PaymentExpired:
		w.story.fault("payment %s was answered expired, and is %s", p.PaymentID, p.Status)
	case v.decided == "" && v.wish == leaveIt && v.answered && p.Status == client.PaymentCaptured:
		w.story.fault("payment %s was never confirmed, and is captured", p.PaymentID)
	}
	want := fen(p.Amount)
	if p.Status == client.PaymentCaptured {
		want -= fen(p.Captured)
	}
	if fen(p.CashDue) != want || p.Shortfall != "" {
		w.story.fault("payment %s of %s is %s with %s captured: %s cash due, %s short", p.PaymentID, p.Amount, p.Status,
			p.Captured, p.CashDue, p.Shortfall)
	}
}
