package process

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider"
)

var _ provider.FactReader = (*Conn)(nil)

// tools are the programs that facts report.
const tools = `sh bash zsh fish sudo su git python3 python perl ruby node npm go cargo rustc java gcc g++ clang cc make cmake ninja docker podman kubectl
apt-get dnf yum apk pacman zypper rsync tar gzip xz zstd unzip curl wget ssh tmux screen systemctl strace gdb jq vim nano`

// Facts implements provider.FactReader for this computer. Behind a prefix or in a root it is
// ErrInvalid.
func (e *Conn) Facts(ctx context.Context) (compute.Facts, error) {
	if err := e.here(ctx, "exec.Facts"); err != nil {
		return compute.Facts{}, err
	}
	f := compute.Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, System: system(), Cores: cores(), Tools: make(map[string]string)}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel, f.Hostname = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Nodename[:])
	}
	f.Memory = memory("MemTotal")
	limits("memory", func(dir string) {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			if n := int64(numberIn(filepath.Join(dir, name))); n > 0 && n < f.Memory {
				f.Memory = n
			}
		}
	})
	if total, _, ok := disk(); ok {
		f.Disk = total
	}
	list := defaultPath
	if e.opt.KeepEnv {
		list = os.Getenv("PATH")
	}
	for _, name := range strings.Fields(tools) {
		for _, dir := range filepath.SplitList(list) {
			full := path.Join(dir, name)
			if fi, err := os.Stat(full); path.IsAbs(full) && err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0 {
				f.Tools[name] = full
				break
			}
		}
	}
	return f, nil
}

// Usage implements provider.FactReader, with the errors of Facts. In a container with a cgroup name
// space it is the container's, else the machine's.
func (e *Conn) Usage(ctx context.Context) (compute.Usage, error) {
	if err := e.here(ctx, "exec.Usage"); err != nil {
		return compute.Usage{}, err
	}
	var u compute.Usage
	if _, used, ok := disk(); ok {
		u.Disk = used
	}
	if dir, err := os.Open("/proc"); err == nil {
		names, _ := dir.Readdirnames(-1)
		_ = dir.Close()
		for _, n := range names {
			if n[0] >= '1' && n[0] <= '9' {
				u.Processes++
			}
		}
	}
	if e.opt.Own {
		u.CPU, u.Memory = inSight()
		return u, nil
	}
	u.CPU, u.Memory = cpuTime(), memory("MemTotal")-memory("MemAvailable")
	// a container's own group; the whole machine's has no memory.current there
	const top = "/sys/fs/cgroup/"
	if n := numberIn(top + "memory.current"); n > 0 {
		u.Memory = int64(n)
		if us := fieldOf(top+"cpu.stat", "usage_usec"); us > 0 {
			u.CPU = time.Duration(us) * time.Microsecond
		}
	}
	if e.opt.OOMKills != nil {
		u.OOMKills = e.opt.OOMKills()
	} else if n := fieldOf(top+"memory.events", "oom_kill"); n > 0 {
		u.OOMKills = int(n)
	} else {
		u.OOMKills = int(fieldOf("/proc/vmstat", "oom_kill"))
	}
	return u, nil
}

// inSight adds up the usage of all processes in sight, with the time of their ended children.
// Memory that two share counts twice.
func inSight() (cpu time.Duration, memory int64) {
	pids, _ := proc.PIDs()
	var ticks, pages int64
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		stat, _ := os.ReadFile(dir + "/stat")
		// the name may hold anything
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		// its own time, and that of the children that it has waited for
		for i := 11; i < 15 && i < len(fields); i++ {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			ticks += n
		}
		statm, _ := os.ReadFile(dir + "/statm")
		if fields = strings.Fields(string(statm)); len(fields) > 1 {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			pages += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond, pages * int64(os.Getpagesize())
}

// here fails where commands do not run on this computer as it is.
func (e *Conn) here(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.opt.Root != "" || len(e.opt.Prefix) > 0 {
		return &compute.Error{
			Op: op, Kind: compute.ErrInvalid,
			Err: errors.New("nobody can tell from here what is behind a prefix command or in a root"),
		}
	}
	return e.open(op)
}

// system returns the distribution with its version.
func system() string {
	b, err := os.ReadFile("/etc/os-release")
	if err != nil {
		b, _ = os.ReadFile("/usr/lib/os-release")
	}
	var id, version string
	for _, line := range strings.Split(string(b), "\n") {
		k, v, _ := strings.Cut(line, "=")
		switch v = strings.Trim(strings.TrimSpace(v), `"'`); k {
		case "ID":
			id = v
		case "VERSION_ID":
			version = v
		}
	}
	return strings.TrimSpace(id + " " + version)
}

// cores counts the processors that we may use, bounded by the cgroups that we are in; a part of one
// counts as one.
func cores() int {
	n := runtime.NumCPU()
	limits("cpu", func(dir string) {
		b, _ := os.ReadFile(filepath.Join(dir, "cpu.max"))
		quota, period := 0.0, 0.0
		if words := strings.Fields(string(b)); len(words) == 2 && words[0] != "max" {
			quota, _ = strconv.ParseFloat(words[0], 64)
			period, _ = strconv.ParseFloat(words[1], 64)
		} else if len(words) == 0 {
			quota, period = numberIn(filepath.Join(dir, "cpu.cfs_quota_us")), numberIn(filepath.Join(dir, "cpu.cfs_period_us"))
		}
		if quota > 0 && period > 0 {
			n = min(n, max(1, int(math.Ceil(quota/period))))
		}
	})
	return n
}

// limits calls f with the directories of the cgroups that we are in, from our own up, of version 2
// and of a controller of version 1.
func limits(controller string, f func(dir string)) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(b), "\n") {
		words := strings.SplitN(line, ":", 3)
		if len(words) < 3 {
			continue
		}
		tops := []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		if words[1] != "" {
			if !strings.Contains(","+words[1]+",", ","+controller+",") {
				continue
			}
			tops = []string{"/sys/fs/cgroup/" + words[1], "/sys/fs/cgroup/" + controller}
		}
		for _, top := range tops {
			for own := path.Clean("/" + words[2]); ; own = path.Dir(own) {
				f(top + own)
				if own == "/" {
					break
				}
			}
		}
	}
}

// numberIn reads a file with a number; 0 if there is none.
func numberIn(name string) float64 {
	b, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	return max(n, 0)
}

// fieldOf reads the number after a word in a file with such lines.
func fieldOf(name, word string) int64 {
	b, _ := os.ReadFile(name)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) >= 2 && strings.TrimSuffix(words[0], ":") == word {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			return n
		}
	}
	return 0
}

// memory returns a value of /proc/meminfo, in bytes.
func memory(word string) int64 { return fieldOf("/proc/meminfo", word) << 10 }

// disk returns the size and use of the file system of /, in bytes.
func disk() (total, used int64, ok bool) {
	var st unix.Statfs_t
	if unix.Statfs("/", &st) != nil {
		return 0, 0, false
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Blocks-st.Bfree) * st.Bsize, true
}

// cpuTime returns the working time of all processors together since the boot.
func cpuTime() time.Duration {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	var ticks int64
	for i, word := range strings.Fields(line) {
		// the name, idle, waiting for a disk; guests are counted before
		if i == 0 || i == 4 || i == 5 || i > 8 {
			continue
		}
		n, _ := strconv.ParseInt(word, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs
}
