package proc

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/hostler-project/hostler/compute"
)

// Live returns the process that has a number now, as a lease can be bound to it. ErrNotFound:
// there is none, or it has ended.
func Live(pid int) (compute.Process, error) {
	s, err := ReadStat(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.Ended() {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	return compute.Process{PID: pid, Start: s.Start}, err
}
