// Package archivist writes the archives of evidence: on every node the same files, from what the log has cut.
//
// The leader cuts an archive when a day is over or much has come together, and signs the digest of the file that it
// wrote into the log. Every node writes the file from its own state, at any time until the state forgets it, and holds
// it against that digest. A while later the leader takes the archive's evidence out of the state, which so stays
// bounded. What happens on a crash at any point: the file is written again, whole.
package archivist

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gongji/consensus"
	"gongji/federation"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/policy"
)

// Times and bounds.
const (
	// LookStandard is how often a node looks whether something is to be done.
	LookStandard = 10 * time.Second

	dropsAtOnce = 16 // commands that take evidence out of the state, in one look
	folderMode  = 0o700
)

// Deps are what an Archivist is made of; all are needed but Registerer.
type Deps struct {
	Region federation.Region
	Log    consensus.Log
	Ledger *ledger.Ledger
	Sealer federation.Sealer
	Dir    string        // the folder of the files
	Keep   time.Duration // evidence stays in the state at least that long after its cut
	Many   uint64        // messages after which an archive is cut before the day is over
	Every  time.Duration // between two looks, LookStandard mostly
	Node   string        // this node's name
	Nodes  int           // of the region: evidence leaves the state only when a majority of them has its archive
	Now    func() time.Time
	Logger *slog.Logger
	Audit  func(event string, attrs ...slog.Attr)

	Registerer prometheus.Registerer
}

// Archivist writes archives. Run it on every node.
type Archivist struct {
	Deps

	newest  prometheus.Gauge
	missing prometheus.Gauge
	written uint64 // the newest whose file and seal are in the folder
	gone    uint64 // all archives up to this one have left the state
	told    bool   // the log has heard from this process what is in the folder
	warned  uint64 // the newest that was found missing for good
}

// New makes an Archivist. It starts nothing.
func New(d Deps) (*Archivist, error) {
	if !d.Region.Valid() || d.Log == nil || d.Ledger == nil || d.Sealer == nil || d.Dir == "" || d.Keep <= 0 ||
		d.Many == 0 || d.Every <= 0 || d.Node == "" || d.Nodes < 1 || d.Now == nil || d.Logger == nil ||
		d.Audit == nil {
		return nil, errors.New("archivist: not complete")
	}
	a := &Archivist{
		Deps: d,
		newest: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_archive_newest", Help: "Number of the newest archive of evidence that stands on this node's disk.",
		}),
		missing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gongji_archives_missing", Help: "Archives that this node's folder misses and the state no longer has.",
		}),
	}
	if d.Registerer == nil {
		return a, nil
	}
	return a, errors.Join(d.Registerer.Register(a.newest), d.Registerer.Register(a.missing))
}

// Run works until ctx ends. A disk that takes no file is told and tried again; nothing leaves the state meanwhile.
func (a *Archivist) Run(ctx context.Context) error {
	timer := time.NewTicker(a.Every)
	defer timer.Stop()
	for {
		if err := a.Look(ctx); err != nil && ctx.Err() == nil {
			a.Logger.LogAttrs(ctx, slog.LevelError, "archives of evidence could not be brought up to date",
				slog.String("error", err.Error()))
		}
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Look writes what is to be written, and on the leader cuts, seals and drops what is due.
func (a *Archivist) Look(ctx context.Context) error {
	if err := os.MkdirAll(a.Dir, folderMode); err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	root, err := os.OpenRoot(a.Dir)
	if err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	return errors.Join(a.look(ctx, root), root.Close())
}

func (a *Archivist) look(ctx context.Context, root *os.Root) error {
	lead, _ := a.Log.Leadership()
	if lead.Leader {
		if err := a.cut(ctx); err != nil {
			return err
		}
	}
	list, err := a.archives()
	if err != nil {
		return err
	}
	for i := range list {
		var previous [federation.HashSize]byte
		if i > 0 {
			previous = list[i-1].Digest
		}
		if err = a.bring(ctx, root, list[i], previous, lead.Leader); err != nil {
			return err
		}
	}
	if lead.Leader {
		err = a.drop(ctx)
	}
	return errors.Join(err, a.tell(ctx))
}

// tell tells the log how far this node's folder has come, when that is news: what the state forgets stands on a
// majority of disks, so that a lost one loses no evidence. A process that begins tells it anew, since its disk may be
// another.
func (a *Archivist) tell(ctx context.Context) error {
	var said uint64
	err := a.Log.ReadStale(func(r consensus.Reader) error {
		all, err := a.Ledger.View(r).ArchiveHolders()
		said = all[a.Node]
		return err
	})
	if err != nil || said == a.written || said > a.written && a.told {
		return err
	}
	if err = a.propose(ctx, &ledger.HoldArchives{Node: a.Node, Through: a.written}); err == nil {
		a.told = true
	}
	return err
}

// archives are the newest that is written, which the next one is linked to, and all behind it.
func (a *Archivist) archives() ([]*ledger.ArchiveRecord, error) {
	var list []*ledger.ArchiveRecord
	err := a.Log.ReadStale(func(r consensus.Reader) error {
		return a.Ledger.View(r).Archives(a.written, func(rec *ledger.ArchiveRecord) bool {
			list = append(list, rec)
			return true
		})
	})
	return list, err
}

// cut closes an archive when the day of the last cut is over, or when much has come since.
func (a *Archivist) cut(ctx context.Context) error {
	var n, next uint64
	var last time.Time
	sealed := true
	err := a.Log.ReadStale(func(r consensus.Reader) error {
		v := a.Ledger.View(r)
		newest, err := v.Archive(0)
		if err != nil {
			return err
		}
		next = 1
		if newest != nil {
			next, sealed = newest.No+1, newest.Sealed()
		}
		n, last, err = v.Unarchived()
		return err
	})
	if err != nil || !sealed || n == 0 || n < a.Many && policy.Day(last) == policy.Day(a.Now()) {
		return err
	}
	return a.propose(ctx, &ledger.CutArchive{No: next})
}

// propose puts a command into the log. That another leader was first is no fault.
func (a *Archivist) propose(ctx context.Context, c ledger.Command) error {
	data, err := a.Log.Propose(ctx, ledger.EncodeCommand(c))
	if err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	if _, err = ledger.DecodeOutcome(data); err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	return nil
}

// bring has one archive's file and seal in the folder; the leader seals it first.
func (a *Archivist) bring(
	ctx context.Context, root *os.Root, rec *ledger.ArchiveRecord, previous [federation.HashSize]byte, leads bool,
) error {
	if rec.No > a.written || !rec.Sealed() {
		there, err := a.have(ctx, root, rec, previous)
		if err != nil {
			return err
		}
		if !there {
			return nil
		}
	}
	switch {
	case !rec.Sealed() && leads:
		return a.seal(ctx, root, rec, previous)
	case !rec.Sealed():
		return nil
	}
	a.written = max(a.written, rec.No)
	a.newest.Set(float64(a.written))
	return nil
}

// drop takes the evidence of the oldest archive that is due out of the state, some of it in each look.
func (a *Archivist) drop(ctx context.Context) error {
	var due *ledger.ArchiveRecord
	err := a.Log.ReadStale(func(r consensus.Reader) error {
		return a.Ledger.View(r).Archives(a.gone+1, func(rec *ledger.ArchiveRecord) bool {
			if rec.Gone {
				a.gone = rec.No
				return true
			}
			if rec.Sealed() && rec.No <= a.written && a.Now().Sub(rec.Cut) > a.Keep {
				due = rec
			}
			return false
		})
	})
	if err != nil || due == nil || !a.safe(due.No) {
		return err
	}
	for range dropsAtOnce {
		if err := a.propose(ctx, &ledger.DropArchive{No: due.No, Need: a.need()}); err != nil {
			return err
		}
	}
	return nil
}

// have writes the file if it is not there, and its seal once the log has it. It is false for one that neither folder
// nor state has any more: it is to be copied from another node.
func (a *Archivist) have(
	ctx context.Context, root *os.Root, rec *ledger.ArchiveRecord, previous [federation.HashSize]byte,
) (bool, error) {
	err := a.whole(root, rec)
	switch {
	case errors.Is(err, fs.ErrNotExist) && (rec.Gone || rec.Dropping):
		if rec.No > a.warned {
			a.warned = rec.No
			a.missing.Inc()
			a.Logger.LogAttrs(ctx, slog.LevelWarn, "an archive of evidence is missing; copy it from another node",
				slog.String("file", evidence.ArchiveName(rec.No)), slog.String("folder", a.Dir))
		}
		return true, nil // the next ones can be written all the same
	case errors.Is(err, fs.ErrNotExist):
		if _, err = a.write(root, rec, previous); err != nil {
			return false, err
		}
	case err != nil:
		return false, fmt.Errorf("archivist: %w", err)
	}
	if !rec.Sealed() {
		return true, nil
	}
	if err = a.index(root, rec.No); err != nil {
		return false, err
	}
	data, err := evidence.EncodeSeal(a.Region, rec)
	if err != nil {
		return false, err
	}
	return true, put(root, evidence.SealName(rec.No), func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// safe reports whether a majority of the nodes have an archive; the state asks again before it drops anything.
func (a *Archivist) safe(no uint64) bool {
	n := 0
	err := a.Log.ReadStale(func(r consensus.Reader) error {
		all, err := a.Ledger.View(r).ArchiveHolders()
		for _, through := range all {
			if through >= no {
				n++
			}
		}
		return err
	})
	return err == nil && n >= a.need()
}

// need is a majority of the region's nodes.
func (a *Archivist) need() int { return a.Nodes/2 + 1 }

// whole looks whether an archive's file is there, and the first time that this process meets it, whether it is the one
// that was sealed. One that is not, and that the state can still give, is put aside: fs.ErrNotExist.
func (a *Archivist) whole(root *os.Root, rec *ledger.ArchiveRecord) error {
	name := evidence.ArchiveName(rec.No)
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	if !rec.Sealed() || rec.Gone || rec.Dropping || rec.No <= a.written {
		return f.Close()
	}
	digest, err := evidence.ArchiveDigest(f, a.Sealer.Hash)
	if err = errors.Join(err, f.Close()); err == nil && digest == rec.Digest {
		return nil
	}
	a.Audit("archive_differs", slog.Uint64("archive", rec.No), slog.String("reason", "file"))
	if err = root.Rename(name, name+".bad"); err != nil {
		return err
	}
	return fs.ErrNotExist
}

// index makes the index of an archive unless it is there. It is no evidence, and can be made again whenever it is lost.
func (a *Archivist) index(root *os.Root, no uint64) error {
	if _, err := root.Stat(evidence.IndexName(no)); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := root.Open(evidence.ArchiveName(no))
	if err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	data, err := evidence.MakeIndex(f, st.Size(), a.Sealer.Hash)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("archivist: index of archive %d: %w", no, err)
	}
	return put(root, evidence.IndexName(no), func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
}

// result is what a written file has.
type result struct {
	entries uint64
	digest  [federation.HashSize]byte
}

// write writes an archive from the state. One whose digest is not the sealed one is not kept under its name: this
// node's state differs from the leader's, and an operator must hear of it.
func (a *Archivist) write(
	root *os.Root, rec *ledger.ArchiveRecord, previous [federation.HashSize]byte,
) (result, error) {
	var out result
	err := put(root, evidence.ArchiveName(rec.No), func(f *os.File) error {
		var err error
		out, err = a.writeTo(f, rec, previous)
		if err == nil && rec.Sealed() && out.digest != rec.Digest {
			a.Audit("archive_differs", slog.Uint64("archive", rec.No), slog.String("reason", "digest"))
			return fmt.Errorf("archivist: archive %d is another file here than on the node that sealed it", rec.No)
		}
		return err
	})
	return out, err
}

func (a *Archivist) writeTo(f *os.File, rec *ledger.ArchiveRecord, previous [federation.HashSize]byte) (result, error) {
	var out result
	w, err := evidence.NewArchiveWriter(f, a.Sealer.Hash, a.Region, rec.No, previous)
	if err != nil {
		return out, err
	}
	err = a.Log.ReadStale(func(r consensus.Reader) error {
		return a.Ledger.View(r).Archived(rec, func(x ledger.Archived) error { return w.Add(&x) })
	})
	if err != nil {
		return out, err
	}
	out.entries, out.digest, err = w.End()
	return out, err
}

// seal signs the digest of the leader's own file into the log. The file is written anew for it, so that what is signed
// is what the state has now, and not what somebody may have put on the disk.
func (a *Archivist) seal(
	ctx context.Context, root *os.Root, rec *ledger.ArchiveRecord, previous [federation.HashSize]byte,
) error {
	out, err := a.write(root, rec, previous)
	if err != nil {
		return err
	}
	now := a.Now().UTC().Truncate(time.Microsecond)
	id, signature, err := a.Sealer.Sign(evidence.SealMessage(a.Region, rec.No, out.entries, out.digest, now))
	if err != nil {
		return fmt.Errorf("archivist: seal: %w", err)
	}
	return a.propose(ctx, &ledger.SealArchive{
		No: rec.No, Entries: out.entries, Digest: out.digest, Time: now, KeyID: id, Signature: signature,
	})
}

// put writes a file so that it is there with all of its content or not at all.
func put(root *os.Root, name string, write func(*os.File) error) error {
	part := name + evidence.PartSuffix
	f, err := root.Create(part)
	if err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, root.Remove(part))
	}
	if err = root.Rename(part, name); err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("archivist: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close()) // the name is on the disk too before anybody is told so
}
