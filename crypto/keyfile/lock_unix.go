//go:build unix

package keyfile

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock keeps the folder to this process until unlock, so that two processes do not change one ring
// at a time. Readers take no lock: every file comes whole, by its renaming.
func (d *directory) lock() (func() error, error) {
	file, err := d.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	for {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX) //nolint:gosec // a descriptor fits
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keyfile: lock: %w", err), file.Close())
	}
	return file.Close, nil // closing lets the lock go
}
