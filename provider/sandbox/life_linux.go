package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
)

// life is a sandbox's first process, and the control group that it was born in.
type life struct {
	proc.Process
	Group string `json:"group"`
}

// groupOf returns the name of a sandbox's control group: as recorded, or the name it will get.
func (p *Provider) groupOf(id compute.ID) string {
	if l, _, err := p.readLife(id); err == nil && l.Group != "" {
		return l.Group
	}
	return label(string(id))
}

// children are the first processes that this process has started, for any provider. The kernel
// keeps an ended child, whatever ended it, until this process has waited for it.
var children struct {
	mu   sync.Mutex
	pids map[int]bool
}

// bear adds a child.
func bear(pid int) {
	children.mu.Lock()
	defer children.mu.Unlock()
	if children.pids == nil {
		children.pids = map[int]bool{}
	}
	children.pids[pid] = true
}

// buryAll waits for the children that have ended, for whatever reason.
func buryAll() {
	children.mu.Lock()
	defer children.mu.Unlock()
	for len(children.pids) > 0 {
		var next struct {
			signo, errno, code, _ int32
			pid                   int32
			_                     [108]byte
		}
		// The first of all children that has ended: one call, however many live.
		_, _, errno := unix.Syscall6(
			unix.SYS_WAITID, unix.P_ALL, 0, uintptr(unsafe.Pointer(&next)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, 0, 0,
		)
		if errno != 0 || next.pid == 0 {
			return
		}
		if !children.pids[int(next.pid)] {
			break // another package's child, not waited for yet; ours may be behind it
		}
		_, _ = unix.Wait4(int(next.pid), nil, unix.WNOHANG, nil)
		delete(children.pids, int(next.pid))
	}
	for pid := range children.pids {
		if n, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); n == pid || errors.Is(err, unix.ECHILD) {
			delete(children.pids, pid)
		}
	}
}

// alive reports whether the first process runs.
func (l life) alive() (bool, error) {
	ok, err := l.Alive()
	if !ok && err == nil {
		buryAll()
	}
	return ok, err
}

// kill ends the process, with all in its name spaces, and waits until none is left.
func (l life) kill(ctx context.Context) error {
	defer buryAll()
	return l.Kill(ctx)
}

// finished is the end of the record of a sandbox that was made completely.
const finished = "\nmade\n"

// readLife reads a sandbox's first process, alive or not, and whether it was made completely.
// fs.ErrNotExist: there never was one.
func (p *Provider) readLife(id compute.ID) (l life, made bool, err error) {
	b, err := os.ReadFile(filepath.Join(p.home(id), "life"))
	if err != nil {
		return l, false, err
	}
	b, made = bytes.CutSuffix(b, []byte(finished))
	if json.Unmarshal(b, &l) != nil {
		// The writer was killed, or the machine stopped. The process never got its plan and has
		// ended, or ended with the machine. If not, the end of its control group ends it.
		return life{}, false, fs.ErrNotExist
	}
	return l, made, nil
}

// writeLife records the first process before it gets its plan: from then on every process finds it.
func writeLife(home *os.File, l life) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return appendTo(home, string(b), unix.O_EXCL)
}

// finishLife records that the sandbox was made completely.
func finishLife(home *os.File) error { return appendTo(home, finished, 0) }

// appendTo appends to the file life of a sandbox's home. The flags are for open, in addition to
// its own.
func appendTo(home *os.File, text string, flags int) error {
	fd, err := unix.Openat(int(home.Fd()), "life", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: "life", Err: err}
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text)) // a few bytes are written as a whole or not at all
	return err
}
