package agentcmd

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// again sets how many files our commands may have open, as SOFT:HARD, and starts our program anew
// with the words that follow. Go's runtime raises the soft limit of each program that it runs in,
// and gives commands what it found at its start: which must be right by then. Runc before 1.1.13
// sets it while its own program in the container does the same, and now and then the commands of an
// exec get the hard limit for both (github.com/opencontainers/runc, issue 4195).
func again(files string, words []string) error {
	soft, hard, _ := strings.Cut(files, ":")
	var limit syscall.Rlimit
	var err, err2 error
	limit.Cur, err = strconv.ParseUint(soft, 10, 64)
	limit.Max, err2 = strconv.ParseUint(hard, 10, 64)
	if err != nil || err2 != nil || limit.Cur > limit.Max {
		return invalid("--files takes SOFT:HARD, not %s", files)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil // what it has is lower: that is not ours to raise
	}
	return syscall.Exec("/proc/self/exe", append([]string{os.Args[0], "serve"}, words...), os.Environ())
}
