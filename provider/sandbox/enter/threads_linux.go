package enter

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A program that has all the processes that a sandbox may have leaves none to its first
// process, and without a thread that it needs Go's runtime ends the program. Each file that is
// read or written at the moment may need a thread, and on a slow machine longer. So threads
// are made ahead of need, as long as anything else runs in the sandbox that could take them.
//
// In an idle sandbox nothing can, and a machine has few numbers for processes and threads: so
// there they end, but for those that Go cannot do without.
const (
	reserved = 24 // threads, as long as something runs: so many copies at once are safe
	// threads of an idle sandbox: two of Go's own, one that works, one that may take over from it
	least = 4
)

// When threads come and go.
const (
	soon  = 3 * time.Millisecond // a command that ends sooner needs no further threads
	quiet = time.Second          // after the last client: one that returns soon finds them
)

// threads are those of this process.
type threads struct {
	mu    sync.Mutex // one at a time makes or ends them
	due   *time.Timer
	few   bool        // the sandbox may have so few processes that they can be gone at once
	there atomic.Bool // the reserved ones
	many  atomic.Bool // they run on more than one processor, or soon will
}

// began is called before a command is started.
func (t *threads) began() {
	t.came()
	if t.few {
		t.ready()
	} else if !t.there.Load() {
		time.AfterFunc(soon, func() {
			if !alone() {
				t.ready()
			}
		})
	}
}

// ready makes the threads, unless they are there: to make them once more, when all that there
// may be is used up, would be what they are to prevent.
func (t *threads) ready() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.there.Load() {
		spare(reserved)
		t.there.Store(true)
	}
}

// bombed is how many processes nobody makes before the threads are there.
const bombed = 1000

// rest is called when nothing is left but this process.
func (t *threads) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.due == nil {
		t.due = time.AfterFunc(quiet, t.shed)
		return
	}
	t.due.Reset(quiet)
}

// came is called when a client connects or runs something. That is worth more than one processor,
// but not at once: a short visit does not wait for the change.
func (t *threads) came() {
	if t.many.CompareAndSwap(false, true) {
		time.AfterFunc(settled, func() { runtime.GOMAXPROCS(min(runtime.NumCPU(), 4)) })
	}
}

// settled is how long after the first has come we run on more than one processor.
const settled = 50 * time.Millisecond

// shed ends the threads that an idle sandbox does not need.
func (t *threads) shed() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !alone() {
		return // its end is noticed
	}
	t.there.Store(false)
	if t.many.CompareAndSwap(true, false) {
		runtime.GOMAXPROCS(1)
	}
	for tries := count() - least + 4; tries > 0 && count() > least; tries-- { // some end none
		endOne()
	}
}

// count is how many threads this process has, or none where that cannot be seen.
func count() int {
	var st unix.Stat_t
	if unix.Stat("/proc/self/task", &st) != nil || st.Nlink < 2 {
		return 0
	}
	return int(st.Nlink) - 2
}

// endOne ends one thread: that of a goroutine that ends locked to it. The first thread of a
// process cannot end. Where a goroutine is on that one, it waits there in the kernel while
// another goroutine, on another thread, ends: then the first one takes over from it.
func endOne() {
	const moment = 20 * time.Millisecond // enough for Go to see that a thread waits in the kernel
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			close(done)
			return
		}
		runtime.UnlockOSThread()
		go func() {
			defer close(done)
			runtime.LockOSThread()
			if unix.Gettid() == os.Getpid() {
				runtime.UnlockOSThread()
				return
			}
			hold := unix.NsecToTimespec(int64(2 * moment))
			// and lets nobody else run meanwhile
			_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&hold)), 0, 0)
		}()
		wait := unix.NsecToTimespec(int64(moment))
		_ = unix.Nanosleep(&wait, nil)
	}()
	<-done
	time.Sleep(time.Millisecond) // it is gone in a moment
}

// alone reports whether nothing runs in the sandbox but us: what nobody waits for is our child.
func alone() bool {
	return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == unix.ECHILD
}

// spare has so many threads made. Those that are not needed wait.
func spare(n int) {
	var made, done sync.WaitGroup
	done.Add(1)
	for range n {
		made.Add(1)
		go func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			made.Done()
			done.Wait() // each on its own
		}()
	}
	made.Wait()
	done.Done()
}
