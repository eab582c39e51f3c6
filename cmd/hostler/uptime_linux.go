package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/proc"
)

// uptime is how long this machine has run, its sleep counted, as processes of this name space see it.
func uptime() (pool.Uptime, error) {
	boot, err := proc.Boot()
	if err != nil {
		return pool.Uptime{}, err
	}
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return pool.Uptime{}, os.NewSyscallError("clock_gettime", err)
	}
	space, _ := os.Readlink("/proc/self/ns/time") // kernels before 5.6 have one alone
	return pool.Uptime{Run: strings.ReplaceAll(boot+space, " ", ""), For: time.Duration(t.Nano())}, nil
}
