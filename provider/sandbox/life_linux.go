package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// life is a sandbox's first process, so that it cannot be taken for another of the same number.
type life struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // when it began, in the kernel's ticks since boot
	Boot  string `json:"boot"`  // the id of that boot
}

// bootID is the id of this boot of the machine.
var bootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(b)), err
})

// lifeOf describes a process that runs.
func lifeOf(pid int) (life, error) {
	boot, err := bootID()
	if err != nil {
		return life{}, err
	}
	start, err := startOf(pid)
	return life{PID: pid, Start: start, Boot: boot}, err
}

// startOf returns when a process began; fs.ErrNotExist when there is none of that number.
func startOf(pid int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, unix.ESRCH) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", err
	}
	// The name in parentheses may hold anything. After it: state, and the start is the 22nd field of all.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	return string(fields[19]), nil
}

// open returns a descriptor of the process, or fs.ErrNotExist when it is gone.
func (l life) open() (int, error) {
	boot, err := bootID()
	if err != nil {
		return -1, err
	}
	if l.Boot != boot || l.PID <= 1 {
		return -1, fs.ErrNotExist
	}
	fd, err := unix.PidfdOpen(l.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		err = fs.ErrNotExist
	}
	if err != nil {
		return -1, err
	}
	// Now its number cannot become another's, so what /proc says is said of this one.
	start, err := startOf(l.PID)
	if err == nil && (start != l.Start || ended(fd, 0)) {
		err = fs.ErrNotExist
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// children are the first processes that this process has started, of whatever provider: as a process's children they are all of it, whoever ends them,
// and wait for it to take note.
var children struct {
	mu   sync.Mutex
	pids map[int]bool
}

// bear notes a child.
func bear(pid int) {
	children.mu.Lock()
	defer children.mu.Unlock()
	if children.pids == nil {
		children.pids = map[int]bool{}
	}
	children.pids[pid] = true
}

// buryAll takes note of the children that have ended, whoever ended them.
func buryAll() {
	children.mu.Lock()
	defer children.mu.Unlock()
	for pid := range children.pids {
		if n, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); n == pid || errors.Is(err, unix.ECHILD) {
			delete(children.pids, pid)
		}
	}
}

// ended reports whether the last thread of a process has ended, and waits for that so many milliseconds. Its parent need not have looked.
func ended(fd, wait int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, wait)
	return err == nil && n > 0
}

// alive reports whether it runs.
func (l life) alive() (bool, error) {
	fd, err := l.open()
	if errors.Is(err, fs.ErrNotExist) {
		buryAll()
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, unix.Close(fd)
}

// kill ends the process, and with it all that is in its name spaces, and waits until none is left.
func (l life) kill(ctx context.Context) error {
	defer buryAll()
	fd, err := l.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		if ended(fd, 100) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return fmt.Errorf("process %d does not end", l.PID)
}

// finished is what stands behind a record of a life whose making was finished.
const finished = "\nmade\n"

// readLife reads who is, or was, a sandbox's first process, and whether its making was finished. fs.ErrNotExist: there never was one.
func (p *Provider) readLife(id compute.ID) (l life, made bool, err error) {
	b, err := os.ReadFile(filepath.Join(p.home(id), "life"))
	if err != nil {
		return l, false, err
	}
	b, made = bytes.CutSuffix(b, []byte(finished))
	if json.Unmarshal(b, &l) != nil {
		// We died over writing it, or the machine did. Then the process never got its plan and has ended, or has ended with the machine; if not, what is
		// in its control group is ended.
		return life{}, false, fs.ErrNotExist
	}
	return l, made, nil
}

// writeLife records the first process before it gets its plan: from then on it is found, whatever happens to us.
func writeLife(home *os.File, l life) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return appendTo(home, string(b), unix.O_EXCL)
}

// finishLife records that the making was finished.
func finishLife(home *os.File) error { return appendTo(home, finished, 0) }

func appendTo(home *os.File, text string, flags int) error {
	fd, err := unix.Openat(int(home.Fd()), "life", unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC|flags, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: "life", Err: err}
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text)) // a few bytes are written whole or not
	return err
}
