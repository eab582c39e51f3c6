package process

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// kin is what is known of the descendants of one command, beside its process group.
type kin struct {
	e       *Conn
	group   *group   // nil: none
	control *os.File // our end of the line to the reaper that is its parent; nil: there is none
	stay    bool
	alone   bool // what it leaves is swept away
	ooms    int  // how many were killed for want of memory before it began
}

// launch starts a command's process with what is needed to find its descendants again.
func (e *Conn) launch(c *exec.Cmd, cmd *compute.Command, p *program) (*kin, error) {
	k := &kin{e: e, stay: cmd.Stay}
	switch {
	case p.behind != nil:
	case e.groups != nil:
		g, err := e.groups.get()
		if err != nil {
			return nil, &compute.Error{Op: "exec.Run", Kind: compute.ErrCannotStart, Err: fmt.Errorf("a cgroup for the command: %w", err)}
		}
		k.group = g
		c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(g.dir.Fd())
	case e.opt.Alone && e.opt.Orphans != nil && os.Getpid() == 1 && (cmd.Stay || !e.opt.Orphans.staying()):
		if k.alone = !cmd.Stay; cmd.Stay {
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

// kill ends the descendants at once. It reports whether there is nothing else to do, as the reaper
// does it.
func (k *kin) kill(over func() bool) bool {
	if k.group != nil {
		k.group.kill()
	}
	if !k.over() {
		return false
	}
	for late := time.Now().Add(reapWait + time.Second); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if over() {
			return true
		}
	}
	return false
}

// over tells the reaper to end all, and reports whether there is one.
func (k *kin) over() bool {
	// the end of its line says so
	return k.control != nil && unix.Shutdown(int(k.control.Fd()), unix.SHUT_WR) == nil
}

// end is the file by which whoever has it open ends all the descendants; nil: there is none.
func (k *kin) end() *os.File {
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
func (k *kin) ended() {
	if k.group == nil {
		return
	}
	k.e.groups.put(k.group, k.stay)
}

// gone is called when the command has no number any more.
func (k *kin) gone() {
	if k.alone {
		k.e.opt.Orphans.sweep()
	}
}

// outcome is how the command ended, where a reaper knows it better than the kernel told us, and
// why, where that is known.
func (k *kin) outcome(ws unix.WaitStatus) (unix.WaitStatus, string) {
	if k.control != nil {
		if told, ok := readStatus(k.control); ok {
			ws = told
		}
		_ = k.control.Close()
	}
	// a shell's word for it
	killed := ws.Signaled() && ws.Signal() == unix.SIGKILL || ws.Exited() && ws.ExitStatus() == 128+int(unix.SIGKILL)
	if killed && k.oomKills() > k.ooms {
		return ws, "out of memory"
	}
	return ws, ""
}

func (k *kin) oomKills() int {
	switch {
	case k.group != nil && k.group.memory != nil:
		return k.group.oomKills()
	case k.e.opt.OOMKills != nil:
		return k.e.opt.OOMKills()
	}
	return 0
}
