package cgroup

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Start calls f on an operating system thread that is in the group's directories of version 1, so
// that a process which f starts is born there, and takes the thread back. f starts a process and
// nothing else: no goroutines. The process is in the group of version 2 only if it is cloned with
// FD. The error is f's, or that the thread could not enter; then f was not called. Where our own
// group is not ours to go back to, the thread ends after f, and with it a process that was started
// with Pdeathsig.
func (g *Group) Start(f func() error) error { return g.start(f, false) }

// StartLast is Start on a thread that ends after f, so that f may change what is the thread's own,
// such as who it acts as. A process that was started with Pdeathsig ends with it.
func (g *Group) StartLast(f func() error) error { return g.start(f, true) }

func (g *Group) start(f func() error, last bool) error {
	if len(g.v1) == 0 && !last {
		return f()
	}
	inside, home := make([]int, 0, 8), make([]int, 0, 8)
	defer func() {
		closeAll(inside)
		closeAll(home)
	}()
	back := true
	for _, d := range g.v1 {
		fd, err := unix.Open(d.dir+"/tasks", unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "enter", Path: d.dir, Err: err}
		}
		inside = append(inside, fd)
		if last {
			continue
		}
		if fd, err = unix.Open(d.home+"/tasks", unix.O_WRONLY|unix.O_CLOEXEC, 0); err != nil {
			back = false
			continue
		}
		home = append(home, fd)
	}
	call := func() error {
		err := g.enter(inside)
		if err == nil {
			err = f()
		}
		for _, fd := range home {
			if move(fd) != nil {
				back = false
			}
		}
		if back && !last {
			runtime.UnlockOSThread() // else it ends with the goroutine
		}
		return err
	}
	return apart(call)
}

// apart calls f in a goroutine of its own, and not on the process's first thread: /proc says of the
// process what is true of that one, and others may be looking for their own group just now.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f() // which lets go of the thread, if it can be of use to others
			return
		}
		defer runtime.UnlockOSThread() // as long as we hold it nobody else gets it
		done <- apart(f)
	}()
	return <-done
}

// enter moves the thread into groups whose files of tasks are open.
func (g *Group) enter(inside []int) error {
	for i, fd := range inside {
		if err := move(fd); err != nil {
			return &os.PathError{Op: "enter", Path: g.v1[i].dir, Err: err}
		}
	}
	return nil
}

// move moves the calling thread: a thread that writes 0 moves itself, for which the kernel need not
// wait for the other CPUs.
func move(fd int) error {
	_, err := unix.Write(fd, []byte("0"))
	return err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
