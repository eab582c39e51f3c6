package cgroup

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// patience is how long Remove waits for a group whose killed processes are not gone yet.
const patience = 5 * time.Second

// Remove removes the group's directories and those that the sandbox made below. It kills nothing.
// It waits up to 5 seconds, or until ctx ends, for processes that are ending. A missing group is no
// error.
func (g *Group) Remove(ctx context.Context) error {
	var first error
	for _, d := range g.v1 {
		if err := removeTree(ctx, d.dir); err != nil && first == nil {
			first = err
		}
	}
	if g.v2 != "" {
		if err := removeTree(ctx, g.v2); err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return g.error("Remove", compute.ErrFailed, first)
	}
	return nil
}

// removeTree removes a directory of a control group file system and those below it, and retries
// while they are busy.
func removeTree(ctx context.Context, dir string) error {
	end := time.Now().Add(patience)
	pause := 100 * time.Microsecond
	for {
		err := unix.Rmdir(dir)
		if err == unix.EBUSY || err == unix.ENOTEMPTY {
			if err = removeBelow(dir); err == nil {
				err = unix.Rmdir(dir)
			}
		}
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(end) || ctx.Err() != nil {
			return &os.PathError{Op: "remove", Path: dir, Err: err}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, 20*time.Millisecond)
	}
}

// removeBelow removes the directories below a directory, the deepest first. Their names are not
// ours, and there may be thousands of levels: it goes down and up on one descriptor, never by
// paths. It removes what it can, and returns EBUSY if something is still in use.
func removeBelow(dir string) error {
	at, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	type level struct {
		name string   // in the one above
		busy []string // those below it that could not be removed
	}
	stack := []level{{}}
	defer func() { _ = unix.Close(at) }()
	go_ := func(name string) error {
		fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err == nil {
			_ = unix.Close(at)
			at = fd
		}
		return err
	}
	for {
		top := &stack[len(stack)-1]
		name, err := child(at, top.busy)
		if err != nil {
			return err
		}
		if name != "" {
			switch err := go_(name); err {
			case nil:
				stack = append(stack, level{name: name})
			case unix.ENOENT:
			default:
				return err
			}
			continue
		}
		if len(stack) == 1 {
			if len(top.busy) > 0 {
				return unix.EBUSY
			}
			return nil
		}
		if err := go_(".."); err != nil {
			return err
		}
		stack = stack[:len(stack)-1]
		if err := unix.Unlinkat(at, top.name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
			above := &stack[len(stack)-1]
			above.busy = append(above.busy, top.name)
		}
	}
}

// child returns the name of a directory below, other than those in except; "": there is none.
func child(at int, except []string) (string, error) {
	if _, err := unix.Seek(at, 0, 0); err != nil {
		return "", err
	}
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(at, buf)
		if err != nil || n <= 0 {
			return "", err
		}
		if name := directory(buf[:n], except); name != "" {
			return name, nil
		}
	}
}
