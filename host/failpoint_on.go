//go:build failpoint

package host

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

var failsteps atomic.Int64

// Step, in programs built for the tests of crashes, writes the name of each recorded step to
// the file HOSTLER_STEPS and, at the step whose number or name is HOSTLER_DIE, kills the process as
// nothing else can.
var Step = func(step string) {
	n := failsteps.Add(1) - 1
	if name := os.Getenv("HOSTLER_STEPS"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			fmt.Fprintln(f, step)
			f.Close()
		}
	}
	die := os.Getenv("HOSTLER_DIE")
	if at, err := strconv.ParseInt(die, 10, 64); err == nil && n == at || die == step {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}
