//go:build unix

package chaos

import "syscall"

// A process that is gone already is what a fault wants: no error is told.

func kill(pid int) { signal(pid, syscall.SIGKILL) }

func freeze(pid int) { signal(pid, syscall.SIGSTOP) }

func thaw(pid int) { signal(pid, syscall.SIGCONT) }

func signal(pid int, s syscall.Signal) {
	if syscall.Kill(pid, s) != nil {
		return
	}
}
