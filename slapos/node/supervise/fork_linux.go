package supervise

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
)

// fork starts a program's process, which is not recorded yet. If we end before that, it is found by
// its mark.
func (c *core) fork(p *program) error {
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
	attr := &os.ProcAttr{Dir: p.Dir, Env: append(p.Env[:len(p.Env):len(p.Env)], markKey+"="+c.processes.markOf(p, begun)),
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
	if within := c.cgroups.confine(p); within != nil {
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
	of, err := proc.Identify(child.Pid)
	if err != nil { // it cannot have been reaped: only we do
		return fmt.Errorf("the process that was started cannot be seen: %w", err)
	}
	return c.processes.watch(&run{p: p, proc: of, fd: fd, child: true, begun: begun})
}
