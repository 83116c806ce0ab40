package command

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// NoCoreDumps keeps the system from writing this process's memory to disk, and other programs of its user from looking
// into it: keys and persons stand there. It cannot be taken back.
func NoCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("command: no core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("command: no core dumps: %w", err)
	}
	return nil
}

const (
	terminal = "/dev/tty"
	typedMax = 1 << 10 // bytes of a line that is typed
)

// AskTerminal asks the terminal a question and reads a line.
func AskTerminal(question string) (string, error) {
	line, err := onTerminal(question, true)
	return string(line), err
}

// AskSecret asks the terminal for something that is not shown.
func AskSecret(question string) ([]byte, error) { return onTerminal(question, false) }

func onTerminal(question string, shown bool) ([]byte, error) {
	tty, err := os.OpenFile(terminal, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("command: there is no terminal to ask (name a file instead): %w", err)
	}
	line, err := askOn(tty, question, shown)
	return line, errors.Join(err, tty.Close())
}

func askOn(tty *os.File, question string, shown bool) ([]byte, error) {
	if _, err := io.WriteString(tty, question); err != nil {
		return nil, err
	}
	if shown {
		return readAnswer(tty)
	}
	fd := int(tty.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	quiet := *before
	quiet.Lflag &^= unix.ECHO
	if err = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet); err != nil {
		return nil, err
	}
	line, err := readAnswer(tty)
	restored := unix.IoctlSetTermios(fd, unix.TCSETS, before)
	_, ended := io.WriteString(tty, "\n")
	return line, errors.Join(err, restored, ended)
}

func readAnswer(r io.Reader) ([]byte, error) {
	line, err := bufio.NewReaderSize(r, typedMax).ReadSlice('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("command: the answer: %w", err)
	}
	return bytes.TrimRight(bytes.Clone(line), "\r\n"), nil
}
