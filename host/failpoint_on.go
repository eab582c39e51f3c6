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

// Step is for tests of crashes. It writes the name of each recorded step to the file HOSTLER_STEPS.
// At the step whose number or name is HOSTLER_DIE, it kills the process with SIGKILL.
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
