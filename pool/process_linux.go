package pool

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// ProcessOf returns a live process by its number, with its start time. ErrNotFound: there is none.
func ProcessOf(pid int) (compute.Process, error) {
	s, err := proc.Look(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.Ended() {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	return compute.Process{PID: pid, Start: s.Start}, err
}
