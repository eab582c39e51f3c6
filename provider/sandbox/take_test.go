//go:build linux

package sandbox_test

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// takeEnv makes the test's program one that takes all it can get of something the machine has
// once: its value is what, and at most how many. It says how many it got and why no more,
// and holds them until its input ends.
const takeEnv = "HOSTLER_TEST_TAKE"

func take(text string) int {
	words := strings.Fields(text)
	most, err := strconv.Atoi(words[1])
	one, ok := takers[words[0]]
	if err != nil || !ok {
		panic("nothing is called " + text)
	}
	got := 0
	for got < most && err == nil {
		if err = one(got); err == nil {
			got++
		}
	}
	fmt.Printf("took %d: %v\n", got, err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// takers take one more, the nth.
var takers = map[string]func(n int) error{
	"ptys": func(int) error {
		_, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	},
	"aio": func(int) error {
		var context uintptr
		_, _, errno := unix.Syscall(unix.SYS_IO_SETUP, 128, uintptr(unsafe.Pointer(&context)), 0)
		return errnoError(errno)
	},
}

// errnoError is nil for none.
func errnoError(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
