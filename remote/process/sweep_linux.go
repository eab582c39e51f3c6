package process

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sweep ends what commands that have ended left behind, where we are the first process of a pid name space that nobody else starts processes in.
// When no command runs that is everything but us, which takes one system call. While others run it is what cannot be theirs: neither below
// them, nor of their group or session, nor begun since the first of them; what may be theirs waits until they have ended too. Nothing is
// started meanwhile.
func (o *Orphans) sweep() {
	if os.Getpid() != 1 {
		return // there it would be everything that we may kill
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
		for pause, late := 50*time.Microsecond, time.Now().Add(emptyWait); time.Now().Before(late); { // all that we have are orphans now
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
		return // another name space's
	}
	all := processes()
	first := ^uint64(0)
	for pid := range live {
		if p, ok := all[pid]; ok {
			first = min(first, p.begun)
		}
	}
	for pid, p := range all {
		top := pid
		for all[top].parent > 1 {
			top = all[top].parent
		}
		t := all[top]
		if pid != 1 && !live[top] && !live[t.group] && !live[t.session] && !live[p.group] && !live[p.session] && t.begun < first {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// stay says that what is left from now on may be meant to stay, so that nothing can be swept away.
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

// seen is what /proc says of a process.
type seen struct {
	parent, group, session int
	begun                  uint64 // in ticks since the machine began
}

// processes lists all that there are.
func processes() map[int]seen {
	out := make(map[int]seen)
	proc, err := os.Open("/proc")
	if err != nil {
		return out
	}
	defer func() { _ = proc.Close() }()
	names, _ := proc.Readdirnames(-1)
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + n + "/stat")
		if err != nil {
			continue
		}
		// The name in parentheses may hold anything; after it: state, parent, group, session, and the twentieth is when it was begun.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 20 {
			continue
		}
		var s seen
		s.parent, _ = strconv.Atoi(string(fields[1]))
		s.group, _ = strconv.Atoi(string(fields[2]))
		s.session, _ = strconv.Atoi(string(fields[3]))
		s.begun, _ = strconv.ParseUint(string(fields[19]), 10, 64)
		out[pid] = s
	}
	return out
}
