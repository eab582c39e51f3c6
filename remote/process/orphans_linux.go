package process

import (
	"context"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Orphans reaps processes whose parents have ended before them and that become ours: in the first
// process of a pid name space. It leaves a Conn's own children to that Conn, so one Orphans is for
// all Conns of a process. Its methods may be called from many goroutines.
type Orphans struct {
	Began func() // called before a child starts; may be nil
	// called when there is no child any more, possibly not each time; may be nil
	Alone func()

	wakeup chan struct{} // 1 slot: look again
	// read-held while a child is started or waited for, so that a number is never seen without its
	// owner
	births sync.RWMutex

	mu     sync.Mutex
	stayed bool // a command has started whose descendants may stay
	// by number, how many Conns have started it and not yet forgotten it; two if the kernel has
	// reused the number at once
	own map[int]int
}

// NewOrphans starts nothing: Run does the work.
func NewOrphans() *Orphans { return &Orphans{wakeup: make(chan struct{}, 1), own: make(map[int]int)} }

// Run reaps until ctx ends.
func (o *Orphans) Run(ctx context.Context) {
	var watching atomic.Bool
	for {
		if o.reapDead() && watching.CompareAndSwap(false, true) {
			time.AfterFunc(unwatched, func() {
				awaitDead()
				watching.Store(false)
				o.wake()
			})
		}
		select {
		case <-o.wakeup:
		case <-ctx.Done():
			return
		}
	}
}

// unwatched is how long after a start nobody waits for dead children. The wait takes a thread, and
// most commands end before and leave none. A handler of SIGCHLD would take two threads for good.
const unwatched = 3 * time.Millisecond

// awaitDead returns when a child is dead and not reaped, or when there is none.
func awaitDead() {
	for unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// reapDead looks at the dead children one by one, without taking them, as only the number tells
// whose they are. It stops at a child of a Conn: the Conn waits for it, and rings when it is
// gone. It reports whether there are children, and none of them is dead.
func (o *Orphans) reapDead() bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ECHILD && o.Alone != nil {
			o.Alone()
		}
		// si_pid, on 64-bit machines, which this is for
		pid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
		if err != nil || pid <= 0 || o.owned(pid) {
			return err == nil && pid <= 0
		}
		o.births.Lock() // a process that was just started is registered by now
		if !o.owned(pid) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		o.births.Unlock()
	}
}

// wake makes Run look for the dead again.
func (o *Orphans) wake() {
	select {
	case o.wakeup <- struct{}{}:
	default:
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
	if o.Began != nil {
		o.Began()
	}
	o.births.RLock()
	defer o.births.RUnlock()
	err := c.Start()
	if err == nil {
		o.count(c.Process.Pid, 1)
		o.wake()
	}
	return err
}

// wait reaps a child that has ended.
func (o *Orphans) wait(c *exec.Cmd) {
	if o == nil {
		_ = c.Wait()
		return
	}
	o.births.RLock()
	_ = c.Wait()
	o.count(c.Process.Pid, -1)
	o.births.RUnlock()
	o.wake()
}
