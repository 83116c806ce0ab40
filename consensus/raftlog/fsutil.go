package raftlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// writeCategory labels our writes for Pebble's statistics; we keep none.
const writeCategory = vfs.WriteCategoryUnspecified

func notExist(err error) bool {
	return errors.Is(err, os.ErrNotExist) || oserror.IsNotExist(err)
}

// syncDir makes the entries of dir durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open %s to sync it: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeDir makes dir with its parents and syncs each parent, so that a power cut
// cannot take the folder away from under files that were synced.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", dir, err)
	}
	for at := dir; ; {
		parent := fs.PathDir(at)
		if parent == at || parent == "" {
			return nil
		}
		if err := syncDir(fs, parent); err != nil {
			if at != dir { // a parent above the node's own folder may be closed to us
				return nil
			}
			return err
		}
		at = parent
	}
}

// exists says whether there is something at path.
func exists(fs vfs.FS, path string) (bool, error) {
	_, err := fs.Stat(path)
	if err == nil {
		return true, nil
	}
	if notExist(err) {
		return false, nil
	}
	return false, fmt.Errorf("look at %s: %w", path, err)
}

// listDir returns the sorted names in dir.
func listDir(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	slices.Sort(names)
	return names, nil
}

// readSmall reads a file of at most limit bytes.
func readSmall(fs vfs.FS, path string, limit int64) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	err = errors.Join(err, f.Close())
	if err == nil && int64(len(data)) > limit {
		err = errors.New("longer than its limit")
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

// writeSynced writes a whole new file and syncs it, but not its folder.
func writeSynced(fs vfs.FS, path string, data []byte) error {
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replaceFile puts data at path so that after a crash there is the old content or
// the new one: written beside, synced, renamed, folder synced.
func replaceFile(fs vfs.FS, path string, data []byte) error {
	tmp := path + ".tmp"
	if err := writeSynced(fs, tmp, data); err != nil {
		return err
	}
	if err := fs.Rename(tmp, path); err != nil {
		return fmt.Errorf("rename to %s: %w", path, err)
	}
	return syncDir(fs, fs.PathDir(path))
}

// removeTree removes path with all below it and makes that durable.
func removeTree(fs vfs.FS, path string) error {
	if err := fs.RemoveAll(path); err != nil {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return syncDir(fs, fs.PathDir(path))
}

// moveDir renames a folder inside its parent and makes that durable.
func moveDir(fs vfs.FS, from, to string) error {
	if err := fs.Rename(from, to); err != nil {
		return fmt.Errorf("rename %s: %w", from, err)
	}
	return syncDir(fs, fs.PathDir(to))
}
