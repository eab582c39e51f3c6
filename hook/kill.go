package hook

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// grace is what a script has for its traps after SIGTERM.
const grace = 2 * time.Second

// kill ends the script with that process number, which leads its session, and all that it started: first politely, then for good. ended is
// closed when the script itself is gone and waited for.
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

// process is a line of the process table.
type process struct {
	parent, session int
	start           string // with the number, this tells a process from a later one
	dead            bool   // only waits to be waited for
}

// family returns the living processes of a session and the descendants of its leader and of those known already, by number, with their start.
func family(leader int, known map[int]string) map[int]string {
	table := processes()
	in := map[int]string{}
	for pid, p := range table {
		if p.session == leader || pid == leader && known == nil || known[pid] == p.start && p.start != "" {
			in[pid] = p.start
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, p := range table {
			if _, ok := in[pid]; ok {
				continue
			}
			if _, ok := in[p.parent]; ok {
				in[pid], grown = p.start, true
			}
		}
	}
	for pid := range in {
		if table[pid].dead {
			delete(in, pid)
		}
	}
	return in
}

// processes reads the process table of Linux. Elsewhere there is none, and the process group is all that is killed.
func processes() map[int]process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	table := make(map[int]process, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		i := bytes.LastIndexByte(stat, ')') // the name before it may hold anything
		if i < 0 {
			continue
		}
		f := bytes.Fields(stat[i+1:]) // state ppid pgrp session ...; the start is the 22nd field of all
		if len(f) < 20 {
			continue
		}
		parent, _ := strconv.Atoi(string(f[1]))
		session, _ := strconv.Atoi(string(f[3]))
		state := f[0][0]
		table[pid] = process{parent: parent, session: session, start: string(f[19]), dead: state == 'Z' || state == 'X'}
	}
	return table
}
