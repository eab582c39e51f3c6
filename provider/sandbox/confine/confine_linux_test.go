package confine_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

type plan struct {
	Options confine.Options
	Map     int
	Checks  []string
	Time    bool
}

var programs struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// probe builds the programs that the tests run, once, in a directory that everybody may read.
func probe(t testing.TB) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "hostler-confine"); programs.err != nil {
			return
		}
		_ = os.Chmod(programs.dir, 0o755)
		for _, name := range []string{"probe", "hello"} {
			cmd := exec.Command("go", "build", "-o", filepath.Join(programs.dir, name), "./testdata/"+name)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if name == "hello" && runtime.GOARCH == "amd64" {
				cmd.Env = append(cmd.Env, "GOARCH=386")
			}
			cmd.Stderr = os.Stderr
			if programs.err = cmd.Run(); programs.err != nil {
				return
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, "probe")
}

// as is who makes the name spaces.
type as struct {
	name string
	uid  uint32
	ids  int
}

func users(t *testing.T) []as {
	if os.Geteuid() != 0 {
		return []as{{"ordinary user", uint32(os.Geteuid()), 1}}
	}
	return []as{{"root", 0, 65536}, {"ordinary user", 12345, 1}}
}

// try runs checks in new name spaces.
func try(t testing.TB, u as, o confine.Options, checks ...string) map[string]string {
	t.Helper()
	exe := probe(t)
	text, err := json.Marshal(plan{Options: o, Map: u.ids, Checks: checks, Time: len(checks) == 0})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, exe, "launch", string(text))
	cmd.Dir = "/"
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.uid, Gid: u.uid}}
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if strings.Contains(stderr.String(), "fork/exec") {
			t.Skipf("confine: name spaces cannot be made here: %s", stderr.String())
		}
		t.Fatalf("%v: stderr = %s; want no error", err, stderr.String())
	}
	var results map[string]string
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	return results
}

// What is refused, with the error that it gets, and what the kernel answers when the named defences
// are left out. Where the kernel refuses the same for another reason, the last is empty.
var refusals = []struct {
	check, confined, without, open string
}{
	{"mount", "EPERM", "seccomp capabilities", "ok"},
	{"mount", "EPERM", "capabilities", "EPERM"}, // each of the two is enough
	{"mount", "EPERM", "seccomp", "EPERM"},
	{"bind", "EPERM", "seccomp capabilities", "ok"},
	{"umount", "EPERM", "seccomp capabilities", "ok"},
	{"pivot_root", "EPERM", "seccomp capabilities", "ENOENT"},
	{"fsopen", "EPERM", "seccomp capabilities", "ok"},
	{"open_tree", "EPERM", "seccomp", "ok"},
	{"move_mount", "EPERM", "seccomp capabilities", "ENOENT"},
	{"mount_setattr", "EPERM", "seccomp capabilities", "ok"},
	{"new user", "EPERM", "seccomp", "ok"},
	{"new uts", "EPERM", "seccomp capabilities", "ok"},
	{"unshare files", "ok", "", ""},
	{"clone3", "ENOSYS", "seccomp", "EINVAL"},
	{"setns", "EPERM", "seccomp", "EBADF"},
	{"sethostname", "EPERM", "seccomp capabilities", "ok"},
	{"sethostname", "EPERM", "seccomp", "EPERM"},
	{"perf_event_open", "EPERM", "seccomp", "EFAULT"},
	{"io_uring", "EPERM", "seccomp", "ok"},
	{"userfaultfd", "EPERM", "seccomp", "ok"},
	{"fanotify", "EPERM", "seccomp", "ok"},
	{"acct", "EPERM", "", ""},
	{"swapoff", "EPERM", "", ""},
	{"clock_settime", "EPERM", "seccomp", "EFAULT"},
	{"adjtimex", "EPERM", "seccomp", "EFAULT"},
	{"bpf", "EPERM", "", ""},
	{"init_module", "EPERM", "", ""},
	{"kexec_load", "EPERM", "", ""},
	{"reboot", "EPERM", "", ""},
	{"open_by_handle_at", "EPERM", "seccomp", "EFAULT"},
	{"syslog", "EPERM", "", ""},
	{"personality 32-bit exec", "EPERM", "seccomp", "ok"},
	{"personality no random", "ok", "", ""},
	{"TIOCSTI", "EPERM", "seccomp", "ENOTTY"},
	{"TIOCLINUX", "EPERM", "seccomp", "ENOTTY"},
	{"TIOCSETD", "EPERM", "seccomp", "ENOTTY"},
	{"AF_UNIX", "ok", "", ""},
	{"AF_INET", "ok", "", ""},
	{"AF_NETLINK", "ok", "", ""},
	{"AF_PACKET", "EPERM", "capabilities", "ok"},
	{"AF_VSOCK", "EAFNOSUPPORT", "", ""},
	{"AF_ALG", "EAFNOSUPPORT", "", ""},
	{"pair AF_UNIX", "ok", "", ""},
	{"pair AF_VSOCK", "EAFNOSUPPORT", "", ""},
	{"pair AF_ALG", "EAFNOSUPPORT", "", ""},
	{"future", "ENOSYS", "", ""},
	{"x32", "ENOSYS", "", ""},
	{"keyctl", "ENOSYS", "seccomp", "ok"},
	{"io_setup", "ENOSYS", "seccomp", "ok"},
	{"/proc/1/environ", "EACCES", "dumpable", "ok"},
	{"/proc/1/mem", "EACCES", "dumpable", "ok"},
	{"/proc/1/maps", "EACCES", "dumpable", "ok"},
	{"/proc/1/exe", "EACCES", "dumpable", "ok"},
	{"/proc/1/root", "EACCES", "dumpable", "ok"},
	{"/proc/1/cwd", "EACCES", "dumpable", "ok"},
	{"/proc/1/fd/0", "EACCES", "dumpable", "ok"},
	{"/proc/1/root/etc", "EACCES", "dumpable", "ok"},
	{"ptrace 1", "EPERM", "dumpable", "ok"},
	{"ptrace child", "ok", "", ""},
}

func TestRefused(t *testing.T) {
	for _, u := range users(t) {
		t.Run(u.name, func(t *testing.T) {
			byWithout := map[string][]string{}
			for _, r := range refusals {
				byWithout[""] = append(byWithout[""], r.check)
				byWithout[r.without] = append(byWithout[r.without], r.check)
			}
			results := map[string]map[string]string{}
			for without, checks := range byWithout {
				results[without] = try(t, u, confine.Options{Without: strings.Fields(without)}, slices.Compact(checks)...)
			}
			for _, r := range refusals {
				if got := results[""][r.check]; got != r.confined {
					t.Errorf("%s: %s, want %s", r.check, got, r.confined)
				}
				if r.without == "" {
					continue
				}
				if got := results[r.without][r.check]; got != r.open {
					t.Errorf("%s without %s: %s, want %s", r.check, r.without, got, r.open)
				}
			}
		})
	}
}
