package process

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

const (
	// rounds before killTree gives up on processes that fork faster than they are killed
	killRounds = 20
	killWait   = 100 * time.Millisecond // for killed processes to be gone
)

// killTree kills every process that was started with mark in its environment, every process
// below one of those or below leader, and every member of a group or session that one of them
// leads. It goes on until there is none. leader is a process of ours that has not been reaped;
// 0: none.
func killTree(mark string, leader int) {
	marked := proc.Marked(mark)
	for range killRounds {
		found := findTree(marked, leader)
		if len(found) == 0 {
			return
		}
		for _, h := range found {
			_ = h.Signal(unix.SIGKILL)
		}
		for end := time.Now().Add(killWait); len(found) > 0; found = found[1:] {
			for !found[0].Ended() && time.Now().Before(end) {
				time.Sleep(time.Millisecond)
			}
			_ = found[0].Close()
		}
	}
}

// findTree opens the processes that killTree looks for, but for the leader and this process.
func findTree(marked func(int) bool, leader int) []*proc.Handle {
	all, err := proc.All()
	if err != nil {
		return nil
	}
	self, has := os.Getpid(), map[int]bool{}
	for pid, s := range all {
		if pid != self && !s.Ended() && marked(pid) {
			has[pid] = true
		}
	}
	var out []*proc.Handle
	for pid, s := range all {
		if pid == self || pid == leader || pid == 1 || s.Ended() ||
			!has[pid] && !has[s.Group] && !has[s.Session] && !below(all, pid, has, leader) {
			continue
		}
		h, err := proc.Open(pid)
		if err != nil {
			// it has ended; or it cannot be opened, and the end of the group ends it
			continue
		}
		// its number is another's
		if now, err := proc.ReadStat(pid); err != nil || now.Start != s.Start || now.Ended() {
			_ = h.Close()
			continue
		}
		out = append(out, h)
	}
	return out
}

// below reports whether a process descends from one of those that are marked, or from the leader.
func below(all map[int]proc.Stat, pid int, has map[int]bool, leader int) bool {
	for range len(all) { // a table that changes while it is read may look like a circle
		if pid = all[pid].Parent; pid <= 1 {
			return false
		}
		if has[pid] || pid == leader {
			return true
		}
	}
	return false
}
