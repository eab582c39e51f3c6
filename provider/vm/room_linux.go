package vm

import (
	"fmt"
	"math"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm/qcow"
)

// installed is how many bytes of memory this machine has.
func installed() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return math.MaxInt64
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// room refuses a request for more than this machine has: with it this machine and all on it would
// stand still.
func room(spec compute.Spec) error {
	var err error
	switch have := installed(); {
	case spec.Cores > runtime.NumCPU():
		err = fmt.Errorf("%d cores are asked for, this machine has %d", spec.Cores, runtime.NumCPU())
	case spec.Memory > have:
		err = fmt.Errorf("%d MiB of memory are asked for, this machine has %d", spec.Memory>>20, have>>20)
	case spec.Disk > qcow.Most:
		err = fmt.Errorf("a disk of %d GiB is asked for, one has at most %d", spec.Disk>>30, int64(qcow.Most>>30))
	case spec.GPUs > 0:
		err = fmt.Errorf("%d GPUs are asked for, virtual machines here have none", spec.GPUs)
	default:
		return nil
	}
	return &compute.Error{Op: "vm.Create", ID: spec.ID, Kind: compute.ErrTooLarge, Err: err, Hint: "ask for less, or another source"}
}
