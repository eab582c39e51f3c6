//go:build !linux

package proc

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Live returns the process that has a number now, as a lease can be bound to it: here the number
// alone. ErrNotFound: there is none.
func Live(pid int) (compute.Process, error) {
	if err := unix.Kill(pid, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	return compute.Process{PID: pid}, nil
}
