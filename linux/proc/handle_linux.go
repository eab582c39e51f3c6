package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Handle is an open process: until Close its number means this process alone, even after its end.
// It is for one goroutine at a time.
type Handle struct {
	PID int
	fd  int
}

// Open opens the process that has a number now. fs.ErrNotExist: there is none.
func Open(pid int) (*Handle, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	// the number is now a thread's
	if errors.Is(err, unix.ESRCH) || pid > 0 && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT)) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	return &Handle{PID: pid, fd: fd}, nil
}

// Close closes the handle. The process runs on.
func (h *Handle) Close() error { return unix.Close(h.fd) }

// Signal sends a signal. It is no error if the process has ended.
func (h *Handle) Signal(sig unix.Signal) error {
	if err := unix.PidfdSendSignal(h.fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return os.NewSyscallError("pidfd_send_signal", err)
	}
	return nil
}

// Ended reports whether its last thread has ended. Its parent need not have waited for it.
func (h *Handle) Ended() bool {
	ended, err := h.poll(0)
	return ended && err == nil
}

func (h *Handle) poll(wait time.Duration) (bool, error) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}, int((wait+time.Millisecond-1)/time.Millisecond))
	if errors.Is(err, unix.EINTR) {
		return false, nil
	}
	return n > 0, os.NewSyscallError("poll", err)
}

// Wait waits until the process has ended. It fails after most, or when ctx ends.
func (h *Handle) Wait(ctx context.Context, most time.Duration) error {
	const look = 50 * time.Millisecond // the longest delay until the end of ctx is seen
	for end := time.Now().Add(most); ; {
		ended, err := h.poll(min(look, max(0, time.Until(end))))
		switch {
		case ended:
			return nil
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !time.Now().Before(end):
			return fmt.Errorf("process %d does not end", h.PID)
		}
	}
}

// patience is how long a killed process may take to end: the kernel may be in the middle of a call
// for it.
const patience = 20 * time.Second

// Kill kills the process, and waits for its end.
func (h *Handle) Kill(ctx context.Context) error {
	if err := h.Signal(unix.SIGKILL); err != nil {
		return err
	}
	return h.Wait(ctx, patience)
}
