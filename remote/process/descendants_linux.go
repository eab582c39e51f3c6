package process

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// descendants is the knowledge of one command's descendants, beside its process group.
type descendants struct {
	e       *Conn
	group   *group   // nil: none
	control *os.File // our end of the socket to its reaper; nil: there is none
	stay    bool
	sweeps  bool // processes that it leaves are swept away
	ooms    int  // kills for lack of memory before it began
}

// launch starts a command's process, with the means to find its descendants again.
func (e *Conn) launch(c *exec.Cmd, cmd *compute.Command, p *program) (*descendants, error) {
	k := &descendants{e: e, stay: cmd.Stay}
	switch {
	case p.prefixed != nil:
	case e.groups != nil:
		g, err := e.groups.get()
		if err != nil {
			return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: fmt.Errorf("a cgroup for the command: %w", err)}
		}
		k.group = g
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(g.dir.Fd())
	case e.opt.Alone && e.opt.Orphans != nil && os.Getpid() == 1 && (cmd.Stay || !e.opt.Orphans.staying()):
		if k.sweeps = !cmd.Stay; cmd.Stay {
			e.opt.Orphans.stay()
		}
	case len(e.opt.Reaper) > 0 && !cmd.Stay:
		return k, k.startReaped(c, p)
	}
	k.ooms = k.oomKills()
	err := e.opt.Orphans.start(c)
	if err != nil && k.group != nil {
		e.groups.put(k.group, false)
	}
	return k, err
}

// kill kills the descendants at once. It reports whether the reaper does the rest.
func (k *descendants) kill(over func() bool) bool {
	if k.group != nil {
		k.group.kill()
	}
	if !k.endReaper() {
		return false
	}
	for late := time.Now().Add(reapWait + time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if over() {
			return true
		}
	}
	return false
}

// endReaper tells the reaper to end all, and reports whether there is one.
func (k *descendants) endReaper() bool {
	// the end of the socket tells it
	return k.control != nil && unix.Shutdown(int(k.control.Fd()), unix.SHUT_WR) == nil
}

// killFile returns a file that ends all the descendants when it is written; nil: there is none.
func (k *descendants) killFile() *os.File {
	if k.group == nil {
		return nil
	}
	f, err := openAt(k.group.dir, "cgroup.kill", unix.O_WRONLY)
	if err != nil {
		return nil // Linux before 5.14
	}
	return f
}

// ended is called when the command has ended, before its number can be another's.
func (k *descendants) ended() {
	if k.group == nil {
		return
	}
	k.e.groups.put(k.group, k.stay)
}

// gone is called when the command's number is free.
func (k *descendants) gone() {
	if k.sweeps {
		k.e.opt.Orphans.sweep()
	}
}

// exitStatus returns how the command ended, by the reaper's word where there is one, and the reason
// where it is known.
func (k *descendants) exitStatus(ws unix.WaitStatus) (unix.WaitStatus, string) {
	if k.control != nil {
		if told, ok := readStatus(k.control); ok {
			ws = told
		}
		_ = k.control.Close()
	}
	// a shell's status for a killed command
	killed := ws.Signaled() && ws.Signal() == unix.SIGKILL || ws.Exited() && ws.ExitStatus() == 128+int(unix.SIGKILL)
	if killed && k.oomKills() > k.ooms {
		return ws, "out of memory"
	}
	return ws, ""
}

// oomKills returns how often the kernel killed for want of memory: in the run's own group, or
// else as the option counts. It is zero if neither is there.
func (k *descendants) oomKills() int {
	switch {
	case k.group != nil && k.group.memory != nil:
		return k.group.oomKills()
	case k.e.opt.OOMKills != nil:
		return k.e.opt.OOMKills()
	}
	return 0
}
