package standalone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// supported says whether this machine can be a node.
func supported() error { return nil }

// endWithParent has a process end when we are killed.
func endWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = unix.SIGTERM }

// lockDirectory makes us the only one that runs in a directory, and writes our process number to
// a file; free ends that. The file stays, as waiting processes have it open.
func lockDirectory(path string) (free func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrInvalid, Err: err}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrInvalid, Err: err}
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrConflict, Err: fmt.Errorf("%w: %s", ErrRuns, path)}
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	return func() { _, _ = f.Truncate(0), f.Close() }, nil
}

// endPartition ends what passes have left running in a partition.
func endPartition(ctx context.Context, computer, dir string) error {
	_, err := runas.End(ctx, runas.Partition(computer, dir), nil)
	_, also := runas.End(ctx, runas.Reports(computer, dir), nil)
	return errors.Join(err, also)
}
