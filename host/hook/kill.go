package hook

import (
	"syscall"
	"time"

	"github.com/hostler-project/hostler/linux/proc"
)

// grace is what a script has for its traps after SIGTERM.
const grace = 2 * time.Second

// kill ends the script with that process number, which leads its session, and all that it started:
// first politely, then for good. ended is closed when the script itself is gone and waited for.
func kill(pid int, ended <-chan struct{}) {
	kin := family(pid, nil) // now, while the parents live that say who belongs to whom
	syscall.Kill(-pid, syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
	}
	syscall.Kill(-pid, syscall.SIGKILL)
	for range 100 { // what forks meanwhile is found in the next round
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

// family returns the living processes of a session and the descendants of its leader and of those
// known already, by number, with their start.
func family(leader int, known map[int]uint64) map[int]uint64 {
	// elsewhere than on Linux there is none, and the process group is all that is killed
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
