package agentcmd

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/remote/process"
)

// trackDescendants decides how commands' descendants are found again, and what we do as a first
// process.
func trackDescendants(opt *process.Options, group string) error {
	if os.Getpid() == 1 {
		opt.Orphans, opt.NoWatch = process.NewOrphans(), true // when we end the kernel ends all
	}
	switch group {
	case "none":
		return nil
	case "auto":
		opt.Cgroup = ownGroup()
	case "alone": // as auto does where there is no cgroup
	default:
		f, err := openFile(group)
		if err != nil {
			return invalid("--cgroup: %w", err)
		}
		opt.Cgroup = f
	}
	if opt.Cgroup == nil {
		opt.Alone = os.Getpid() == 1
		// By the kernel's own name for us: our file may have been removed since we were started.
		// Before "serve" may stand "agent".
		opt.Reaper = []string{"/proc/self/exe"}
		if len(os.Args) > 1 && os.Args[1] == "agent" {
			opt.Reaper = append(opt.Reaper, "agent")
		}
		opt.Reaper = append(opt.Reaper, "reap")
	}
	return nil
}

// ownGroup is the cgroup v2 that we are in, where we may make groups and start processes in them;
// nil: not here.
func ownGroup() *os.File {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil || !process.IntoCgroup() {
		return nil
	}
	own := ""
	for _, line := range strings.Split(string(b), "\n") {
		if name, ok := strings.CutPrefix(line, "0::"); ok {
			own = name
		}
	}
	if own == "" || strings.Contains(own, "/..") { // another name space's
		return nil
	}
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(top, &st) != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		dir := filepath.Join(top, own)
		if unix.Access(dir, unix.W_OK) != nil || unix.Access(dir+"/cgroup.procs", unix.W_OK) != nil {
			return nil
		}
		// Where it hands controllers on, no process may be in a group and have groups beside it;
		// and a leaf that is a mere part of a process ("threaded") takes no commands.
		if b, err := os.ReadFile(dir + "/cgroup.type"); err == nil && !bytes.HasPrefix(b, []byte("domain")) {
			return nil
		}
		f, err := os.Open(dir)
		if err != nil {
			return nil
		}
		probe := "hostler-probe-" + strconv.Itoa(os.Getpid()) // to see whether one can be made
		if unix.Mkdirat(int(f.Fd()), probe, 0o755) != nil || unix.Unlinkat(int(f.Fd()), probe, unix.AT_REMOVEDIR) != nil {
			_ = f.Close()
			return nil
		}
		return f
	}
	return nil
}
