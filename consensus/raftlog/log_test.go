package raftlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"gongji/consensus/consensustest"
	"gongji/consensus/raftlog"
)

// tripFS cuts the power before the n-th change that would make something durable, and
// keeps what is left.
type tripFS struct {
	*consensustest.CrashFS
	percent int
	rng     *rand.Rand

	mu   sync.Mutex
	left int // changes until the cut; 0: none
	disk *consensustest.CrashFS
}

// newTripFS has a generator of its own: raft-wal's rotation trips it too.
func newTripFS(disk *consensustest.CrashFS, seed uint64) *tripFS {
	return &tripFS{CrashFS: disk, rng: rand.New(rand.NewPCG(seed, 5))}
}

func (f *tripFS) step() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 {
		if f.left--; f.left == 0 {
			f.disk = f.PowerCut(f.percent, f.rng)
		}
	}
}

func (f *tripFS) after() *consensustest.CrashFS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disk
}

func (f *tripFS) Rename(from, to string) error {
	f.step()
	return f.CrashFS.Rename(from, to)
}

func (f *tripFS) OpenDir(name string) (vfs.File, error) {
	f.step() // folders are opened to be synced
	return f.CrashFS.OpenDir(name)
}

func (f *tripFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.CrashFS.OpenReadWrite(name, c, o...)
	return &tripFile{File: file, fs: f}, err
}

type tripFile struct {
	vfs.File
	fs *tripFS
}

func (f *tripFile) Sync() error {
	f.fs.step()
	return f.File.Sync()
}

func (f *tripFile) SyncData() error {
	f.fs.step()
	return f.File.SyncData()
}

// logModel is what a log should hold.
type logModel struct {
	first   uint64
	entries [][]byte
}

func (m logModel) last() uint64 { return m.first + uint64(len(m.entries)) - 1 }

func (m logModel) matches(s raftlog.LogForTest) error {
	first, err := s.FirstIndex()
	if err != nil {
		return err
	}
	last, err := s.LastIndex()
	if err != nil {
		return err
	}
	if len(m.entries) == 0 {
		if last != 0 {
			return fmt.Errorf("%d to %d, want none", first, last)
		}
		return nil
	}
	if first != m.first || last != m.last() {
		return fmt.Errorf("%d to %d, want %d to %d", first, last, m.first, m.last())
	}
	for i, want := range m.entries {
		var l raft.Log
		if err := s.GetLog(m.first+uint64(i), &l); err != nil {
			return fmt.Errorf("entry %d: %w", m.first+uint64(i), err)
		}
		if !bytes.Equal(l.Data, want) {
			return fmt.Errorf("entry %d differs", m.first+uint64(i))
		}
	}
	return nil
}

// change does something random to the log and returns what it should hold afterwards.
func (m logModel) change(s raftlog.LogForTest, rng *rand.Rand) (logModel, error) {
	n := len(m.entries)
	switch k := rng.IntN(10); {
	case k == 0 && n > 3: // a conflicting tail
		from := m.first + uint64(1+rng.IntN(n-1))
		after := logModel{first: m.first, entries: m.entries[:from-m.first]}
		return after, s.DeleteRange(from, m.last())
	case k == 1 && n > 3: // behind a snapshot
		to := m.first + uint64(rng.IntN(n-1))
		after := logModel{first: to + 1, entries: m.entries[to+1-m.first:]}
		return after, s.DeleteRange(m.first, to)
	case k == 2 && n > 0 && rng.IntN(4) == 0: // a snapshot was installed over it
		return logModel{first: m.last() + 5}, s.DeleteRange(m.first, m.last())
	}
	after := logModel{first: m.first, entries: append([][]byte(nil), m.entries...)}
	if n == 0 && m.first == 0 {
		after.first = 1
	}
	var logs []*raft.Log
	small := 900
	if rng.IntN(3) > 0 {
		small = 10 // then the index is a large part of a segment, and tears
	}
	for range 1 + rng.IntN(8) {
		data := bytes.Repeat([]byte{byte(rng.IntN(256))}, rng.IntN(small))
		after.entries = append(after.entries, data)
		logs = append(logs, &raft.Log{Index: after.last(), Term: 7, Data: data})
	}
	return after, s.StoreLogs(logs)
}

// TestLogSurvives changes the log at random, cuts the power at random, and looks what is there
// afterwards: all that was acknowledged, and the change under way whole or not at all. Segments
// are tiny, so many of the cuts come while one is sealed, rotated or cut off.
func TestLogSurvives(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		segment := []int{4 << 10, 16 << 10}[seed%2]
		fs := newTripFS(consensustest.NewCrashFS(), seed)
		var model logModel
		for round := range 40 {
			s, closeLog, err := raftlog.OpenLogOn(fs, "wal", segment)
			if err != nil {
				t.Fatalf("seed %d, round %d: open: %v", seed, round, err)
			}
			if err := model.matches(s); err != nil {
				t.Fatalf("seed %d, round %d: after opening: %v", seed, round, err)
			}
			if round%4 == 3 { // an orderly restart
				for range rng.IntN(12) {
					if model, err = model.change(s, rng); err != nil {
						t.Fatalf("seed %d, round %d: %v", seed, round, err)
					}
				}
				closeLog()
				continue
			}
			fs.mu.Lock()
			fs.left, fs.disk, fs.percent = 1+rng.IntN(40), nil, []int{0, 50, 90}[rng.IntN(3)]
			fs.mu.Unlock()
			before := model
			for fs.after() == nil {
				before = model
				if model, err = model.change(s, rng); err != nil {
					t.Fatalf("seed %d, round %d: %v", seed, round, err)
				}
			}
			closeLog()
			fs = newTripFS(fs.after(), rng.Uint64())
			model = settle(t, fs, before, model, segment)
		}
	}
}

// settle opens the log after a power cut and says which of the two states it is in.
func settle(t *testing.T, fs vfs.FS, before, after logModel, segment int) logModel {
	t.Helper()
	s, closeLog, err := raftlog.OpenLogOn(fs, "wal", segment)
	if err != nil {
		t.Fatalf("open after a power cut: %v", err)
	}
	defer closeLog()
	errBefore, errAfter := before.matches(s), after.matches(s)
	switch {
	case errAfter == nil:
		return after
	case errBefore == nil:
		return before
	}
	t.Fatalf("after a power cut neither the state before (%v) nor after (%v)", errBefore, errAfter)
	return logModel{}
}

// sealFS keeps what a power cut would leave between the sealing of a segment and the note of
// it in the metadata.
type sealFS struct {
	*consensustest.CrashFS
	mu   sync.Mutex
	disk *consensustest.CrashFS
}

func (f *sealFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.mu.Lock()
	f.disk = f.PowerCut(0, nil)
	f.mu.Unlock()
	return f.CrashFS.Create(name, c)
}

// TestTornSeal: the append that seals a segment is torn. Its entries are gone, its index
// does not count, and the log goes on.
func TestTornSeal(t *testing.T) {
	fs := &sealFS{CrashFS: consensustest.NewCrashFS()}
	s, closeLog, err := raftlog.OpenLogOn(fs, "wal", 4<<10)
	if err != nil {
		t.Fatal(err)
	}
	created := fs.disk
	model := logModel{first: 1}
	disk := created
	for disk == created { // the next append waits for the rotation
		if len(model.entries) > 100 {
			t.Fatal("the segment is never sealed")
		}
		data := fmt.Appendf(nil, "payload of entry %d, %0200d", len(model.entries)+1, 0)
		model.entries = append(model.entries, data)
		if err := s.StoreLog(&raft.Log{Index: model.last(), Term: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
		fs.mu.Lock()
		disk = fs.disk
		fs.mu.Unlock()
	}
	closeLog()
	s, closeLog, err = raftlog.OpenLogOn(disk.PowerCut(0, nil), "wal", 4<<10)
	if err != nil {
		t.Fatalf("sealed and not rotated: %v", err)
	}
	last, err := s.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	closeLog()
	model.entries = model.entries[:last]
	before := logModel{first: 1, entries: model.entries[:last-1]}
	tear(t, disk, model.entries[last-1])
	s, closeLog, err = raftlog.OpenLogOn(disk, "wal", 4<<10)
	if err != nil {
		t.Fatalf("torn while sealing: %v", err)
	}
	if err := before.matches(s); err != nil {
		t.Errorf("after a torn seal: %v", err)
	}
	if err := s.StoreLog(&raft.Log{Index: last, Term: 2, Data: []byte("again")}); err != nil {
		t.Errorf("append after a torn seal: %v", err)
	}
	closeLog()
}

// tear loses the beginning of the index behind an entry.
func tear(t *testing.T, fs vfs.FS, entry []byte) {
	t.Helper()
	names, err := fs.List("wal")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".wal") {
			continue
		}
		f, err := fs.OpenReadWrite("wal/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, 64<<10)
		n, _ := f.ReadAt(data, 0)
		if at := bytes.Index(data[:n], entry); at >= 0 {
			// The frame of the entry ends with what the codec adds, at a multiple of 8; then come
			// 8 bytes of header and the offsets.
			index := bytes.Index(data[at:n], []byte{2, 0, 0, 0})
			for index >= 0 && (at+index)%8 != 0 {
				index++
			}
			if _, err := f.WriteAt(make([]byte, 32), int64(at+index+8)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
			return
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the entry is nowhere")
}

// TestLogStable: raft's own values survive a power cut right after they were written.
func TestLogStable(t *testing.T) {
	fs := consensustest.NewCrashFS()
	for i := range uint64(5) {
		s, closeLog, err := raftlog.OpenLogOn(fs, "wal", 64<<10)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.GetUint64([]byte("CurrentTerm")); got != i || err != nil {
			t.Fatalf("term %d, want %d, %v", got, i, err)
		}
		if err := s.SetUint64([]byte("CurrentTerm"), i+1); err != nil {
			t.Fatal(err)
		}
		if err := s.Set([]byte("LastVoteCand"), []byte("n1")); err != nil {
			t.Fatal(err)
		}
		cut := fs.PowerCut(0, nil)
		if got, err := s.Get([]byte("LastVoteCand")); string(got) != "n1" || err != nil {
			t.Errorf("vote %q, %v", got, err)
		}
		closeLog()
		fs = cut
	}
}

// TestLogOfAnotherKind: damaged metadata is an error, and never an empty log.
func TestLogOfAnotherKind(t *testing.T) {
	fs := vfs.NewMem()
	s, closeLog, err := raftlog.OpenLogOn(fs, "wal", 64<<10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.StoreLogs([]*raft.Log{{Index: 1, Term: 1}}); err != nil {
		t.Fatal(err)
	}
	closeLog()
	f, err := fs.OpenReadWrite("wal/meta", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{'!'}, 20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := raftlog.OpenLogOn(fs, "wal", 64<<10); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("damaged metadata: %v", err)
	}
}
