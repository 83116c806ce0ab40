//go:build unix

package load

import (
	"syscall"
	"time"
)

// ownCPU is what this process has used, in seconds; 0 if the system does not tell.
func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
