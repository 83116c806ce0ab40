package emm

import (
	"errors"
	"runtime"

	"golang.org/x/sys/cpu"
)

// ErrPlatform: SM4 would run over tables here, whose look-ups tell the key to who shares the
// processor's cache.
var ErrPlatform = errors.New("emm: no constant-time SM4 on this processor")

// CheckPlatform returns nil where the library has SM4 without tables: amd64 and arm64 with AES
// instructions. A node in production does not start without; a demonstration may warn and go on.
func CheckPlatform() error {
	switch runtime.GOARCH {
	case "amd64":
		if assembly && cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ {
			return nil
		}
	case "arm64":
		if assembly && (cpu.ARM64.HasAES || runtime.GOOS == "darwin") {
			return nil
		}
	}
	return ErrPlatform
}
