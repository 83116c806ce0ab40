package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// How files and folders of a ring stand.
const (
	fileMode  fs.FileMode = 0o600
	dirMode   fs.FileMode = 0o700
	suffix                = ".key"
	tombstone             = ".destroyed"
	temporary             = ".new"
	lockName              = "lock"
	// pendingName stands while the files are being wrapped under another key-encryption key.
	pendingName = "rewrap.pending"
)

// KeysMax bounds the files of a ring, destroyed ones included: a month's data key for a human life,
// and rotations.
const KeysMax = 4096

// directory is the folder of a ring.
type directory struct{ root *os.Root }

// openDirectory opens the folder, and makes it if it is not there.
func openDirectory(path string) (*directory, error) {
	err := os.MkdirAll(path, dirMode)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	info, err := root.Stat(".")
	if err == nil && !onlyOwner(info.Mode()) {
		err = fmt.Errorf("%w: %s", ErrPermissions, path)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &directory{root: root}, nil
}

func (d *directory) close() error { return d.root.Close() }

// list returns the ids that have a key file and those that were destroyed, at most limit together.
// Other files are left alone.
func (d *directory) list(limit int) ([]string, map[string]struct{}, error) {
	folder, err := d.root.Open(".")
	if err != nil {
		return nil, nil, fmt.Errorf("keyfile: %w", err)
	}
	names, err := folder.Readdirnames(-1)
	err = errors.Join(err, folder.Close())
	if err != nil {
		return nil, nil, fmt.Errorf("keyfile: %w", err)
	}
	var keys []string
	destroyed := make(map[string]struct{})
	for _, name := range names {
		if id, ok := strings.CutSuffix(name, tombstone); ok && validID(id) {
			destroyed[id] = struct{}{}
		}
		if id, ok := strings.CutSuffix(name, suffix); ok && validID(id) {
			keys = append(keys, id)
		}
	}
	if len(keys)+len(destroyed) > limit {
		return nil, nil, ErrFull
	}
	return keys, destroyed, nil
}

// pending reports whether a change of the key-encryption key was begun and not ended.
func (d *directory) pending() (bool, error) {
	_, err := d.root.Lstat(pendingName)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keyfile: %w", err)
	}
	return true, nil
}

func (d *directory) read(id string) ([]byte, error) {
	return readPrivate(d.root, id+suffix, int64(fileMax))
}

// write puts a file in place whole or not at all, durably.
func (d *directory) write(name string, raw []byte) error {
	file, err := d.root.OpenFile(name+temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	_, err = file.Write(raw)
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	err = d.root.Rename(name+temporary, name)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return d.sync()
}

// destroy leaves a mark first, so that a crash in between is finished at the next start; then it
// overwrites and removes the file. On storage that writes elsewhere the overwriting does nothing:
// what counts is that the key-encryption key is not there for long either.
func (d *directory) destroy(id string) error {
	err := d.write(id+tombstone, nil)
	if err != nil {
		return err
	}
	return d.remove(id)
}

func (d *directory) remove(id string) error {
	file, err := d.root.OpenFile(id+suffix, os.O_WRONLY, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	_, err = file.Write(make([]byte, fileMax))
	err = errors.Join(err, file.Sync(), file.Close(), d.root.Remove(id+suffix))
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return d.sync()
}

// sync makes renames and removals durable.
func (d *directory) sync() error {
	folder, err := d.root.Open(".")
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	err = errors.Join(folder.Sync(), folder.Close())
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	return nil
}
