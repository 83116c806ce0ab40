package consensustest

import (
	"io"
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// CrashFS is Pebble's file system in memory that can lose what was not synced. It adds
// one thing: Pebble's own takes its lock twice in Link, Lock and ReuseForWrite, and so
// hangs for ever when a crash is wanted in between.
type CrashFS struct {
	vfs.FS // a *vfs.MemFS
	mem    *vfs.MemFS
	twice  sync.RWMutex
}

// NewCrashFS returns an empty one.
func NewCrashFS() *CrashFS { return wrapCrash(vfs.NewCrashableMem()) }

func wrapCrash(mem *vfs.MemFS) *CrashFS { return &CrashFS{FS: mem, mem: mem} }

// PowerCut returns what a power cut at this moment leaves on the disk: all that was
// synced, and of the rest each block and each name with a chance of percent, by rng (nil
// if percent is 0). The file system itself goes on.
func (c *CrashFS) PowerCut(percent int, rng *rand.Rand) *CrashFS {
	c.twice.Lock()
	defer c.twice.Unlock()
	return wrapCrash(c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}))
}

// Link is vfs.FS's.
func (c *CrashFS) Link(oldname, newname string) error {
	c.twice.RLock()
	defer c.twice.RUnlock()
	return c.FS.Link(oldname, newname)
}

// Lock is vfs.FS's.
func (c *CrashFS) Lock(name string) (io.Closer, error) {
	c.twice.RLock()
	defer c.twice.RUnlock()
	return c.FS.Lock(name)
}

// ReuseForWrite is vfs.FS's.
func (c *CrashFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	c.twice.RLock()
	defer c.twice.RUnlock()
	return c.FS.ReuseForWrite(oldname, newname, category)
}
