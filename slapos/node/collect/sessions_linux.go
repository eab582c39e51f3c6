package collect

import (
	"os"
	"strconv"

	"github.com/hostler-project/hostler/linux/proc"
)

// A Use is what processes use together.
type Use struct {
	CPU    float64 // seconds since they began
	Memory int64   // bytes that are resident
}

// Sessions is what the processes of each session use, by its leader's number: a program that is
// supervised begins one.
func Sessions() (map[int]Use, error) {
	pids, err := proc.PIDs()
	if err != nil {
		return nil, err
	}
	out, page := map[int]Use{}, int64(os.Getpagesize())
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // it has ended
		}
		st, err := proc.ParseStat(text)
		p, ok := parseStat(text, page)
		if err != nil || !ok || p.rss == 0 { // of the kernel's own nothing is to be said
			continue
		}
		u := out[st.Session]
		u.CPU += p.cpu
		u.Memory += p.rss
		out[st.Session] = u
	}
	return out, nil
}
