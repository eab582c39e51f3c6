//go:build linux

package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// jail is a sandbox that has this test's program in it, to be hostile there.
type jail struct {
	*testing.T
	p       *sandbox.Provider
	conn    compute.Conn
	program string // where that is, inside
}

const insideProgram = "/hostile/program"

func newJail(t *testing.T, o sandbox.Options) *jail {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	j := &jail{T: t, program: insideProgram}
	// to share it would be to write to the host's root
	if os.Geteuid() == 0 && slices.Contains(o.Without, "layer") {
		j.program = filepath.Join(homeDir(t), "program")
		o.Show = append(o.Show[:len(o.Show):len(o.Show)], filepath.Dir(j.program))
		if out, err := exec.CommandContext(t.Context(), "cp", program, j.program).CombinedOutput(); err != nil {
			t.Fatalf("err = %v, out = %s; want no error", err, string(out))
		}
	} else {
		o.Mounts = append(o.Mounts[:len(o.Mounts):len(o.Mounts)], program+":"+insideProgram)
	}
	j.p = open(t, o)
	ahead := os.Getenv(aheadEnv) != "" && o.Without == nil
	if ahead {
		t.Cleanup(keepAhead(t, j.p))
	}
	if _, err := j.p.Create(t.Context(), compute.Spec{ID: "jail"}); err != nil {
		t.Fatal(err)
	}
	if ahead && os.Geteuid() == 0 && !bornAhead(t, o.Dir, "jail") && o.Memory == 0 && o.PIDs == 0 && o.Cores == 0 {
		t.Error("the jail was made of a process of its own")
	}
	t.Cleanup(j.end)
	if j.conn, err = j.p.Connect(t.Context(), "jail"); err != nil {
		t.Fatal(err)
	}
	return j
}

func (j *jail) end() {
	if j.conn != nil {
		_ = j.conn.Close()
	}
	ctx := context.WithoutCancel(j.T.Context()) // which has ended when a test cleans up
	for range 10 {
		if err := j.p.Destroy(ctx, "jail"); err != nil {
			if !errors.Is(err, compute.ErrNotFound) {
				j.T.Error(err)
			}
			return
		}
	}
}

// homeDir makes a directory that sandboxes of the host's root see, for everybody.
func homeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv("HOME"), "hostler-test-*")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// try makes the program inside try something, and returns what it says.
func (j *jail) try(user string, words ...string) string {
	j.Helper()
	var out bytes.Buffer
	exit, err := j.conn.Run(j.T.Context(), &compute.Command{
		Args: []string{j.program}, User: user, Dir: "/", Stdout: &out, Stderr: &out, Stay: words[0] == "stay",
		// without that a program with the race detector sleeps before it ends
		Env: map[string]string{hostileEnv: strings.Join(words, " "), "GORACE": os.Getenv("GORACE")},
	})
	if err != nil {
		return "error: " + err.Error()
	}
	if exit.Status() != 0 {
		return "ended with " + strconv.Itoa(exit.Status()) + " " + exit.Reason + ": " + out.String()
	}
	return strings.TrimSpace(out.String())
}

// usedUp is said where the kernel chose the first process to end for want of memory, as it does now
// and then while a command that it has ended gives its memory back. The limit holds all the same.
const usedUp = "the sandbox was ended, because its memory was used up"

// escape is a way out, or to what is the host's.
type escape struct {
	name    string
	words   []string
	without []string // the defences that keep it closed; with these off it is open
	user    []string // the same for an ordinary user's, if others
	// "all" or "user": for whom it stays closed without them all the same, as the kernel itself
	// keeps it
	kernel  string
	options sandbox.Options
	rooted  bool   // it is root's way only
	closed  string // what is said of it instead of "refused"
}

func escapes(t *testing.T) []escape {
	t.Helper()
	home := os.Getenv("HOME")
	state := t.TempDir()
	for _, dir := range []string{".ssh", ".aws", ".kube"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	key := filepath.Join(home, ".ssh", "hostler-test-key")
	if err := os.WriteFile(key, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(key) })
	// Something of ours, and of the host's, to reach for.
	l, err := net.Listen("unix", filepath.Join(state, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	name := "hostler-test-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	abstract, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	shm := int(time.Now().UnixNano() & 0x3fffffff)
	id, err := unix.SysvShmGet(shm, 4096, unix.IPC_CREAT|0o666)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) })
	sleeper := exec.Command("/bin/sleep", "3599")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	pid := strconv.Itoa(sleeper.Process.Pid)
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		t.Fatal(err)
	}
	node := deviceNode(t)
	privileges := []string{"seccomp", "capabilities"}
	all := []string{"seccomp", "capabilities", "no-new-privs", "dumpable", "descriptors", "proc", "pid", "ipc", "net", "users", "cgroup"}
	return []escape{
		{name: "a key of the user's", words: []string{"exists", key}, without: []string{"mask"}},
		{name: "passwords", words: []string{"read", "/etc/shadow"}, without: []string{"mask"}, kernel: "user"},
		{
			name: "hostler's own state", words: []string{"exists", filepath.Join(state, "socket")},
			without: []string{"mask"}, options: sandbox.Options{State: []string{state}},
		},
		{name: "hostler's own socket", words: []string{"fifo", filepath.Join(state, "socket")}, without: []string{"layer"},
			options: sandbox.Options{Show: []string{state}}}, // as where it was not known for ours
		{name: "a process of the host", words: []string{"see", pid, "3599"}, without: []string{"pid"}},
		{
			name: "a signal to a process of the host", words: []string{"signal", pid}, without: []string{"pid", "users"},
			user: []string{"pid"},
		},
		{
			name: "the root of a process of the host", words: []string{"read", "/proc/" + pid + "/root/etc/passwd"},
			without: all, kernel: "all",
		},
		{name: "trace a process of the host", words: []string{"ptrace", pid}, without: all, kernel: "all"},
		{name: "an abstract socket", words: []string{"abstract", name}, without: []string{"net"}},
		{name: "a port of the host", words: []string{"tcp", tcp.Addr().String()}, without: []string{"net"}},
		{name: "shared memory", words: []string{"shm", strconv.Itoa(shm)}, without: []string{"ipc"}},
		{name: "mount", words: []string{"mount"}, without: privileges},
		{name: "unmount what is closed off", words: []string{"umount"}, without: privileges},
		{name: "remount", words: []string{"remount"}, without: privileges},
		{name: "mount name space", words: []string{"pivot"}, without: privileges},
		{name: "user name space", words: []string{"users"}, without: []string{"seccomp"}},
		{name: "user name space by another call", words: []string{"clone3"}, without: []string{"seccomp"}},
		{name: "control groups", words: []string{"cgroup"}, without: privileges},
		// mounted, it is not their root
		{name: "release agent", words: []string{"release-agent"}, without: append(privileges, "users"), kernel: "all"},
		{name: "the first process", words: []string{"agent"}, without: []string{"dumpable"}},
		{name: "trace the first process", words: []string{"ptrace", "1"}, without: []string{"dumpable"}},
		{name: "descriptors", words: []string{"descriptors"}, without: []string{"descriptors"}},
		{
			name: "core pattern", words: []string{"writable", "/proc/sys/kernel/core_pattern"},
			without: []string{"proc", "users"}, rooted: true,
		},
		{name: "sysrq", words: []string{"writable", "/proc/sysrq-trigger"}, without: []string{"proc", "users"}, rooted: true},
		{name: "make a device node", words: []string{"device", strconv.FormatUint(root.Dev, 10)}, without: all, kernel: "all"},
		{
			name: "a device node in a shared directory", words: []string{"read", "/hostile/node"},
			without: []string{"nodev"}, options: sandbox.Options{Mounts: []string{node + ":/hostile/node"}},
		},
		{name: "an open directory and chroot", words: []string{"chroot", "/etc/shadow"}, without: []string{"detach"}},
		{name: "the host's root below ours", words: []string{"exists", "/../etc/shadow"}, without: []string{"detach"}},
		{
			name: "processes", words: []string{"processes", "200"}, without: []string{"limits"},
			options: sandbox.Options{PIDs: 100}, rooted: true,
		},
		{name: "memory", words: []string{"memory", strconv.Itoa(256 << 20)}, without: []string{"limits"},
			options: sandbox.Options{Memory: 64 << 20}, rooted: true,
			closed: "ended with 137 out of memory"},
		{
			name: "a disk of its own", words: []string{"disk", strconv.Itoa(64 << 20)}, without: []string{"limits"},
			options: sandbox.Options{Upper: "disk", Disk: 16 << 20}, rooted: true,
		},
		{
			name: "disk", words: []string{"disk", strconv.Itoa(32 << 20)}, without: []string{"limits"},
			options: sandbox.Options{Disk: 8 << 20},
		},
	}
}

// TestEscapes tries the ways out that are known, with all defences, and then, to see that the
// attempt is a real one, without those that close it.
func TestEscapes(t *testing.T) { tryEscapes(t) }

func TestEscapesAsUser(t *testing.T) {
	if asUser(t) {
		tryEscapes(t)
	}
}

// aheadEnv has jails made of processes that were started ahead.
const aheadEnv = "HOSTLER_TEST_AHEAD"

// TestEscapesAhead: a sandbox made of a process that was there before holds as any other.
func TestEscapesAhead(t *testing.T) {
	t.Setenv(aheadEnv, "1")
	tryEscapes(t)
}

func TestEscapesAheadAsUser(t *testing.T) {
	t.Setenv(aheadEnv, "1")
	if asUser(t) {
		tryEscapes(t)
	}
}

func tryEscapes(t *testing.T) {
	for _, e := range escapes(t) {
		t.Run(e.name, func(t *testing.T) {
			if e.rooted && os.Geteuid() != 0 {
				t.Skipf("%s: an ordinary user cannot do it outside either, or has no control group", e.name)
			}
			if e.name == "sysrq" {
				if _, err := os.Stat("/proc/sysrq-trigger"); err != nil {
					t.Skip("sysrq: this kernel has none")
				}
			}
			refused := func(got string) bool {
				return strings.HasPrefix(got, "refused") ||
					e.closed != "" && (strings.HasPrefix(got, e.closed) || strings.HasSuffix(got, usedUp))
			}
			if got := newJail(t, e.options).try("", e.words...); !refused(got) {
				t.Errorf("with all defences: %s", got)
			}
			if os.Getenv(aheadEnv) != "" {
				return // without defences it is as without that
			}
			o, kernel := e.options, e.kernel == "all"
			o.Without = e.without
			if os.Geteuid() != 0 {
				kernel = e.kernel != ""
				if len(e.user) > 0 {
					o.Without = e.user
				}
			}
			if got := newJail(t, o).try("", e.words...); got != "open" && !kernel {
				t.Errorf("without %v it is to be open: %s", o.Without, got)
			} else if kernel && !refused(got) {
				t.Errorf("without %v the kernel is to keep it closed: %s", o.Without, got)
			}
		})
	}
}

// deviceNode returns a device of the host's that everybody may read, on a file system whose users
// can be mapped.
func deviceNode(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		return "/dev/zero"
	}
	node := filepath.Join(t.TempDir(), "node")
	if err := errors.Join(unix.Mknod(node, unix.S_IFCHR, int(unix.Mkdev(1, 5))), os.Chmod(node, 0o666)); err != nil {
		t.Fatal(err)
	}
	return node
}

// TestSetUID: a set-uid program makes nobody root.
func TestSetUID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("setuid: an ordinary user's sandbox has one user")
	}
	for _, without := range [][]string{nil, {"no-new-privs"}} {
		j := newJail(t, sandbox.Options{Without: without})
		script := "cp " + insideProgram + " /usr/local/su && chmod 4755 /usr/local/su"
		if exit, err := j.conn.Run(
			t.Context(), &compute.Command{Args: []string{"/bin/sh", "-c", script}},
		); err != nil || exit.Status() != 0 {
			t.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
		}
		got := j.try("daemon", "setuid", "/usr/local/su")
		if open := got == "open"; open != (without != nil) {
			t.Errorf("without %v: %s", without, got)
		}
	}
}

// TestSetUIDAsUser: a set-uid program of the host's root makes an ordinary user's sandbox nobody
// but him. It is the kernel that sees to it, as the owner is nobody there: so it does without our
// defences too, and with both it is none outside of a sandbox that does it.
func TestSetUIDAsUser(t *testing.T) {
	if !asUser(t) {
		return
	}
	su := filepath.Join(os.Getenv("HOME"), "su")
	if os.Getenv(agentEnv) == "" || !isSetUID(su) {
		t.Skip("setuid: only root makes set-uid programs of his")
	}
	if out, err := exec.CommandContext(t.Context(), su, "id").Output(); err != nil || string(out) != "euid 0\n" {
		t.Fatalf("outside it is to make one root: %s, %v", out, err)
	}
	for _, without := range [][]string{nil, {"no-new-privs"}, {"no-new-privs", "seccomp", "capabilities"}} {
		j := newJail(t, sandbox.Options{Show: []string{su}, Without: without})
		mark := "mark-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		in, hold := io.Pipe()
		out, say := io.Pipe()
		ran := make(chan error, 1)
		go func() {
			_, err := j.conn.Run(t.Context(), &compute.Command{Args: []string{su, "hold", mark}, Stdin: in, Stdout: say, Stderr: say})
			_ = say.CloseWithError(errors.Join(io.EOF, err))
			ran <- err
		}()
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
			t.Fatalf("without %v: %q, %v", without, line, err)
		}
		found := 0
		names, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if b, err := os.ReadFile(name); err != nil || !strings.HasSuffix(string(b), "\x00"+mark+"\x00") {
				continue
			}
			status, err := os.ReadFile(filepath.Join(filepath.Dir(name), "status"))
			if err != nil {
				t.Fatal(err)
			}
			found++
			if want := fmt.Sprintf("Uid:\t%[1]d\t%[1]d\t%[1]d\t%[1]d\n", os.Getuid()); !strings.Contains(string(status), want) {
				t.Errorf("without %v:\n%s", without, status)
			}
		}
		if found != 1 {
			t.Errorf("without %v: %d processes found", without, found)
		}
		hold.Close()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

func isSetUID(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&os.ModeSetuid != 0
}

// TestDeepTree: a tree that is deeper than we have descriptors is deleted all the same.
func TestDeepTree(t *testing.T) { deepTree(t) }

func TestDeepTreeAsUser(t *testing.T) {
	if asUser(t) {
		deepTree(t)
	}
}

func deepTree(t *testing.T) {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	few := files
	few.Cur = 512
	j := newJail(t, sandbox.Options{Upper: "disk"})
	if got := j.try("", "deep", "3000"); got != "open" {
		t.Fatal(got)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &files) }()
	if _, err := j.p.Clean(t.Context(), "jail"); err != nil {
		t.Error(err)
	}
	_ = j.conn.Close()
	j.conn = nil
	gone(t, j.p, "jail")
}

// TestCgroupNamespace: inside, the sandbox's control group is the root of all.
func TestCgroupNamespace(t *testing.T) {
	j := newJail(t, sandbox.Options{})
	var out bytes.Buffer
	if exit, err := j.conn.Run(
		t.Context(), &compute.Command{Args: []string{"/bin/cat", "/proc/self/cgroup"}, Stdout: &out},
	); err != nil || exit.Status() != 0 {
		t.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
	}
	if strings.Contains(out.String(), "hostler") || !strings.Contains(out.String(), ":/") {
		t.Errorf("it sees\n%s", out.String())
	}
}

// TestVolume: a limited disk is a device that goes with its sandbox, also when that is killed.
func TestVolume(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("volume: only root makes loop devices")
	}
	dir := t.TempDir()
	before := loops(t)
	p := open(t, sandbox.Options{Dir: dir, Upper: "disk", Disk: 16 << 20})
	for _, id := range []compute.ID{"volume-1", "volume-2"} {
		if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
		works(t, p, id)
	}
	if n := loops(t) - before; n != 2 {
		t.Errorf("%d devices for two sandboxes", n)
	}
	if _, err := p.Clean(t.Context(), "volume-1"); err != nil {
		t.Error(err)
	}
	works(t, p, "volume-1")
	gone(t, p, "volume-1")
	gone(t, p, "volume-2")
	for try := 0; loops(t) > before; try++ {
		if try == 3000 {
			t.Fatalf("%d devices are left", loops(t)-before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// loops counts the loop devices in use.
func loops(t *testing.T) int {
	t.Helper()
	used, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	return len(used)
}

// TestRunEnds: what a command leaves behind ends with it, however it hides, unless it may stay.
func TestRunEnds(t *testing.T) { runEnds(t) }

func TestRunEndsAsUser(t *testing.T) {
	if asUser(t) {
		runEnds(t)
	}
}

func runEnds(t *testing.T) {
	j := newJail(t, sandbox.Options{})
	for _, stay := range []bool{false, true} {
		mark := strconv.Itoa(3_700_000 + 2*os.Getpid() + map[bool]int{true: 1}[stay])
		exit, err := j.conn.Run(t.Context(), &compute.Command{
			Args: []string{
				"/bin/sh", "-c",
				"setsid sh -c 'env -i sleep " + mark + " & env -i setsid sleep " + mark + " &' </dev/null >/dev/null 2>&1; sleep 0.1",
			}, Stay: stay,
		})
		if err != nil || exit.Status() != 0 {
			t.Fatalf("exit = %v, err = %v; want no error and exit.Status() == 0", exit, err)
		}
		if n := sleepers(t, mark); n != map[bool]int{true: 2}[stay] {
			t.Errorf("stay = %v: %d processes are left", stay, n)
		}
	}
}

// sleepers counts the processes `sleep N` of this machine.
func sleepers(t *testing.T, n string) int {
	t.Helper()
	found := 0
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && strings.HasSuffix(string(b), "sleep\x00"+n+"\x00") {
			found++
		}
	}
	return found
}
