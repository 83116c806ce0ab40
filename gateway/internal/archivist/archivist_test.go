package archivist_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gongji/gateway/internal/archivist"
	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
	"gongji/gateway/internal/money"
	"gongji/gateway/internal/simtest/regiontest"
)

const keep = 4 * time.Second

// region is a federation in which Shanghai keeps archives, each node its own.
type region struct {
	*regiontest.Federation

	t    *testing.T
	sh   *regiontest.Region
	dirs []string
	all  []*archivist.Archivist
	who  regiontest.Person
	n    int

	platform *regiontest.Platform
	alone    bool // the test itself says which nodes look
}

func begin(t *testing.T, act func(r *region)) {
	t.Helper()
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f, err := regiontest.New(regiontest.Config{Nodes: 3})
		if err != nil {
			t.Fatal(err)
		}
		f.Start(t)
		synctest.Wait() // every region has its leader
		r := &region{Federation: f, t: t, sh: f.Regions[regiontest.Shanghai]}
		for i, n := range r.sh.Nodes {
			r.dirs = append(r.dirs, filepath.Join(folder, string(rune('a'+i))))
			r.all = append(r.all, r.archivist(n, r.dirs[i]))
		}
		if r.platform, err = r.sh.Platform(t.Context(), "hospital"); err != nil {
			t.Fatal(err)
		}
		payer := regiontest.Employee(string(regiontest.Beijing), "王建国", 1, 1_000_000)
		r.who = regiontest.Resident(string(regiontest.Beijing), "王小明", 2)
		bj := f.Regions[regiontest.Beijing]
		if err := bj.Open(t.Context(), payer, r.who); err != nil {
			t.Fatal(err)
		}
		if _, err := bj.Grant(t.Context(), payer, r.who); err != nil {
			t.Fatal(err)
		}
		act(r)
	})
}

// archivist is that of a node, as its process begins.
func (r *region) archivist(n *regiontest.Node, dir string) *archivist.Archivist {
	r.t.Helper()
	a, err := archivist.New(archivist.Deps{
		Region: regiontest.Shanghai, Log: n.Log, Ledger: n.Ledger, Sealer: r.sh.Sealer, Dir: dir, Keep: keep,
		Node: filepath.Base(dir), Nodes: len(r.sh.Nodes), Many: 1, Every: archivist.LookStandard, Now: time.Now,
		Logger: n.Logger(), Audit: n.Note,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// pay makes a payment.
func (r *region) pay() {
	r.t.Helper()
	r.n++
	f := r.sh.PaymentRequest(r.who, string(rune('a'+r.n)), money.Amount(1000).String())
	key, err := r.platform.Request("POST", "/v1/payments", []byte(f.VisitID))
	if err == nil {
		_, _, err = r.sh.Desk.CreatePayment(r.t.Context(), key, f)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// day lets a payment be made and time pass, and every node look as often as it takes.
func (r *region) day() {
	r.t.Helper()
	r.pay()
	<-time.After(keep + time.Second)
	synctest.Wait()
	if !r.alone {
		r.look()
	}
}

func (r *region) look() { r.lookAt(r.all...) }

func (r *region) lookAt(some ...*archivist.Archivist) {
	r.t.Helper()
	for range 3 {
		for _, a := range some {
			if err := a.Look(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}
		synctest.Wait()
	}
}

func (r *region) verify(dir string, checkpoint *evidence.Seal) (*evidence.ArchiveReport, error) {
	r.t.Helper()
	dirs, err := evidence.NewDirectories(r.Directory)
	if err != nil {
		r.t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	v := &evidence.ArchiveVerifier{Sealer: r.sh.Sealer, Directories: dirs, Checkpoint: checkpoint}
	return v.Verify(root)
}

func (r *region) file(dir int, name string) []byte {
	r.t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dirs[dir], name))
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

// TestArchives: every node writes the same files, which verify alone; the state forgets what is old; a change of any
// line, a missing file and a missing tail are found and named.
func TestArchives(t *testing.T) {
	begin(t, func(r *region) {
		for range 3 {
			r.day()
		}
		for _, name := range r.same() {
			if strings.Contains(string(r.file(0, name)), r.who.Identity().Number) {
				t.Errorf("a person stands in %s", name)
			}
		}
		report, err := r.verify(r.dirs[0], nil)
		if err != nil || report.First != 1 || report.Last < 2 || report.Records == 0 || report.Signatures == 0 ||
			report.Requests == 0 {
			t.Fatalf("%+v, %v", report, err)
		}
		r.forgotten()
		r.damaged(report.Last)
	})
}

// TestAllAreForgotten: archives that follow each other faster than they may be forgotten all leave the state in the
// end, so that it stays bounded.
func TestAllAreForgotten(t *testing.T) {
	begin(t, func(r *region) {
		for range 3 {
			r.pay()
			<-time.After(time.Second)
			r.look()
		}
		<-time.After(keep + time.Second)
		r.look()
		var all, left []uint64
		err := r.sh.View(func(v ledger.View) error {
			return v.Archives(1, func(a *ledger.ArchiveRecord) bool {
				if all = append(all, a.No); !a.Gone {
					left = append(left, a.No)
				}
				return true
			})
		})
		if err != nil || len(all) < 3 || len(left) > 0 {
			r.t.Errorf("of the archives %v the state still has %v, %v", all, left, err)
		}
	})
}

// same compares the folders of all nodes, byte for byte, and returns the names in them.
func (r *region) same() []string {
	r.t.Helper()
	var names []string
	for i := range r.dirs {
		list, err := os.ReadDir(r.dirs[i])
		if err != nil {
			r.t.Fatal(err)
		}
		var here []string
		for _, e := range list {
			here = append(here, e.Name())
			if !bytes.Equal(r.file(i, e.Name()), r.file(0, e.Name())) {
				r.t.Errorf("%s differs between nodes", e.Name())
			}
		}
		if i > 0 && !slices.Equal(here, names) {
			r.t.Errorf("node %d has %q, the first %q", i, here, names)
		}
		names = here
	}
	if len(names) < 6 { // two archives, each with seal and index
		r.t.Errorf("only %q", names)
	}
	return names
}

// forgotten: the state has nothing of the first archive any more.
func (r *region) forgotten() {
	r.t.Helper()
	err := r.sh.View(func(v ledger.View) error {
		a, err := v.Archive(1)
		if err == nil && (a == nil || !a.Gone) {
			r.t.Errorf("the first archive is still in the state: %+v", a)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *region) damaged(last uint64) {
	r.t.Helper()
	seal, err := evidence.DecodeSeal(r.file(0, evidence.SealName(last)))
	if err != nil {
		r.t.Fatal(err)
	}
	name, good := evidence.ArchiveName(1), r.file(1, evidence.ArchiveName(1))
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(r.dirs[1], name), data, 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	refused := func(what, named string) {
		r.t.Helper()
		if _, err := r.verify(r.dirs[1], seal); err == nil || !strings.Contains(err.Error(), named) {
			r.t.Errorf("%s: %v", what, err)
		}
	}
	for i := 0; i < len(good); i += 97 {
		bad := bytes.Clone(good)
		bad[i] ^= 4
		put(name, bad)
		refused("a changed byte", name)
	}
	put(name, good[:len(good)/2])
	refused("a file cut short", name)
	put(name, good)
	if _, err := r.verify(r.dirs[1], seal); err != nil {
		r.t.Fatal(err)
	}
	for _, n := range []string{evidence.ArchiveName(last), evidence.SealName(last)} {
		if err := os.Remove(filepath.Join(r.dirs[1], n)); err != nil {
			r.t.Fatal(err)
		}
	}
	refused("a missing tail", "the tail is missing")
	if err := os.Remove(filepath.Join(r.dirs[1], name)); err != nil {
		r.t.Fatal(err)
	}
	refused("a missing file", name)
}
