// Probe is what the tests of package confine run in name spaces of its own. In the role of a sandbox's first process it confines itself and then
// starts itself again for each check; a check prints what the kernel answered.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// plan is what the test asks for.
type plan struct {
	Options confine.Options
	Map     int      // how many ids are mapped; 1: an ordinary user's own
	Checks  []string // names of checks, or "run PROGRAM ARG..."
	Time    bool     // measure only: with the threads that a Go program has by itself
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(2)
	}
	switch os.Args[1] {
	case "launch":
		launch(os.Args[2])
	case "first":
		first(os.Args[2])
	case "check":
		fmt.Print(check(os.Args[2]))
	}
}

// launch makes the name spaces, as whoever it is.
func launch(text string) {
	var p plan
	must(json.Unmarshal([]byte(text), &p))
	cmd := exec.Command("/proc/self/exe", "first", text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	base, group := os.Getuid(), os.Getgid()
	if p.Map > 1 {
		base, group = 0x70000000, 0x70000000
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWNET,
		UidMappings:                []syscall.SysProcIDMap{{HostID: base, Size: p.Map}},
		GidMappings:                []syscall.SysProcIDMap{{HostID: group, Size: p.Map}},
		GidMappingsEnableSetgroups: p.Map > 1,
		Credential:                 &syscall.Credential{NoSetGroups: p.Map == 1},
		Pdeathsig:                  syscall.SIGKILL,
	}
	must(cmd.Run())
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(4)
	}
}

// first is the sandbox's first process.
func first(text string) {
	var p plan
	must(json.Unmarshal([]byte(text), &p))
	must(unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("tmpfs", "/mnt", "tmpfs", 0, "mode=1777"))
	must(os.Mkdir("/mnt/over", 0o755))
	must(os.Mkdir("/mnt/full", 0o755))
	must(unix.Mount("tmpfs", "/mnt/full", "tmpfs", 0, ""))
	self, err := os.ReadFile("/proc/self/exe")
	must(err)
	must(unix.Mount("proc", "/proc", "proc", 0, ""))
	for name, mode := range map[string]os.FileMode{"plain": 0o755, "setuid": 0o755 | os.ModeSetuid, "filecap": 0o755} {
		must(os.WriteFile("/mnt/"+name, self, 0o755))
		must(os.Chmod("/mnt/"+name, mode))
	}
	must(os.WriteFile("/mnt/three.go", []byte("package main\n\nfunc main() { println(\"three\") }\n"), 0o644))
	// CAP_NET_BIND_SERVICE, permitted and effective, in the second version of the format.
	attr := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	must(unix.Setxattr("/mnt/filecap", "security.capability", attr, 0))

	stop := func() {}
	if !p.Time {
		stop = crowd()
	}
	began := time.Now()
	must(confine.Self(p.Options))
	took := time.Since(began)
	results := map[string]string{"took": took.String()}
	if !p.Time {
		results["threads"] = threads()
	}
	stop()
	for _, c := range p.Checks {
		results[c] = run(c)
	}
	must(json.NewEncoder(os.Stdout).Encode(results))
}

// crowd makes some threads that are there already when the process confines itself.
func crowd() (stop func()) {
	var busy sync.WaitGroup
	end := make(chan struct{})
	for range 4 {
		busy.Go(func() {
			for {
				select {
				case <-end:
					return
				default:
					_ = unix.Nanosleep(&unix.Timespec{Nsec: 1000000}, nil)
				}
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	return func() { close(end); busy.Wait() }
}

// threads tells what all threads of this process are left with; more than one line when they differ.
func threads() string {
	seen := map[string]bool{}
	files, err := filepath.Glob("/proc/self/task/*/status")
	must(err)
	if len(files) < 4 {
		return "too few threads for a test"
	}
	for _, f := range files {
		seen[status(f)] = true
	}
	var out []string
	for s := range seen {
		out = append(out, s)
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// status returns the capabilities, NoNewPrivs and Seccomp of a process's status file, without
// leading zeros.
func status(file string) string {
	b, err := os.ReadFile(file)
	must(err)
	var out []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 2 && (strings.HasPrefix(f[0], "Cap") || f[0] == "NoNewPrivs:" || f[0] == "Seccomp:") {
			out = append(out, f[0]+strings.TrimLeft(f[1], "0"))
		}
	}
	return strings.Join(out, " ")
}

// run does one check in a process of its own.
func run(c string) string {
	args := []string{"/mnt/plain", "check", c}
	if rest, ok := strings.CutPrefix(c, "run "); ok {
		args = strings.Split(rest, " ")
	}
	uid := 0
	if name, ok := strings.CutPrefix(c, "as-1000 "); ok {
		args, uid = []string{"/mnt/" + name, "check", "status"}, 1000
	}
	cmd := exec.Command(args[0], args[1:]...)
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	cmd.Dir = "/mnt"
	cmd.Env = append(os.Environ(), "HOME=/mnt", "TMPDIR=/mnt", "GOCACHE=/mnt/cache", "GOFLAGS=-p=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "error: " + err.Error() + ": " + string(out)
	}
	return string(out)
}
