package pool

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// ProcessOf returns what tells a living process from a later one with its number. ErrNotFound:
// there is none.
func ProcessOf(pid int) (compute.Process, error) {
	s, err := proc.Look(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.Ended() {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	return compute.Process{PID: pid, Start: s.Start}, err
}
