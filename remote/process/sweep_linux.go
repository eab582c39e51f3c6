package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// sweep kills what ended commands have left, if we are the first process of a pid name space in
// which nobody else starts processes. When no command runs that is everything but us, which takes
// one system call. While others run it is what cannot be theirs: not below them, nor of their group
// or session, nor begun since the first of them. The rest waits until they have ended too. Nothing
// starts meanwhile.
func (o *Orphans) sweep() {
	if os.Getpid() != 1 {
		return // otherwise it would be all that we may kill
	}
	o.births.Lock()
	defer o.births.Unlock()
	o.mu.Lock()
	stayed := o.stayed
	live := make(map[int]bool, len(o.own))
	for pid := range o.own {
		live[pid] = true
	}
	o.mu.Unlock()
	if stayed {
		return
	}
	if len(live) == 0 {
		if unix.Kill(-1, unix.SIGKILL) == unix.ESRCH {
			return
		}
		// all our children are orphans now
		for pause, late := 50*time.Microsecond, time.Now().Add(emptyWait); time.Now().Before(late); {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err != nil && err != unix.EINTR {
				return
			}
			if pid == 0 {
				time.Sleep(pause)
				pause = min(2*pause, 10*time.Millisecond)
			}
		}
		return
	}
	if self, err := os.Readlink("/proc/self"); err != nil || self != "1" {
		return // a process of another name space
	}
	all, _ := proc.All() // without it no process can be known to be an orphan
	first := ^uint64(0)
	for pid := range live {
		if p, ok := all[pid]; ok {
			first = min(first, p.Start)
		}
	}
	for pid, p := range all {
		top := pid
		for all[top].Parent > 1 {
			top = all[top].Parent
		}
		t := all[top]
		if pid != 1 && !live[top] && !live[t.Group] && !live[t.Session] && !live[p.Group] && !live[p.Session] && t.Start < first {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// stay says that processes left from now on may be meant to stay, so nothing can be swept away.
func (o *Orphans) stay() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stayed = true
}

func (o *Orphans) staying() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stayed
}
