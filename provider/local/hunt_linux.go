package local

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

const canHunt = true

const (
	grace = 500 * time.Millisecond // from asking a process to end to ending it
	// after so many searches a process that forks faster than it is killed is given up
	rounds = 20
)

// hunt ends every process that has mark in its environment, except this process and its ancestors.
// It returns how many it ended. It asks them first (TERM), then kills them (KILL), and searches
// again until none is left.
func hunt(ctx context.Context, mark string) (int, error) {
	spared, marked, uid := proc.Ancestors(), proc.Marked(mark), os.Geteuid()
	seen := map[int]bool{}
	for round := range rounds {
		sig := unix.SIGTERM
		if round > 0 {
			sig = unix.SIGKILL
		}
		found, err := proc.Find(func(pid int) bool { return !spared[pid] && readable(pid, uid) && marked(pid) })
		if err != nil || len(found) == 0 {
			return len(seen), err
		}
		for _, h := range found {
			_ = h.Signal(sig)
			_ = h.Signal(unix.SIGCONT) // a stopped process gets the signal only then
			seen[h.PID] = true
		}
		proc.Wait(ctx, found, grace)
		proc.Close(found)
		if err := ctx.Err(); err != nil {
			return len(seen), err
		}
	}
	return len(seen), fmt.Errorf("processes with %s do not end", mark)
}

// readable reports whether reading a process's environment is worth a try. Only root can read those
// of other users.
func readable(pid, uid int) bool {
	var st unix.Stat_t
	return uid == 0 || unix.Stat("/proc/"+strconv.Itoa(pid), &st) == nil && int(st.Uid) == uid
}
