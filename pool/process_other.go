//go:build !linux

package pool

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// ProcessOf returns what is known of a living process; here its number alone.
func ProcessOf(pid int) (compute.Process, error) {
	if err := unix.Kill(pid, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	return compute.Process{PID: pid}, nil
}
