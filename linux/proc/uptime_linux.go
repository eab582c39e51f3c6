package proc

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Uptime returns how long this machine has run, with its sleep, as processes of this name space see
// it, by a clock that nobody sets. run is an id of this run of the machine, without spaces: two
// values of up compare only with the same run.
func Uptime() (run string, up time.Duration, err error) {
	boot, err := BootID()
	if err != nil {
		return "", 0, err
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return "", 0, os.NewSyscallError("clock_gettime", err)
	}
	space, _ := os.Readlink("/proc/self/ns/time") // kernels before 5.6 have no such name spaces
	return strings.ReplaceAll(boot+space, " ", ""), time.Duration(t.Nano()), nil
}
