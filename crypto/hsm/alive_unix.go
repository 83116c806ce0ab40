//go:build unix

package hsm

import (
	"errors"
	"syscall"
)

// alive looks whether the module has closed an idle session, without waiting: then nothing was asked
// of it yet, and another session may be taken. An idle session has nothing to say.
func (l *link) alive() bool {
	conn, ok := l.c.(syscall.Conn)
	if !ok {
		return true // a test's connection: the request itself finds out
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, failed := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = errors.Is(failed, syscall.EAGAIN)
	})
	return err == nil && quiet
}
