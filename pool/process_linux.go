package pool

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/hostler-project/hostler/compute"
)

// ProcessOf returns what tells a living process from a later one with its number: the 22nd field of /proc/PID/stat, proc(5).
func ProcessOf(pid int) (compute.Process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound, Err: err}
	}
	// The second field is the program's name in brackets, which may hold anything, brackets and spaces too.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 || f[0][0] == 'Z' || f[0][0] == 'X' {
		return compute.Process{}, &compute.Error{ID: compute.ID(fmt.Sprint("process ", pid)), Kind: compute.ErrNotFound}
	}
	start, err := strconv.ParseUint(string(f[19]), 10, 64)
	return compute.Process{PID: pid, Start: start}, err
}
