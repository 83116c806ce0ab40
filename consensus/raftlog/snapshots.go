package raftlog

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// snapshotsKept is how many snapshots stay on disk: the newest, and the one before
// for a follower that is just being sent it.
const snapshotsKept = 2

const (
	metaName    = "meta.json"
	metaVersion = 1
	metaMax     = 1 << 20 // bytes of meta.json
	dbName      = "db"
	tarName     = "state.tar"
)

// snapMeta is meta.json.
type snapMeta struct {
	Version            int    `json:"version"`
	ID                 string `json:"id"`
	Index              uint64 `json:"index"`
	Term               uint64 `json:"term"`
	Configuration      []byte `json:"configuration"` // as raft encodes it in its log
	ConfigurationIndex uint64 `json:"configuration_index"`
	Size               int64  `json:"size"` // bytes of the tar
	Tar                bool   `json:"tar"`  // received: state.tar instead of db/
}

// snapshots is the raft.SnapshotStore on the node's file system. A snapshot is
// visible once its folder has its final name; before that everything in it is synced.
// One taken here is the checkpoint's folder itself, moved and never copied.
type snapshots struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger

	mu   sync.Mutex
	used map[string]int // snapshots being read: not removed yet
	seq  int
}

var _ raft.SnapshotStore = (*snapshots)(nil)

func newSnapshots(fs vfs.FS, dir string, logger *slog.Logger) *snapshots {
	return &snapshots{fs: fs, dir: dir, logger: logger, used: make(map[string]int)}
}

// Create begins a snapshot that becomes visible when its sink is closed.
func (s *snapshots) Create(version raft.SnapshotVersion, index, term uint64, members raft.Configuration,
	membersIndex uint64, _ raft.Transport,
) (raft.SnapshotSink, error) {
	if version != raft.SnapshotVersionMax {
		return nil, fmt.Errorf("%w: version %d", ErrSnapshot, version)
	}
	id, err := s.newID(index, term)
	if err != nil {
		return nil, err
	}
	meta := snapMeta{
		Version: metaVersion, ID: id, Index: index, Term: term,
		Configuration: raft.EncodeConfiguration(members), ConfigurationIndex: membersIndex,
	}
	sink := &sink{store: s, meta: meta, dir: s.fs.PathJoin(s.dir, id+tmpSuffix)}
	if err := makeDir(s.fs, sink.dir); err != nil {
		return nil, err
	}
	return sink, nil
}

// newID is unique in the folder: the same index may be received more than once.
func (s *snapshots) newID(index, term uint64) (string, error) {
	names, err := listDir(s.fs, s.dir)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.seq++
		id := fmt.Sprintf("%020d-%010d-%d", index, term, s.seq)
		if !slices.Contains(names, id) && !slices.Contains(names, id+tmpSuffix) {
			return id, nil
		}
	}
}

// all returns the metadata of every visible snapshot, the newest first.
func (s *snapshots) all() ([]snapMeta, error) {
	names, err := listDir(s.fs, s.dir)
	if err != nil {
		return nil, err
	}
	var metas []snapMeta
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) || strings.HasPrefix(name, cutPrefix) {
			continue
		}
		meta, err := s.read(name)
		if err != nil {
			s.logger.Error("snapshot is not usable", slog.String("id", name), slog.Any("error", err))
			continue
		}
		metas = append(metas, meta)
	}
	slices.SortFunc(metas, func(a, b snapMeta) int {
		return cmp.Or(cmp.Compare(b.Index, a.Index), cmp.Compare(b.Term, a.Term), cmp.Compare(b.ID, a.ID))
	})
	return metas, nil
}

func (s *snapshots) read(id string) (snapMeta, error) {
	data, err := readSmall(s.fs, s.fs.PathJoin(s.dir, id, metaName), metaMax)
	if err != nil {
		return snapMeta{}, err
	}
	var meta snapMeta
	if err := json.Unmarshal(data, &meta); err != nil {
		return snapMeta{}, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if meta.Version != metaVersion || meta.ID != id {
		return snapMeta{}, fmt.Errorf("%w: version %d of %q", ErrSnapshot, meta.Version, meta.ID)
	}
	return meta, nil
}

func (m snapMeta) raft() *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: m.ID, Index: m.Index, Term: m.Term, Size: m.Size,
		Configuration: raft.DecodeConfiguration(m.Configuration), ConfigurationIndex: m.ConfigurationIndex,
	}
}

// List returns the visible snapshots, the newest first.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	metas, err := s.all()
	if err != nil {
		return nil, err
	}
	list := make([]*raft.SnapshotMeta, len(metas))
	for i, m := range metas {
		list[i] = m.raft()
	}
	return list, nil
}

// snapReader is an open snapshot; while it is open the snapshot stays.
type snapReader struct {
	io.ReadCloser
	meta  snapMeta
	store *snapshots
	once  sync.Once
}

// Close lets the snapshot go. raft closes what its state machine has closed already.
func (r *snapReader) Close() error {
	var err error
	r.once.Do(func() {
		err = r.ReadCloser.Close()
		r.store.done(r.meta.ID)
	})
	return err
}

func (s *snapshots) done(id string) {
	s.mu.Lock()
	if s.used[id]--; s.used[id] <= 0 {
		delete(s.used, id)
	}
	s.mu.Unlock()
	if err := s.reap(); err != nil {
		s.logger.Error("old snapshot was not removed", slog.Any("error", err))
	}
}

// Open returns a snapshot as a tar of meta.Size bytes.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	r, err := s.open(id)
	if err != nil {
		return nil, nil, err
	}
	return r.meta.raft(), r, nil
}

func (s *snapshots) open(id string) (*snapReader, error) {
	s.mu.Lock()
	s.used[id]++
	s.mu.Unlock()
	meta, err := s.read(id)
	if err != nil {
		s.done(id)
		return nil, err
	}
	var stream io.ReadCloser
	if meta.Tar {
		stream, err = s.fs.Open(s.fs.PathJoin(s.dir, id, tarName))
	} else {
		stream, _, err = newTarStream(s.fs, s.fs.PathJoin(s.dir, id, dbName))
	}
	if err != nil {
		s.done(id)
		return nil, fmt.Errorf("open snapshot %s: %w", id, err)
	}
	return &snapReader{ReadCloser: stream, meta: meta, store: s}, nil
}

// reap removes all but the newest snapshots, except those being read.
func (s *snapshots) reap() error {
	metas, err := s.all()
	if err != nil || len(metas) <= snapshotsKept {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range metas[snapshotsKept:] {
		if s.used[m.ID] > 0 {
			continue
		}
		if err := removeTree(s.fs, s.fs.PathJoin(s.dir, m.ID)); err != nil {
			return err
		}
	}
	return nil
}

// sink is a snapshot on its way: either bytes received from the leader, or a
// checkpoint taken here.
type sink struct {
	store   *snapshots
	meta    snapMeta
	dir     string
	file    vfs.File // of the bytes received
	adopted bool
	over    bool
}

var _ raft.SnapshotSink = (*sink)(nil)

// ID is the name that the snapshot will have.
func (k *sink) ID() string { return k.meta.ID }

// Write takes the next bytes of a received tar.
func (k *sink) Write(p []byte) (int, error) {
	if k.over || k.adopted {
		return 0, errClosed
	}
	if k.file == nil {
		f, err := k.store.fs.Create(k.store.fs.PathJoin(k.dir, tarName), writeCategory)
		if err != nil {
			return 0, fmt.Errorf("create a snapshot: %w", err)
		}
		k.file, k.meta.Tar = f, true
	}
	n, err := k.file.Write(p)
	k.meta.Size += int64(n)
	return n, err
}

// adopt takes a checkpoint of the state at index as the snapshot's content. raft cuts
// its log at the snapshot's index, so another index would be a hole in the state.
func (k *sink) adopt(checkpoint string, index uint64) error {
	if index != k.meta.Index {
		return fmt.Errorf("%w: checkpoint at %d for a snapshot at %d", ErrSnapshot, index, k.meta.Index)
	}
	if k.over || k.file != nil {
		return errClosed
	}
	fs := k.store.fs
	db := fs.PathJoin(k.dir, dbName)
	if err := fs.Rename(checkpoint, db); err != nil {
		return fmt.Errorf("move a checkpoint: %w", err)
	}
	if err := errors.Join(syncDir(fs, k.dir), syncDir(fs, k.store.dir)); err != nil {
		return err
	}
	_, size, err := tarFiles(fs, db)
	k.meta.Size, k.adopted = size, true
	return err
}

// Close makes the snapshot visible, durably, and removes old ones.
func (k *sink) Close() error {
	if k.over {
		return nil
	}
	k.over = true
	fs := k.store.fs
	if k.file != nil {
		if err := errors.Join(k.file.Sync(), k.file.Close()); err != nil {
			return fmt.Errorf("sync a snapshot: %w", err)
		}
	} else if !k.adopted {
		return fmt.Errorf("%w: nothing was written", ErrSnapshot)
	}
	data, err := json.Marshal(k.meta)
	if err != nil {
		return fmt.Errorf("encode snapshot metadata: %w", err)
	}
	if err := writeSynced(fs, fs.PathJoin(k.dir, metaName), data); err != nil {
		return err
	}
	if err := syncDir(fs, k.dir); err != nil {
		return err
	}
	if err := moveDir(fs, k.dir, fs.PathJoin(k.store.dir, k.meta.ID)); err != nil {
		return err
	}
	return k.store.reap()
}

// Cancel forgets the snapshot.
func (k *sink) Cancel() error {
	if k.over {
		return nil
	}
	k.over = true
	var err error
	if k.file != nil {
		err = k.file.Close()
	}
	return errors.Join(err, removeTree(k.store.fs, k.dir))
}
