package process

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Orphans buries processes whose parents have ended before them, where they become ours: in the first process of a pid name space. What a Conn
// started itself it leaves to that Conn, so one Orphans is for all Conns of a process.
type Orphans struct {
	bell   chan struct{} // 1 slot: look again
	births sync.RWMutex  // read-held while a child is started or waited for, so that a number is never seen without its owner

	mu     sync.Mutex
	stayed bool        // a command was started whose descendants may stay
	own    map[int]int // by number, how many Conns have started it and not yet forgotten; two when it was given again at once
}

// NewOrphans starts nothing: Run does the work.
func NewOrphans() *Orphans { return &Orphans{bell: make(chan struct{}, 1), own: make(map[int]int)} }

// Run buries until ctx ends.
func (o *Orphans) Run(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	for {
		o.bury()
		select {
		case <-ended:
		case <-o.bell:
		case <-ctx.Done():
			return
		}
	}
}

// bury looks at the dead one by one, without taking them, as only the number says whose they are. It stops at one of a Conn's own: who waits
// for that rings when it is gone.
func (o *Orphans) bury() {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		pid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16))) // si_pid, on the 64-bit machines that we are for
		if err != nil || pid <= 0 || o.owned(pid) {
			return
		}
		o.births.Lock() // whoever has just started it has said so by now
		if !o.owned(pid) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		o.births.Unlock()
	}
}

func (o *Orphans) owned(pid int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.own[pid] > 0
}

func (o *Orphans) count(pid, by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.own[pid] += by; o.own[pid] == 0 {
		delete(o.own, pid)
	}
}

// start starts a child of a Conn's.
func (o *Orphans) start(c *exec.Cmd) error {
	if o == nil {
		return c.Start()
	}
	o.births.RLock()
	defer o.births.RUnlock()
	err := c.Start()
	if err == nil {
		o.count(c.Process.Pid, 1)
	}
	return err
}

// wait takes a child that has ended.
func (o *Orphans) wait(c *exec.Cmd) {
	if o == nil {
		_ = c.Wait()
		return
	}
	o.births.RLock()
	_ = c.Wait()
	o.count(c.Process.Pid, -1)
	o.births.RUnlock()
	select {
	case o.bell <- struct{}{}:
	default:
	}
}
