package marked

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// Core looks into a core dump, piece by piece. counts says of an address in the dumped process whether a finding there
// counts: the dead memory of a program is not what it keeps.
func (h *Hunt) Core(place, what, path string, counts func(address uint64) bool) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("marked: %w", err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || p.Filesz == 0 {
			continue
		}
		keep := func(at int64) bool { return counts(p.Vaddr + uint64(at)) }                            //nolint:gosec // a place in a file
		if err = h.stream(place, what, io.NewSectionReader(p, 0, int64(p.Filesz)), keep); err != nil { //nolint:gosec // so
			break
		}
	}
	return errors.Join(err, f.Close())
}
