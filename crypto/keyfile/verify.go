package keyfile

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"gongji/crypto"
)

// Info is what may be known of a key.
type Info struct {
	ID      string
	Use     crypto.Use
	Created time.Time
	Current bool          // the newest of its use
	Public  crypto.Public // of UseSign and UseDecrypt
}

// Infos lists the keys, by use and newest first.
func (r *Ring) Infos() []Info {
	t := r.table.Load()
	var out []Info
	for _, use := range []crypto.Use{
		crypto.UseSign, crypto.UseDecrypt, crypto.UseToken, crypto.UseData, crypto.UseEvidence,
	} {
		for _, id := range r.ids(use) {
			k, err := r.find(id, use)
			if err != nil {
				continue // it went meanwhile
			}
			i := Info{ID: id, Use: use, Created: k.created, Current: t.current[use] == k}
			if k.private != nil {
				i.Public = k.private.Public()
			}
			k.end()
			out = append(out, i)
		}
	}
	return out
}

// Report is what Verify found.
type Report struct {
	Keys      []Info
	Destroyed []string // ids, in ascending order
	Journal   []Entry
	Problems  []string // each is a sentence; none if all is well
}

// Head is the digest of the journal's last line: who keeps it elsewhere finds a journal that was
// written anew. Empty for an empty journal.
func (r Report) Head() string {
	if len(r.Journal) == 0 {
		return ""
	}
	return r.Journal[len(r.Journal)-1].Hash
}

// Verify opens every key of the ring in the folder dir, works with each, checks the journal's chain,
// and holds the journal against the folder. Errors are those that keep it from looking (of Open);
// what it found stands in the report.
func Verify(dir string, kek *KEK, suite crypto.Suite) (Report, error) {
	if _, err := os.Stat(dir); err != nil {
		return Report{}, fmt.Errorf("keyfile: %w", err) // Open would make it
	}
	ring, err := Open(dir, kek, suite)
	if err != nil {
		return Report{}, err
	}
	report, err := ring.verify()
	return report, errors.Join(err, ring.Close())
}

func (r *Ring) verify() (Report, error) {
	t := r.table.Load()
	report := Report{Keys: r.Infos(), Destroyed: slices.Sorted(maps.Keys(t.destroyed))}
	for _, i := range report.Keys {
		if err := r.try(i); err != nil {
			report.Problems = append(report.Problems, fmt.Sprintf("%s does not work: %v", i.ID, err))
		}
	}
	raw, err := readPrivate(r.dir.root, journalName, journalMax)
	if errors.Is(err, fs.ErrNotExist) {
		raw, err = nil, nil
	}
	if err != nil {
		return report, err
	}
	report.Journal, err = readJournal(r.suite, raw)
	if err != nil {
		report.Problems = append(report.Problems, err.Error())
	}
	report.Problems = append(report.Problems, against(report.Journal, t)...)
	return report, nil
}

// try works with a key once.
func (r *Ring) try(i Info) error {
	message := []byte("gongji key check v1")
	switch i.Use {
	case crypto.UseSign:
		return r.trySign(i, message)
	case crypto.UseDecrypt:
		return r.tryUnwrap(i, message)
	case crypto.UseToken, crypto.UseEvidence:
		_, err := r.MAC(i.ID, message)
		return err
	case crypto.UseData:
		sealed, err := r.Seal(i.ID, message, nil)
		if err != nil {
			return err
		}
		_, err = r.Open(i.ID, sealed, nil)
		return err
	}
	return ErrUse
}

func (r *Ring) trySign(i Info, message []byte) error {
	verifier, err := r.suite.Verifier(i.Public)
	if err != nil {
		return err
	}
	sig, err := r.Sign(i.ID, message)
	if err != nil {
		return err
	}
	return verifier.Verify(message, sig)
}

func (r *Ring) tryUnwrap(i Info, message []byte) error {
	wrapper, err := r.suite.Wrapper(i.Public)
	if err != nil {
		return err
	}
	wrapped, err := wrapper.Wrap(message)
	if err != nil {
		return err
	}
	_, err = r.Unwrap(i.ID, wrapped)
	return err
}

// history is what the journal says of one key.
type history struct{ came, went, unsure bool }

// against holds the journal against the folder: each key came by an act that was written down and
// none has gone without one. Of an act whose end is not written either outcome is right.
func against(entries []Entry, t *table) []string {
	known := make(map[string]history)
	for i, e := range entries {
		open := e.Phase == PhaseLost || (e.Phase == PhaseBegun && i == len(entries)-1)
		if e.Key == "" || (e.Phase != PhaseDone && !open) {
			continue
		}
		h := known[e.Key]
		switch e.Act {
		case ActGenerate, ActImport, ActRestore:
			h.came, h.unsure = true, open
		case ActDestroy:
			h.went, h.unsure = true, open
		case ActExport, ActBackup, ActRewrap:
			continue
		}
		known[e.Key] = h
	}
	return disagreements(known, t)
}

func disagreements(known map[string]history, t *table) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(t.keys)) {
		switch h := known[id]; {
		case !h.came:
			out = append(out, id+" is in the folder, and the journal does not say how it came")
		case h.went && !h.unsure:
			out = append(out, id+" is in the folder, and the journal says that it was destroyed")
		}
	}
	for _, id := range slices.Sorted(maps.Keys(t.destroyed)) {
		if !known[id].went {
			out = append(out, id+" was destroyed, and the journal does not say by whom")
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(known), cmp.Compare[string]) {
		_, here := t.keys[id]
		_, gone := t.destroyed[id]
		switch h := known[id]; {
		case h.unsure || here || gone:
		case h.went:
			out = append(out, id+" has lost the mark of its destruction")
		case h.came:
			out = append(out, id+" is gone from the folder, and nobody had it destroyed")
		}
	}
	return out
}
