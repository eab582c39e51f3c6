package cgroup

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Start calls f on an operating system thread in the group's directories of version 1, and then
// takes the thread back. A process that f starts is born there. f starts a process and nothing
// else: no goroutines. The process is in the group of version 2 only if it is cloned with FD. The
// error is f's, or that the thread could not enter; then f was not called. Where we may not go back
// to our own group, the thread ends after f, and with it a process that was started with Pdeathsig.
func (g *Group) Start(f func() error) error { return g.start(f, false) }

// StartLast is Start on a thread that ends after f, so that f may change the thread's own state,
// such as its user. A process that was started with Pdeathsig ends with the thread.
func (g *Group) StartLast(f func() error) error { return g.start(f, true) }

// start calls f in the group's directories of version 1. With last the thread ends after f.
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
	return onOwnThread(call)
}

// onOwnThread calls f in a goroutine of its own, but not on the process's first thread: /proc
// shows that thread's groups for the process, and others may be looking for their own group just
// now.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			done <- f() // it unlocks the thread, if others can use it
			return
		}
		defer runtime.UnlockOSThread() // while we hold it no other goroutine gets it
		done <- onOwnThread(f)
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

// move moves the calling thread: a thread that writes 0 moves itself, and the kernel need not wait
// for the other CPUs.
func move(fd int) error {
	_, err := unix.Write(fd, []byte("0"))
	return err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
