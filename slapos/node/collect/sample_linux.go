package collect

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/linux/proc"
)

// ticks is how many of the kernel's ticks a second has, for all programs that are not the kernel.
const ticks = 100

// A process is the sample of one process.
type process struct {
	pid     int
	start   uint64 // ticks after the boot
	name    string
	cpu     float64 // seconds since it began
	percent float64 // of a core, since the sample before or since it began
	threads int64
	rss     int64 // bytes
	rw      int64 // bytes, from and to disks
	cycles  int64 // calls to read and write
}

// identity is what the tables call a process, as SlapOS does: its number, and when it began.
func (p *process) identity(boot float64) string {
	if p.pid == 0 {
		return p.name
	}
	return strconv.Itoa(p.pid) + "-" + strconv.FormatFloat(boot+float64(p.start)/ticks, 'f', 2, 64)
}

// A machine is the sample of the whole machine.
type machine struct {
	cores        int
	frequency    float64 // MHz
	model        string
	memory, free int64    // bytes
	load         float64  // of the last minute
	busy, all    float64  // seconds of all cores since the boot
	boot         float64  // when that was, in seconds since 1970
	percent      float64  // of all cores
	in, out      [3]int64 // bytes, errors, dropped packets since the boot
	disks        []disk
	temperatures []temperature
}

type disk struct {
	device, mount string
	used, free    int64
}

type temperature struct {
	sensor  string
	degrees float64
	alarm   bool
}

// processes are those of partitions, by partition. of maps a process to its partition, by its user
// and working directory, or to "".
func processes(of func(uid uint32, cwd func() string) string) (map[string][]process, error) {
	pids, err := proc.PIDs()
	if err != nil {
		return nil, err
	}
	out := map[string][]process{}
	page := int64(os.Getpagesize())
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		uid, ok := owner(dir)
		if !ok {
			continue
		}
		id := of(uid, func() string { at, _ := os.Readlink(dir + "/cwd"); return at })
		if id == "" {
			continue
		}
		text, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // it has ended
		}
		p, ok := parseStat(text, page)
		if !ok {
			continue
		}
		p.pid = pid
		if io, err := os.ReadFile(dir + "/io"); err == nil {
			n := numbers(io)
			p.rw, p.cycles = n["read_bytes"]+n["write_bytes"], n["syscr"]+n["syscw"]
		}
		out[id] = append(out[id], p)
	}
	return out, nil
}

// owner is the user of a process: the one it has rights of.
func owner(dir string) (uint32, bool) {
	text, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, false
	}
	// a process' name stands before it, and has its ends of lines escaped
	_, rest, ok := bytes.Cut(text, []byte("\nUid:"))
	fields := bytes.Fields(rest[:max(0, bytes.IndexByte(rest, '\n'))])
	if !ok || len(fields) < 2 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(fields[1]), 10, 32)
	return uint32(n), err == nil
}

// parseStat reads a /proc/PID/stat.
func parseStat(text []byte, page int64) (process, bool) {
	from, to := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if from < 0 || to < from {
		return process{}, false
	}
	f := strings.Fields(string(text[to+1:]))
	if len(f) < 22 || f[0] == "Z" || f[0] == "X" {
		return process{}, false
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
	start, _ := strconv.ParseUint(f[19], 10, 64)
	return process{
		name: strings.ToValidUTF8(string(text[from+1:to]), "\ufffd"), cpu: float64(number(11)+number(12)) / ticks,
		threads: number(17), start: start, rss: number(21) * page,
	}, true
}

// numbers are the lines NAME: NUMBER of a text.
func numbers(text []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range bytes.Lines(text) {
		name, rest, ok := strings.Cut(string(line), ":")
		if f := strings.Fields(rest); ok && len(f) > 0 {
			if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				out[strings.TrimSpace(name)] = n
			}
		}
	}
	return out
}

// look samples the machine. A value that cannot be read is 0.
func look(places ...string) (m machine) {
	m.cores = runtime.NumCPU()
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
			case "model name":
				m.model = cmp.Or(m.model, value)
			case "cpu MHz":
				if m.frequency == 0 {
					m.frequency, _ = strconv.ParseFloat(value, 64)
				}
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		n := numbers(text)
		m.memory, m.free = n["MemTotal"]<<10, n["MemAvailable"]<<10
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		m.load, _ = strconv.ParseFloat(first, 64)
	}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		m.busy, m.all = cores(text)
		if _, rest, ok := bytes.Cut(text, []byte("\nbtime ")); ok {
			m.boot, _ = strconv.ParseFloat(string(rest[:max(0, bytes.IndexByte(rest, '\n'))]), 64)
		}
	}
	if text, err := os.ReadFile("/proc/net/dev"); err == nil {
		m.in, m.out = traffic(text)
	}
	m.disks, m.temperatures = disks(places), temperatures()
	return m
}

// cores reads the first line of a /proc/stat: how long the cores were busy, and how long there were
// any.
func cores(text []byte) (busy, all float64) {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	for i, f := range strings.Fields(string(line)) {
		n, err := strconv.ParseFloat(f, 64)
		if i == 0 || i > 8 || err != nil { // the first ones contain the rest already
			continue
		}
		if all += n / ticks; i != 4 && i != 5 { // idle, and waiting for a disk
			busy += n / ticks
		}
	}
	return busy, all
}

// traffic adds up what a /proc/net/dev says of all interfaces that lead out of the machine.
func traffic(text []byte) (in, out [3]int64) {
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, ":")
		f := strings.Fields(rest)
		if !ok || len(f) < 12 || strings.TrimSpace(name) == "lo" {
			continue
		}
		for i, at := range []int{0, 2, 3} {
			a, _ := strconv.ParseInt(f[at], 10, 64)
			b, _ := strconv.ParseInt(f[at+8], 10, 64)
			in[i] += a
			out[i] += b
		}
	}
	return in, out
}

// disks are the file systems that are on devices of this machine, and those that places are on.
func disks(places []string) (all []disk) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil
	}
	known := map[string]bool{}
	add := func(device, mount string) {
		var st unix.Statfs_t
		if known[device] || unix.Statfs(mount, &st) != nil || st.Blocks == 0 {
			return
		}
		known[device] = true
		unit := int64(st.Frsize)
		all = append(all, disk{device, mount, int64(st.Blocks-st.Bfree) * unit, int64(st.Bavail) * unit})
	}
	s := bufio.NewScanner(bytes.NewReader(text))
	type mounted struct{ device, at string }
	var mounts []mounted
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 3 {
			continue
		}
		at := unescape.Replace(f[1])
		mounts = append(mounts, mounted{f[0], at})
		if strings.HasPrefix(f[0], "/dev/") {
			add(f[0], at)
		}
	}
	for _, place := range append([]string{"/"}, places...) {
		var best mounted
		for _, m := range mounts {
			if (m.at == "/" || place == m.at || strings.HasPrefix(place, m.at+"/")) && len(m.at) >= len(best.at) {
				best = m
			}
		}
		if best.at != "" && !strings.HasPrefix(best.device, "/dev/") {
			add(best.device+" "+best.at, best.at)
		}
	}
	return all
}

// unescape undoes what the kernel does to names in its tables.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// temperatures are those that the kernel has sensors for.
func temperatures() (all []temperature) {
	zones, _ := filepath.Glob("/sys/class/thermal/thermal_zone*")
	for _, zone := range zones {
		milli, ok := celsius(zone + "/temp")
		if !ok {
			continue
		}
		name, _ := os.ReadFile(zone + "/type")
		t := temperature{sensor: filepath.Base(zone) + " " + strings.TrimSpace(string(name)), degrees: milli}
		trips, _ := filepath.Glob(zone + "/trip_point_*_type")
		for _, trip := range trips {
			kind, _ := os.ReadFile(trip)
			if most, ok := celsius(strings.TrimSuffix(trip, "type") + "temp"); ok &&
				strings.TrimSpace(string(kind)) == "critical" && milli >= most && most > 0 {
				t.alarm = true
			}
		}
		all = append(all, t)
	}
	return all
}

func celsius(file string) (float64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return n / 1000, err == nil
}

// The limits of measuring a folder: a larger one is measured up to them.
const (
	maxDepth = 500
	maxNames = 20 << 20
)

// errBounds is that a folder was not measured to its end.
var errBounds = errors.New("it has too many files, or too many directories in each other, to be measured to its end")

// A measure adds up the content of a folder.
type measure struct {
	bytes  int64
	device uint64
	names  int
	linked map[uint64]bool // inodes with several names: each counts once
	ended  func() error
}

// folder is how many bytes of disk a directory takes with all that is in it, on its own file
// system. It follows no link.
func folder(path string, ended func() error) (int64, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	m := &measure{device: st.Dev, linked: map[uint64]bool{}, ended: ended, bytes: st.Blocks * 512}
	err = m.walk(fd, 0)
	return m.bytes, err
}

// walk adds the content of a directory, and closes it. A file that vanishes meanwhile, or cannot be
// opened, counts nothing.
func (m *measure) walk(fd, depth int) error {
	d := os.NewFile(uintptr(fd), "")
	defer d.Close()
	if depth > maxDepth {
		return errBounds
	}
	for {
		names, err := d.Readdirnames(1000)
		for _, name := range names {
			if m.names++; m.names > maxNames {
				return errBounds
			}
			var st unix.Stat_t
			if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != m.device {
				continue
			}
			directory := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if !directory && st.Nlink > 1 {
				if m.linked[st.Ino] {
					continue
				}
				m.linked[st.Ino] = true
			}
			m.bytes += st.Blocks * 512
			if !directory {
				continue
			}
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				return errBounds
			} else if err != nil {
				continue
			}
			if err := m.walk(sub, depth+1); err != nil {
				return err
			}
		}
		if err := m.ended(); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// largest are the processes that use most memory, and one more that stands for all others. So a
// user that starts very many takes no more room than others.
func largest(all []process, most int) []process {
	slices.SortFunc(all, func(a, b process) int { return cmp.Or(cmp.Compare(b.rss, a.rss), cmp.Compare(a.pid, b.pid)) })
	if len(all) <= most {
		return all
	}
	rest := process{name: "others"}
	for _, p := range all[most:] {
		rest.cpu += p.cpu
		rest.percent += p.percent
		rest.threads += p.threads
		rest.rss += p.rss
		rest.rw += p.rw
		rest.cycles += p.cycles
	}
	return append(all[:most:most], rest)
}

// since is how long a process has run, by the ticks since the boot.
func since(start uint64, up time.Duration) time.Duration {
	return max(0, up-time.Duration(start)*time.Second/ticks)
}
