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

// Orphans buries processes whose parents have ended before them, where they become ours: in the
// first process of a pid name space. What a Conn started itself it leaves to that Conn, so one
// Orphans is for all Conns of a process.
type Orphans struct {
	Began func() // called before a child is started; nil: nobody wants to know
	// called when there is no child any more, nor anybody else's: not once for each time. The same
	Alone func()

	bell chan struct{} // 1 slot: look again
	// read-held while a child is started or waited for, so that a number is never seen without its
	// owner
	births sync.RWMutex

	mu     sync.Mutex
	stayed bool // a command was started whose descendants may stay
	// by number, how many Conns have started it and not yet forgotten; two when it was given again
	// at once
	own map[int]int
}

// NewOrphans starts nothing: Run does the work.
func NewOrphans() *Orphans { return &Orphans{bell: make(chan struct{}, 1), own: make(map[int]int)} }

// Run buries until ctx ends.
func (o *Orphans) Run(ctx context.Context) {
	var watching atomic.Bool
	for {
		if o.bury() && watching.CompareAndSwap(false, true) {
			time.AfterFunc(unwatched, func() {
				awaitDead()
				watching.Store(false)
				o.ring()
			})
		}
		select {
		case <-o.bell:
		case <-ctx.Done():
			return
		}
	}
}

// unwatched is how long after a start nobody waits for the dead. It takes a thread, and most
// commands end before, and leave nobody. A handler of SIGCHLD would take two for good.
const unwatched = 3 * time.Millisecond

// awaitDead returns when a child is dead and not buried, or when there is none.
func awaitDead() {
	for unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// bury looks at the dead one by one, without taking them, as only the number says whose they are.
// It stops at one of a Conn's own: who waits for that rings when it is gone. It reports whether
// there are children, and none of them is dead.
func (o *Orphans) bury() bool {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err == unix.ECHILD && o.Alone != nil {
			o.Alone()
		}
		// si_pid, on the 64-bit machines that we are for
		pid := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), 16)))
		if err != nil || pid <= 0 || o.owned(pid) {
			return err == nil && pid <= 0
		}
		o.births.Lock() // whoever has just started it has said so by now
		if !o.owned(pid) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		o.births.Unlock()
	}
}

// ring has it looked for the dead again.
func (o *Orphans) ring() {
	select {
	case o.bell <- struct{}{}:
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
		o.ring()
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
	o.ring()
}
