package hook

import (
	"syscall"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
)

// grace is how long a script has after SIGTERM.
const grace = 2 * time.Second

// kill ends a script, which leads its session, and all that it started: first with SIGTERM, then
// with SIGKILL. ended is closed when the script is gone and has been waited for.
func kill(pid int, ended <-chan struct{}) {
	kin := family(pid, nil) // while the parents live that show the relations
	syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	syscall.Kill(-pid, syscall.SIGKILL)
	for range 100 { // new forks are found in the next round
		kin = family(pid, kin)
		if len(kin) == 0 {
			return
		}
		for p := range kin {
			syscall.Kill(p, syscall.SIGKILL)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// family returns the living processes of a session, and the descendants of its leader and of the
// known processes: start times by process number.
func family(leader int, known map[int]uint64) map[int]uint64 {
	// only Linux has the table; elsewhere only the process group is killed
	table, _ := proc.All()
	in := map[int]uint64{}
	for pid, p := range table {
		if start, ok := known[pid]; p.Session == leader || pid == leader && known == nil || ok && start == p.Start {
			in[pid] = p.Start
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, p := range table {
			if _, ok := in[pid]; ok {
				continue
			}
			if _, ok := in[p.Parent]; ok {
				in[pid], grown = p.Start, true
			}
		}
	}
	for pid := range in {
		if table[pid].Ended() {
			delete(in, pid)
		}
	}
	return in
}
