package archivist_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gongji/gateway/internal/evidence"
	"gongji/gateway/internal/ledger"
)

// archive is the state's record of the first archive.
func (r *region) archive() *ledger.ArchiveRecord {
	r.t.Helper()
	var a *ledger.ArchiveRecord
	err := r.sh.View(func(v ledger.View) error {
		var err error
		a, err = v.Archive(1)
		return err
	})
	if err != nil || a == nil {
		r.t.Fatalf("%v, %v", a, err)
	}
	return a
}

// TestLostDisk: the state keeps its evidence until a majority of the nodes has the file on disk, whatever the leader
// has; then the leader's disk may be lost, and the archive is whole elsewhere.
func TestLostDisk(t *testing.T) {
	begin(t, func(r *region) {
		r.alone = true
		r.day()
		r.lookAt(r.all[0]) // the followers' disks take nothing
		r.day()
		r.lookAt(r.all[0])
		if a := r.archive(); !a.Sealed() || a.Gone || a.Dropping {
			r.t.Fatalf("the leader alone has the file, and the state dropped it: %+v", a)
		}
		if _, err := r.sh.Put(r.t.Context(), &ledger.DropArchive{No: 1, Need: 2}); err == nil {
			r.t.Error("a leader that asks for it is believed")
		}
		r.lookAt(r.all[1])
		r.lookAt(r.all[0])
		if a := r.archive(); !a.Gone {
			r.t.Fatalf("two of three have the file, and the state still has it: %+v", a)
		}
		if err := os.RemoveAll(r.dirs[0]); err != nil {
			r.t.Fatal(err)
		}
		report, err := r.verify(r.dirs[1], nil)
		if err != nil || report.First != 1 {
			r.t.Errorf("the archive is lost with the leader's disk: %+v, %v", report, err)
		}
	})
}

// TestNewDisk: a node that begins with an empty disk says so, and what the state still has is written again; a file
// that is not the sealed one is put aside, told and written again. Neither counts as a copy meanwhile.
func TestNewDisk(t *testing.T) {
	begin(t, func(r *region) {
		r.alone = true
		r.day()
		r.lookAt(r.all[2], r.all[0], r.all[2]) // sealed, and within the days that it is kept
		if a := r.archive(); !a.Sealed() || a.Gone {
			r.t.Fatalf("%+v", a)
		}
		name := filepath.Join(r.dirs[2], evidence.ArchiveName(1))
		good := r.file(2, evidence.ArchiveName(1))
		if err := os.WriteFile(name, append([]byte("0"), good[1:]...), 0o600); err != nil {
			r.t.Fatal(err)
		}
		again := r.archivist(r.sh.Nodes[2], r.dirs[2])
		r.lookAt(again)
		if string(r.file(2, evidence.ArchiveName(1))) != string(good) {
			r.t.Error("a damaged file was left")
		}
		told := strings.Join(r.sh.Nodes[2].Audits.List(), "\n")
		if !strings.Contains(told, "archive_differs archive=1 reason=file") {
			r.t.Errorf("nobody was told: %s", told)
		}
		if err := os.RemoveAll(r.dirs[2]); err != nil {
			r.t.Fatal(err)
		}
		r.lookAt(r.archivist(r.sh.Nodes[2], r.dirs[2]))
		if string(r.file(2, evidence.ArchiveName(1))) != string(good) {
			r.t.Error("an empty disk was left empty")
		}
		r.day()
		r.lookAt(r.all[0], r.all[1]) // dropped, while the third node has nothing
		if a := r.archive(); !a.Gone {
			r.t.Fatalf("%+v", a)
		}
		if err := os.RemoveAll(r.dirs[2]); err != nil {
			r.t.Fatal(err)
		}
		r.lookAt(r.archivist(r.sh.Nodes[2], r.dirs[2]))
		if !strings.Contains(r.sh.Nodes[2].Output.String(), "copy it from another node") {
			r.t.Error("nobody is told what to copy")
		}
	})
}
