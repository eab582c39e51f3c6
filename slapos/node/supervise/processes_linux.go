package supervise

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// processes are a supervisor's processes. ended, ring, marked and sweep may be called by any
// goroutine.
type processes struct {
	mark string // in the environment of all of them
	poll int
	bell int          // an eventfd: ended is to return
	runs map[int]*run // by the number of their handle
}

func newProcesses(mark string) *processes {
	return &processes{mark: mark, poll: -1, bell: -1, runs: map[int]*run{}}
}

// open makes the epoll and the bell that wakes it.
func (ps *processes) open() (err error) {
	if ps.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if ps.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	return unix.EpollCtl(ps.poll, unix.EPOLL_CTL_ADD, ps.bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(ps.bell)})
}

// close lets the handles go; the processes go on.
func (ps *processes) close() {
	for _, r := range ps.runs {
		_ = unix.Close(r.fd)
	}
	for _, fd := range []int{ps.poll, ps.bell} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// ended waits in the kernel until processes have ended, or ring is called, and returns their
// handles.
func (ps *processes) ended() (fds []int, err error) {
	events := make([]unix.EpollEvent, 64)
	n, err := unix.EpollWait(ps.poll, events, -1)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return nil, err
	}
	for _, e := range events[:max(n, 0)] {
		if int(e.Fd) != ps.bell {
			fds = append(fds, int(e.Fd))
		}
	}
	return fds, nil
}

func (ps *processes) ring() { _, _ = unix.Write(ps.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

// markKey is the variable by which processes of a supervisor are known, also those that were never
// recorded.
const markKey = "HOSTLER_SERVICE"

// markOf is its value: the supervisor's id, the program, and when it was started.
func (ps *processes) markOf(p *program, begun time.Time) string {
	return ps.mark + " " + strconv.FormatInt(begun.UnixNano(), 36) + " " + p.fullName()
}

// watch has the end of a process be heard of.
func (ps *processes) watch(r *run) error {
	if err := unix.EpollCtl(ps.poll, unix.EPOLL_CTL_ADD, r.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.fd)}); err != nil {
		_ = unix.Close(r.fd)
		return fmt.Errorf("the end of the process cannot be waited for: %w", err)
	}
	ps.runs[r.fd], r.p.run = r, r
	r.p.g.dirty = true
	return nil
}

// recordEnd records the end of a process, and describes it. Unless its program may leave
// processes, the rest of its process group is ended too.
func (ps *processes) recordEnd(r *run) (how string) {
	how = "unknown"
	if r.child {
		if r.p.state == Stopping || r.p.Keep != Once { // while its number is not another's
			_ = unix.Kill(-r.proc.PID, unix.SIGKILL)
		}
		var status unix.WaitStatus
		if pid, err := unix.Wait4(r.proc.PID, &status, unix.WNOHANG, nil); err == nil && pid == r.proc.PID {
			if how = fmt.Sprintf("exit status %d", status.ExitStatus()); status.Signaled() {
				how = "signal: " + status.Signal().String()
			}
		}
	}
	delete(ps.runs, r.fd)
	_ = unix.Close(r.fd)
	r.p.g.dirty = true
	return how
}

// signal sends a signal to a program's group of processes: that of its process, which leads it for
// as long as it lives.
func (ps *processes) signal(p *program, sig unix.Signal) {
	if r := p.run; r != nil && ps.signalLeader(p, 0) {
		_ = unix.Kill(-r.proc.PID, sig)
	}
}

// signalLeader sends a signal to a program's process alone, and reports whether it is there.
func (ps *processes) signalLeader(p *program, sig unix.Signal) bool {
	return unix.PidfdSendSignal(p.run.fd, sig, nil, 0) == nil
}

// marked calls f with every process that has a mark of this supervisor: its program, and when it
// was started.
func (ps *processes) marked(f func(pid int, name, begun string)) error {
	pids, err := proc.PIDs()
	if err != nil {
		return err
	}
	start := []byte(markKey + "=" + ps.mark + " ")
	for _, pid := range pids {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil {
			continue // it has gone, or is another user's
		}
		for _, entry := range bytes.Split(env, []byte{0}) {
			if rest, ok := bytes.CutPrefix(entry, start); ok {
				if begun, name, ok := strings.Cut(string(rest), " "); ok {
					f(pid, name, begun)
				}
				break
			}
		}
	}
	return nil
}

// sweep ends the remains of runs that have ended: processes that have left their process groups.
func (ps *processes) sweep(ended map[string]bool) {
	if len(ended) == 0 {
		return
	}
	for range 3 { // a process that is being born is found next time
		n := 0
		err := ps.marked(func(pid int, name, begun string) {
			if !ended[begun+" "+name] {
				return
			}
			h, err := proc.Open(pid)
			if err != nil {
				return
			}
			defer h.Close()
			env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
			if err == nil && bytes.Contains(env, []byte(ps.mark+" "+begun+" "+name)) {
				n++
				_ = h.Signal(unix.SIGKILL)
			}
		})
		if err != nil || n == 0 {
			return
		}
	}
}

// runsAs reports whether a process is of a program's user: all users may set a mark.
func (ps *processes) runsAs(p *program, pid int) bool {
	info, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return false
	}
	want := uint32(os.Getuid())
	if p.User != nil && want == 0 {
		want = p.User.UID
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == want
}

func (p *program) status() Status {
	st := Status{Group: p.g.name, Name: p.Name, State: p.state, Since: p.since, Exit: p.exit, Error: p.err, Restarts: max(0, p.starts-1)}
	if p.run != nil {
		st.PID = p.run.proc.PID
	}
	if p.Log != "" {
		st.Log = p.Dir + "/" + p.Log
	}
	return st
}

// generation names a run among all of its program.
func (r *run) generation() string {
	return strconv.FormatInt(r.begun.UnixNano(), 36) + " " + cmp.Or(r.p.fullName(), "")
}
