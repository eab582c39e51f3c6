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

// markKey is the variable by which processes of a supervisor are known, also those that were never
// recorded.
const markKey = "HOSTLER_SERVICE"

// markOf is its value: the supervisor's id, the program, and when it was started.
func (s *Supervisor) markOf(p *program, begun time.Time) string {
	return s.mark + " " + strconv.FormatInt(begun.UnixNano(), 36) + " " + p.full()
}

// fork starts a program's process, which is not recorded yet. If we end before that, it is found by
// its mark.
func (s *Supervisor) fork(p *program) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	out := null
	if p.Log != "" {
		if out, err = openLog(&p.Program); err != nil {
			return err
		}
		defer out.Close()
	}
	begun := time.Now()
	fd := -1
	attr := &os.ProcAttr{Dir: p.Dir, Env: append(p.Env[:len(p.Env):len(p.Env)], markKey+"="+s.markOf(p, begun)),
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &fd}}
	if u := p.User; u != nil && os.Getuid() == 0 {
		attr.Sys.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	var child *os.Process
	start := func() (err error) {
		child, err = os.StartProcess(p.Command[0], p.Command, attr)
		return err
	}
	if within := s.confine(p); within != nil {
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = within.FD() >= 0, max(within.FD(), 0)
		err = within.Start(start)
		_ = within.Close()
	} else {
		err = start()
	}
	if err != nil {
		return err
	}
	defer func() { _ = child.Release() }()
	if fd < 0 {
		_ = child.Kill()
		_, _ = child.Wait()
		return errors.New("this kernel has no handles of processes (pidfd), of Linux 5.3 and later")
	}
	of, err := proc.Of(child.Pid)
	if err != nil { // it cannot have been reaped: only we do
		return fmt.Errorf("the process that was started cannot be seen: %w", err)
	}
	return s.watch(&run{p: p, proc: of, fd: fd, child: true, begun: begun})
}

// watch has the end of a process be heard of.
func (s *Supervisor) watch(r *run) error {
	if err := unix.EpollCtl(s.poll, unix.EPOLL_CTL_ADD, r.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(r.fd)}); err != nil {
		_ = unix.Close(r.fd)
		return fmt.Errorf("the end of the process cannot be waited for: %w", err)
	}
	s.runs[r.fd], r.p.run = r, r
	r.p.g.dirty = true
	return nil
}

// bury records the end of a process, and describes it. Unless its program may leave processes, the
// rest of its process group is ended too.
func (s *Supervisor) bury(r *run) (how string) {
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
	delete(s.runs, r.fd)
	_ = unix.Close(r.fd)
	r.p.g.dirty = true
	return how
}

// signal sends a signal to a program's group of processes: that of its process, which leads it for
// as long as it lives.
func (s *Supervisor) signal(p *program, sig unix.Signal) {
	if r := p.run; r != nil && s.lead(p, 0) {
		_ = unix.Kill(-r.proc.PID, sig)
	}
}

// lead sends a signal to a program's process alone, and reports whether it is there.
func (s *Supervisor) lead(p *program, sig unix.Signal) bool {
	return unix.PidfdSendSignal(p.run.fd, sig, nil, 0) == nil
}

// marked calls f with every process that has a mark of this supervisor: its program, and when it
// was started.
func (s *Supervisor) marked(f func(pid int, name, begun string)) error {
	pids, err := proc.PIDs()
	if err != nil {
		return err
	}
	start := []byte(markKey + "=" + s.mark + " ")
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
func (s *Supervisor) sweep(ended map[string]bool) {
	if len(ended) == 0 {
		return
	}
	for range 3 { // a process that is being born is found next time
		n := 0
		err := s.marked(func(pid int, name, begun string) {
			if !ended[begun+" "+name] {
				return
			}
			h, err := proc.Open(pid)
			if err != nil {
				return
			}
			defer h.Close()
			env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
			if err == nil && bytes.Contains(env, []byte(s.mark+" "+begun+" "+name)) {
				n++
				_ = h.Signal(unix.SIGKILL)
			}
		})
		if err != nil || n == 0 {
			return
		}
	}
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
	return strconv.FormatInt(r.begun.UnixNano(), 36) + " " + cmp.Or(r.p.full(), "")
}
