package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// Process identifies a process among all that ever were on this machine, so that it can be
// recorded. The zero Process is none.
type Process struct {
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"` // when it began, in the kernel's ticks since the boot
	Boot  string `json:"boot,omitempty"`  // the boot's id
}

// boot is the id of this boot of the machine, read once: it does not change while we run.
var boot struct {
	once sync.Once
	id   string
	err  error
}

// BootID returns the id of this boot of the machine.
func BootID() (string, error) {
	boot.once.Do(func() {
		const name = "/proc/sys/kernel/random/boot_id"
		var buf [64]byte
		n, err := read(name, buf[:])
		if boot.id = string(bytes.TrimSpace(buf[:max(n, 0)])); err == nil && boot.id == "" {
			err = errors.New("it is empty")
		}
		if err != nil {
			boot.err = &fs.PathError{Op: "read", Path: name, Err: err}
		}
	})
	return boot.id, boot.err
}

// Identify describes the process that has a number now. It may have ended and wait for its parent.
// fs.ErrNotExist: there is none.
func Identify(pid int) (Process, error) {
	id, err := BootID()
	if err != nil {
		return Process{}, err
	}
	s, err := ReadStat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: s.Start, Boot: id}, nil
}

// Open opens the process. fs.ErrNotExist: it has ended, even if another has its number now.
func (p Process) Open() (*Handle, error) {
	id, err := BootID()
	if err != nil {
		return nil, err
	}
	gone := func() error { return fmt.Errorf("process %d: %w", p.PID, fs.ErrNotExist) }
	if p.Boot != id || p.PID <= 1 {
		return nil, gone()
	}
	h, err := Open(p.PID)
	if err != nil {
		return nil, err
	}
	// Now its number cannot become another's, so /proc speaks of this process.
	s, err := ReadStat(p.PID)
	if err == nil && (s.Start != p.Start || h.Ended()) {
		err = gone()
	}
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

// Alive reports whether the process runs.
func (p Process) Alive() (bool, error) {
	h, err := p.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, h.Close()
}

// Kill kills the process, and waits for its end. It is no error if it has ended already.
func (p Process) Kill(ctx context.Context) error {
	h, err := p.Open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	return h.Kill(ctx)
}
