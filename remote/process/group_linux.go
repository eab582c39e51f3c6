package process

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// groups are the cgroups of the running commands, one each, below a directory that we were given.
// Empty ones are kept for the next commands: to make one takes longer than to start a process.
type groups struct {
	dir *os.File

	mu   sync.Mutex
	next int
	free []*group
	left []*group // of commands that were allowed to leave processes behind
}

const (
	mostFree = 64
	// for killed processes to be gone; a process that hangs in the kernel may take for ever
	emptyWait = 5 * time.Second
)

// group is one cgroup, of version 2.
type group struct {
	name   string
	dir    *os.File
	events *os.File // cgroup.events
	memory *os.File // memory.events; nil: memory is not counted here
	// Linux (seen in 6.18) kills every process that starts right in a group that was once killed,
	// so such a group is of no more use
	killed atomic.Bool
}

// IntoCgroup reports whether processes can start right in a cgroup, as Options.Cgroup needs. That
// takes Linux 5.7, and a filter of system calls may forbid it. It tries with a group that does not
// exist, so nothing starts.
func IntoCgroup() bool {
	const none = 1<<31 - 1
	args := struct { // struct clone_args, of its third version
		flags, pidfd, childTID, parentTID, exit, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
	}{flags: unix.CLONE_INTO_CGROUP, exit: uint64(unix.SIGCHLD), cgroup: none}
	_, _, errno := unix.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&args)), unsafe.Sizeof(args), 0)
	return errno == unix.EBADF
}

// get returns an empty group.
func (s *groups) get() (*group, error) {
	s.mu.Lock()
	if n := len(s.free); n > 0 {
		g := s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		return g, nil
	}
	s.mu.Unlock()
	for {
		s.mu.Lock()
		s.next++
		name := "run-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(s.next)
		s.mu.Unlock()
		err := unix.Mkdirat(int(s.dir.Fd()), name, 0o755)
		if err == unix.EEXIST {
			continue // left by an earlier agent with our number
		}
		if err != nil {
			return nil, &fs.PathError{Op: "mkdir", Path: s.dir.Name() + "/" + name, Err: err}
		}
		g := &group{name: name}
		if g.dir, err = openAt(s.dir, name, unix.O_RDONLY|unix.O_DIRECTORY); err == nil {
			g.events, err = openAt(g.dir, "cgroup.events", unix.O_RDONLY)
		}
		if err != nil {
			s.remove(g)
			return nil, err
		}
		g.memory, _ = openAt(g.dir, "memory.events", unix.O_RDONLY)
		return g, nil
	}
}

// prepare makes a group for the first command.
func (s *groups) prepare() {
	if g, err := s.get(); err == nil {
		s.put(g, false)
	}
}

func openAt(dir *os.File, name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir.Name() + "/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// put takes a group back. Its processes have ended, or may stay.
func (s *groups) put(g *group, stay bool) {
	empty := g.empty()
	if !empty && !stay {
		g.kill()
		empty = g.await()
	}
	s.mu.Lock()
	keep := empty && !g.killed.Load() && len(s.free) < mostFree
	var gone []*group
	if keep {
		s.free = append(s.free, g)
	} else if !empty {
		s.left = append(s.left, g)
	}
	for i := 0; i < len(s.left); { // groups that have become empty since
		if old := s.left[i]; old != g && old.empty() {
			gone = append(gone, old)
			s.left = append(s.left[:i], s.left[i+1:]...)
			continue
		}
		i++
	}
	s.mu.Unlock()
	if empty && !keep {
		gone = append(gone, g)
	}
	for _, g := range gone {
		s.remove(g)
	}
}

// close removes the empty groups: running processes stay in theirs.
func (s *groups) close() {
	s.mu.Lock()
	all := append(s.free, s.left...)
	s.free, s.left = nil, nil
	s.mu.Unlock()
	for _, g := range all {
		s.remove(g)
	}
}

func (s *groups) remove(g *group) {
	for _, f := range []*os.File{g.events, g.memory, g.dir} {
		_ = f.Close() // of a nil file as well
	}
	_ = unix.Unlinkat(int(s.dir.Fd()), g.name, unix.AT_REMOVEDIR)
}

// empty reports whether no process is in the group, or below it.
func (g *group) empty() bool {
	n, ok := counter(g.events, "populated ")
	return ok && n == 0
}

// await waits until the group is empty, for a while.
func (g *group) await() bool {
	for pause, late := 100*time.Microsecond, time.Now().Add(emptyWait); ; pause = min(2*pause, 50*time.Millisecond) {
		if g.empty() {
			return true
		}
		if time.Now().After(late) {
			return false
		}
		time.Sleep(pause)
	}
}

// kill kills all processes in the group, at once.
func (g *group) kill() {
	g.killed.Store(true)
	f, err := openAt(g.dir, "cgroup.kill", unix.O_WRONLY)
	if err == nil {
		_, err = f.WriteString("1")
		_ = f.Close()
	}
	if err == nil {
		return
	}
	for range 10 { // Linux before 5.14: one by one, and again for new processes
		if !errors.Is(err, fs.ErrNotExist) || g.empty() {
			return
		}
		f, ferr := openAt(g.dir, "cgroup.procs", unix.O_RDONLY)
		if ferr != nil {
			return
		}
		for _, line := range bytes.Fields(readSome(f)) {
			if pid, perr := strconv.Atoi(string(line)); perr == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
		_ = f.Close()
	}
}

// oomKills returns how many of the group were killed for lack of memory.
func (g *group) oomKills() int {
	if g.memory == nil {
		return 0
	}
	n, _ := counter(g.memory, "oom_kill ")
	return n
}

// counter reads the number after a word at the beginning of a line, in a kernel's file that is kept
// open.
func counter(f *os.File, word string) (int, bool) {
	for _, line := range bytes.Split(readSome(f), []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte(word)); ok {
			n, err := strconv.Atoi(string(bytes.TrimSpace(rest)))
			return n, err == nil
		}
	}
	return 0, false
}

// readSome reads a kernel's file from its beginning, as much as is ever needed of one.
func readSome(f *os.File) []byte {
	b := make([]byte, 8<<10)
	n, _ := f.ReadAt(b, 0)
	return b[:max(n, 0)]
}

// OOMKills returns a function that reads how many processes were killed for lack of memory, from an
// open memory.events of a cgroup v2 or memory.oom_control of a v1. It suits Options.OOMKills.
func OOMKills(f *os.File) func() int {
	return func() int {
		n, _ := counter(f, "oom_kill ")
		return n
	}
}
