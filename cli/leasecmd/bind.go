package leasecmd

import (
	"errors"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/linux/proc"
)

// idleBound is how long a lease lasts without a sign of use from its process, if the controller
// cannot see the process.
const idleBound = 30 * time.Second

// bindTo makes a lease end with a process of this machine. A remote controller cannot see the
// process. There the lease ends when it is unused for a while, and its use is reported as long as
// the process lives.
func bindTo(a *cli.App, req *compute.Request, pid int) error {
	if !a.Self().Here {
		if req.Idle <= 0 || req.Idle > idleBound {
			req.Idle = idleBound
		}
		return nil
	}
	p, err := proc.Live(pid)
	req.For = p
	return err
}

// defaultIdle sets how long a lease may be unused if neither the request nor its source says so.
// The engine in this process has an option for that.
func defaultIdle(a *cli.App, req *compute.Request, idle time.Duration) {
	if a.Remote == nil || req.Idle != 0 {
		return
	}
	if s, _ := a.Source(req.Source); s.LeaseIdle == 0 {
		req.Idle = idle
	}
}

// processOf finds the process of --for; the zero value if there is none.
func processOf(pid string) (compute.Process, error) {
	if pid == "" {
		return compute.Process{}, nil
	}
	n, err := strconv.ParseUint(pid, 10, 31)
	if err != nil || n == 0 {
		return compute.Process{}, fault.Invalid("in a shell $$ is its own", "--for %q: not the number of a process", pid)
	}
	p, err := proc.Live(int(n))
	if errors.Is(err, compute.ErrNotFound) {
		return p, fault.Invalid("", "--for %s: no such process", pid)
	}
	return p, err
}
