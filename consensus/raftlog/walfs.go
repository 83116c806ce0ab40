package raftlog

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft-wal/types"
)

// walFS lets raft-wal work on a vfs.FS.
type walFS struct{ fs vfs.FS }

var _ types.VFS = walFS{}

// ListDir returns the names of the files in dir.
func (w walFS) ListDir(dir string) ([]string, error) {
	names, err := listDir(w.fs, dir)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool {
		info, err := w.fs.Stat(w.fs.PathJoin(dir, name))
		return err == nil && info.IsDir()
	}), nil
}

// Create makes a new file, preallocated where there is a real disk, so that appending
// does not have to change the file's length with each sync.
func (w walFS) Create(dir, name string, size uint64) (types.WritableFile, error) {
	path := w.fs.PathJoin(dir, name)
	there, err := exists(w.fs, path)
	if err != nil {
		return nil, err
	}
	if there {
		return nil, fmt.Errorf("create %s: %w", path, os.ErrExist)
	}
	f, err := w.fs.OpenReadWrite(path, writeCategory)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	if f.Fd() != vfs.InvalidFd && size > 0 {
		// Best effort, as the interface says: not every file system can.
		if err := f.Preallocate(0, int64(size)); err == nil {
			if _, err := f.WriteAt([]byte{0}, int64(size)-1); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
	}
	return &walFile{File: f, fs: w.fs, dir: dir}, nil
}

// Delete removes a file, durably.
func (w walFS) Delete(dir, name string) error {
	if err := w.fs.Remove(w.fs.PathJoin(dir, name)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return syncDir(w.fs, dir)
}

// OpenReader opens an existing file for reading.
func (w walFS) OpenReader(dir, name string) (types.ReadableFile, error) {
	return w.fs.Open(w.fs.PathJoin(dir, name))
}

// OpenWriter opens an existing file for reading and writing.
func (w walFS) OpenWriter(dir, name string) (types.WritableFile, error) {
	path := w.fs.PathJoin(dir, name)
	there, err := exists(w.fs, path)
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("open %s: %w", path, os.ErrNotExist)
	}
	f, err := w.fs.OpenReadWrite(path, writeCategory)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &walFile{File: f, fs: w.fs, dir: dir}, nil
}

// walFile syncs its folder with its first sync. That holds for a file found at start
// as well: who made it may have been killed before syncing the folder.
type walFile struct {
	vfs.File
	fs     vfs.FS
	dir    string
	synced bool
}

// Sync makes the content durable, and the first time the name too. raft-wal calls it
// from one goroutine at a time.
func (f *walFile) Sync() error {
	if f.synced {
		return f.SyncData()
	}
	if err := f.File.Sync(); err != nil {
		return err
	}
	if err := syncDir(f.fs, f.dir); err != nil {
		return err
	}
	f.synced = true
	return nil
}
