package proc

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Uptime is how long this machine has run, its sleep counted, as processes of this name space see
// it, by a clock that nobody sets. run names that run of it, without spaces: of another one it says
// nothing.
func Uptime() (run string, up time.Duration, err error) {
	boot, err := Boot()
	if err != nil {
		return "", 0, err
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return "", 0, os.NewSyscallError("clock_gettime", err)
	}
	space, _ := os.Readlink("/proc/self/ns/time") // kernels before 5.6 have one alone
	return strings.ReplaceAll(boot+space, " ", ""), time.Duration(t.Nano()), nil
}
