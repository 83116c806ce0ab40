package marked

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files looks into every file below a folder as it stands, into every key and value of the Pebble stores, and into
// every record of their tables, those that were deleted or written over included. Nobody may write there meanwhile.
// The places are "log", "state", "snapshots", "tables", "audit files", "evidence" and "files".
func (h *Hunt) Files(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return h.folder(path)
		}
		if filepath.Ext(path) == ".sst" {
			if err = h.table(path); err != nil {
				return err
			}
		}
		data, err := os.ReadFile(path) //nolint:gosec // a test's own folder
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		h.Look(placeOf(rel), rel, data)
		h.look("names of files", rel, []byte(rel))
		return nil
	})
}

func placeOf(path string) string {
	for part := range strings.SplitSeq(filepath.ToSlash(path), "/") {
		switch part {
		case "wal":
			return "log"
		case "audit":
			return "audit files"
		case "evidence":
			return "evidence"
		}
	}
	return "files"
}

// folder looks into a Pebble store.
func (h *Hunt) folder(dir string) error {
	found, err := filepath.Glob(filepath.Join(dir, "marker.manifest.*"))
	if err != nil || len(found) == 0 {
		return err
	}
	db, err := pebble.Open(dir, &pebble.Options{ReadOnly: true, Logger: quiet{}})
	if err != nil {
		return fmt.Errorf("marked: %s: %w", dir, err)
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	place := "state"
	if strings.Contains(dir, "checkpoints") {
		place = "snapshots"
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, failed := it.ValueAndErr()
		if err = failed; err != nil {
			break
		}
		h.Look(place, fmt.Sprintf("key of kind %q", it.Key()[:1]), append(bytes.Clone(it.Key()), value...))
	}
	return errors.Join(err, it.Close(), db.Close())
}

// table looks into every version of every key of one table.
func (h *Hunt) table(path string) error {
	f, err := vfs.Default.Open(path)
	if err != nil {
		return fmt.Errorf("marked: %w", err)
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return fmt.Errorf("marked: %s: %w", path, err)
	}
	r, err := sstable.NewReader(context.Background(), readable, sstable.ReaderOptions{})
	if err != nil {
		return fmt.Errorf("marked: %s: %w", path, err)
	}
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return errors.Join(err, r.Close())
	}
	for kv := it.First(); kv != nil; kv = it.Next() {
		value, _, failed := kv.Value(nil)
		if err = failed; err != nil {
			break
		}
		h.Look("tables", filepath.Base(path), append(bytes.Clone(kv.K.UserKey), value...))
	}
	return errors.Join(err, it.Close(), r.Close())
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
