package hsm

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
)

// sharedMode lets every user's process knock: whose it is the kernel says.
const sharedMode os.FileMode = 0o666

// Share lets processes of other users reach the socket: those of Module.UIDs get a session, the others are closed. What
// guards the socket's folder guards it, too. Errors: those of os.
func Share(path string) error {
	if err := os.Chmod(path, sharedMode); err != nil {
		return fmt.Errorf("hsm: %w", err)
	}
	return nil
}

// peer checks whose process has connected, by what the kernel says.
func (s *Server) peer(c net.Conn) error {
	unix, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("no Unix socket")
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return err
	}
	var who *syscall.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		who, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, asked); err != nil {
		return err
	}
	if !slices.Contains(s.m.UIDs, int(who.Uid)) {
		return fmt.Errorf("user %d", who.Uid)
	}
	return nil
}
