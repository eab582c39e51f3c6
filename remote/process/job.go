package process

import (
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// job is a started process with its group.
type job struct {
	pid         int
	descendants *descendants
	// entry of the environment that marks its descendants; "": they are known otherwise
	mark     string
	session  bool      // it leads a session, with a terminal of ours
	ptmx     *os.File  // our side of that terminal
	terminal *os.File  // the caller's own terminal, lent to the group while it runs; nil: none
	prefixed *prefixed // the command on the other side of a prefix; nil: there is none
	reaped   func()    // called when the process is gone

	mu    sync.Mutex
	ended bool // its number may be another's by now
}

// signal sends a signal to the group, if it still has its leader. With a terminal it sends it to
// the terminal's foreground group, as the keyboard would.
func (j *job) signal(s syscall.Signal) {
	if j.far(strings.TrimPrefix(unix.SignalName(s), "SIG")) {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	// a reaper is of the group too, and is needed
	if j.ended || s == unix.SIGKILL && j.descendants.endReaper() {
		return
	}
	group := j.pid
	if j.session {
		if fg := terminalGroup(j.ptmx); fg > 1 {
			group = fg
		}
	}
	if unix.Kill(-group, s) != nil && group != j.pid {
		_ = unix.Kill(-j.pid, s)
	}
}

// kill kills the whole group, or session, at once.
func (j *job) kill() {
	if j.prefixed != nil {
		j.prefixed.soon()
		j.far("KILL")
	}
	if j.descendants.kill(j.over) {
		return
	}
	j.killTree()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended {
		return
	}
	if j.session {
		killSession(j.pid)
		if fg := terminalGroup(j.ptmx); fg > 1 {
			_ = unix.Kill(-fg, unix.SIGKILL)
		}
	}
	_ = unix.Kill(-j.pid, unix.SIGKILL)
}

// killTree kills the descendants with the mark, in whatever group and session they are.
func (j *job) killTree() {
	if j.mark == "" {
		return
	}
	if j.prefixed != nil {
		j.prefixed.killTree(j.mark)
		return
	}
	j.mu.Lock()
	leader := j.pid
	if j.ended {
		leader = 0
	}
	j.mu.Unlock()
	killTree(j.mark, leader)
}

// far sends a signal to the group behind a prefix, and reports whether it did. It does not where
// the group is the prefix command's own.
func (j *job) far(name string) bool {
	j.mu.Lock()
	ended := j.ended
	j.mu.Unlock()
	return !ended && j.prefixed != nil && isClosed(j.prefixed.started) && j.prefixed.group != j.pid && j.prefixed.signal(name, j.session)
}

func (j *job) resize(s compute.Size) {
	if j.ptmx != nil {
		_ = pty.Setsize(j.ptmx, winsize(s))
	}
}

func winsize(s compute.Size) *pty.Winsize {
	return &pty.Winsize{Rows: uint16(s.Rows), Cols: uint16(s.Cols)}
}

// wait returns when the leader has ended. It does not reap it, so that its number, and its group's,
// is nobody else's.
func (j *job) wait() {
	waitEnd(j.pid, j.stopped)
	j.mu.Lock()
	j.ended = true
	j.mu.Unlock()
}

// ownTerminal returns our controlling terminal if we are in its foreground and the command gets it
// as a stream, else nil. both: it is both input and output.
func ownTerminal(cmd *compute.Command) (own *os.File, both bool) {
	n := 0
	for i, s := range []any{cmd.Stdin, cmd.Stdout, cmd.Stderr} {
		if f, ok := s.(*os.File); ok && f != nil && terminalGroup(f) == unix.Getpgrp() {
			own = f
			if i < 2 {
				n++
			}
		}
	}
	return own, n == 2
}

// terminalGroup returns the foreground group of a terminal, or 0.
func terminalGroup(f *os.File) (group int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if g, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP); err == nil {
			group = g
		}
	})
	return group
}

// foreground lends our terminal to the group: otherwise the group would be stopped as soon as it
// reads from it. The interrupted read is then repeated. In a pipeline this waits until the group is
// stopped: another process of our group, such as a pager, may be reading.
func (j *job) foreground() {
	if j.terminal == nil {
		return
	}
	setTerminalGroup(j.terminal, j.pid)
	_ = unix.Kill(-j.pid, unix.SIGCONT)
}

// background takes our terminal back.
func (j *job) background() {
	if j.terminal != nil {
		setTerminalGroup(j.terminal, unix.Getpgrp())
	}
}

// stopped is called when the leader was stopped, by Ctrl-Z for one. With our own terminal this
// process stops too, so that the shell that started it gets its terminal, and both go on together.
// Without one the sender of the stop may continue the leader.
func (j *job) stopped() {
	if j.terminal == nil {
		return
	}
	if terminalGroup(j.terminal) == unix.Getpgrp() {
		j.foreground() // it asked for the terminal, from the background
		return
	}
	j.background()
	_ = unix.Kill(0, unix.SIGTSTP)
	if terminalGroup(j.terminal) == unix.Getpgrp() {
		setTerminalGroup(j.terminal, j.pid)
	}
	_ = unix.Kill(-j.pid, unix.SIGCONT)
}

// over reports whether the leader has ended.
func (j *job) over() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
