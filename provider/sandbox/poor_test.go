//go:build linux

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// poorEnv makes the test's program one on a poor machine, which lacks what its value says, below
// the directory behind the colon.
const poorEnv = "HOSTLER_TEST_POOR"

// userEnv, if it is not empty, makes it an ordinary user's.
const userEnv = "HOSTLER_TEST_POOR_USER"

// poor makes a sandbox where it cannot be, and prints what it is told.
func poor(text string) int {
	lack, dir, _ := strings.Cut(text, ":")
	o := sandbox.Options{Source: "suite", Installation: mine(), Dir: dir, Network: "none", Agent: built, Home: os.Getenv("HOME")}
	log, command := slog.New(slog.DiscardHandler), []string{"/bin/true"}
	shown := filepath.Join(o.Home, "home") // of the home, where one is made
	switch lack {
	case "users":
		if err := confine.ForbidUsers(); err != nil {
			panic(err)
		}
	case "maps": // a directory whose file system has no id-mapped mounts, and cannot be a layer
		if os.Geteuid() == 0 {
			if err := stacked(dir, shown); err != nil {
				panic(err)
			}
			if os.Getenv(userEnv) != "" { // it is his
				return poorUser()
			}
		}
		log, o.Show = slog.New(slog.NewTextHandler(os.Stdout, nil)), []string{shown}
	case "below": // something is mounted below what is shown
		if os.Geteuid() == 0 {
			if err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount(
				"tmpfs", shown+"/mounted", "tmpfs", 0, "mode=755",
			),
				os.WriteFile(shown+"/mounted/file", nil, 0o644)); err != nil {
				panic(err)
			}
			if os.Getenv(userEnv) != "" {
				return poorUser()
			}
		}
		log, o.Show = slog.New(slog.NewTextHandler(os.Stdout, nil)), []string{shown}
		command = []string{"/bin/sh", "-c", "cd ~/home && read -r a <file && read -r b <dir/file && echo changed " +
			">dir/file && read -r c <dir/file && echo new >new && " +
			"test $a$b$c = onetwochanged && test -d mounted && test ! -e mounted/file"}
	case "overlay":
		if err := noOverlay(); err != nil {
			panic(err)
		}
	case "cgroups", "limit":
		// the machine keeps its own
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			panic(err)
		}
		if err := unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH); err != nil {
			panic(err)
		}
		if lack == "limit" {
			o.Memory = 64 << 20
		}
	case "numbers", "free memory", "terminals":
		if err := poorKernel(dir, lack); err != nil {
			panic(err)
		}
	case "privacy": // as systemd has it: what is mounted in one name space appears in others
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
			panic(err)
		}
		for _, name := range []string{"a/b", "c"} {
			if err := os.MkdirAll(dir+"/"+name, 0o755); err != nil {
				panic(err)
			}
		}
		if err := unix.Mount("tmpfs", dir+"/a", "tmpfs", 0, ""); err != nil {
			panic(err)
		}
		if err := os.Mkdir(dir+"/a/b", 0o755); err != nil {
			panic(err)
		}
		o.Mounts = []string{dir + "/a:/srv:rw", dir + "/c:/srv/b"}
	}
	ctx := context.Background()
	p, err := sandbox.Open(ctx, log, o)
	if err != nil {
		panic(err)
	}
	_, err = p.Create(ctx, compute.Spec{ID: "poor"})
	if err == nil {
		err = once(p, "poor", command...)
	}
	if lack == "privacy" {
		mounts, _ := os.ReadFile("/proc/self/mountinfo")
		fmt.Println("mounts:", strings.Count(string(mounts), dir))
	}
	fmt.Println("error:", err)
	fmt.Println("hint:", compute.Hint(err))
	for _, kind := range []error{compute.ErrNoCapacity, compute.ErrUnavailable, compute.ErrFailed} {
		if errors.Is(err, kind) {
			fmt.Println("kind:", kind)
		}
	}
	_ = p.Destroy(ctx, "poor")
	if lack == "maps" { // once more, and nothing is said twice
		if _, err := p.Create(ctx, compute.Spec{ID: "poor"}); err != nil {
			panic(err)
		}
		_ = p.Destroy(ctx, "poor")
	}
	fmt.Println("other engine:", otherEngine(ctx))
	for _, f := range sandbox.Examine(ctx, o) {
		fmt.Println("found:", f.Result, f.What, f.Detail, f.Hint)
	}
	return 0
}

// poorKernel has the kernel seem to have used up something, to this process and its children.
func poorKernel(dir, lack string) error {
	name, text := "/proc/sys/kernel/pid_max", "40\n"
	switch lack {
	case "free memory":
		name, text = "/proc/meminfo", "MemTotal:       16384000 kB\nMemAvailable:      40000 kB\n"
	case "terminals":
		name, text = "/proc/sys/kernel/pty/nr", "3000\n"
	}
	file := dir + "/kernel"
	return errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), os.WriteFile(file, []byte(text), 0o644),
		unix.Mount(file, name, "", unix.MS_BIND, ""), os.Remove(file))
}

// poorUser is the rest of it as an ordinary user.
func poorUser() int {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), userEnv+"=")
	cmd.Stdout, cmd.Stderr, cmd.Dir = os.Stdout, os.Stderr, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	return 0
}

// stacked mounts overlays over a directory, as many as the kernel puts one over the other.
func stacked(dir, at string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	for _, n := range []string{"1", "2"} {
		for _, name := range []string{"/u", "/w"} {
			if err := os.MkdirAll(dir+name+n, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount("overlay", at, "overlay", 0, "lowerdir="+at+",upperdir="+dir+"/u"+n+",workdir="+dir+"/w"+n); err != nil {
			return err
		}
	}
	return nil
}

// TestNotSilent: where a directory cannot be shown that is said, once, and by doctor.
func TestNotSilent(t *testing.T) {
	for _, user := range []bool{false, true} {
		out, home := poorHome(t, "maps", user)
		if n := strings.Count(out, "level=WARN"); n != 1 || !strings.Contains(out, "path="+home+" err=") ||
			!strings.Contains(out, "error: <nil>") {
			t.Errorf("user %v: %d warnings in\n%s", user, n, out)
		}
		if !strings.Contains(out, "found: warn sandbox: files "+home+" is empty") {
			t.Errorf("user %v: doctor says\n%s", user, out)
		}
	}
}

// TestMountBelowHome: a mount that is no disk hides nothing else of its directory.
func TestMountBelowHome(t *testing.T) {
	for _, user := range []bool{false, true} {
		out, home := poorHome(t, "below", user)
		if strings.Contains(out, "level=WARN") || !strings.Contains(out, "error: <nil>") {
			t.Errorf("user %v:\n%s", user, out)
		}
		if b, err := os.ReadFile(filepath.Join(home, "dir", "file")); err != nil || string(b) != "two\n" {
			t.Errorf("user %v: on the host: %q, %v", user, b, err)
		}
	}
}

// poorHome runs poor in a home of its own. It returns the output and the shown directory.
func poorHome(t *testing.T, lack string, user bool) (out, home string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("home: only root mounts something there")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("", "hostler-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	dir, env := filepath.Join(base, "state"), userEnv+"="
	home = filepath.Join(base, "home")
	steps := []error{os.Chmod(base, 0o755), os.Mkdir(home, 0o755), os.Mkdir(dir, 0o755),
		os.Mkdir(home+"/mounted", 0o755), os.Mkdir(home+"/dir", 0o755),
		os.WriteFile(home+"/file", []byte("one\n"), 0o644), os.WriteFile(home+"/dir/file", []byte("two\n"), 0o644)}
	if user {
		for _, name := range []string{base, home, dir, home + "/mounted", home + "/dir", home + "/file", home + "/dir/file"} {
			steps = append(steps, os.Chown(name, nobody, nobody))
		}
		env += "1"
	}
	if err := errors.Join(steps...); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), poorEnv+"="+lack+":"+dir, "HOME="+base, "TMPDIR="+dir, env)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("err = %v\ntext = %s; want no error", err, text)
	}
	return string(text), home
}

// otherEngine runs a command by an engine that needs nothing of what sandboxes need.
func otherEngine(ctx context.Context) error {
	p, err := local.Open(ctx, slog.New(slog.DiscardHandler), local.Options{Installation: mine()})
	if err != nil {
		return err
	}
	in, err := p.Create(ctx, compute.Spec{ID: "local-local"})
	if err != nil {
		return err
	}
	c, err := p.Connect(ctx, in.ID)
	if err != nil {
		return err
	}
	defer c.Close()
	exit, err := c.Run(ctx, &compute.Command{Args: []string{"/bin/true"}})
	if err == nil && exit.Status() != 0 {
		err = fmt.Errorf("it ended with %d", exit.Status())
	}
	return err
}

// TestPoorMachines: where the kernel lacks something, it is said what, and what may help; by doctor
// too.
func TestPoorMachines(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("poor: only root can take things away")
	}
	for _, c := range []struct {
		lack  string
		flags uintptr
		want  []string
	}{
		{
			"users", unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
			[]string{"kind: no capacity", "max_*_namespaces", "found: fail sandbox", "no user name spaces are allowed"},
		},
		{
			"overlay", unix.CLONE_NEWNS,
			[]string{
				"kind: unavailable", "mount an overlay: no such device", "hint: modprobe overlay", "found: fail sandbox",
				"found: warn sandbox: kernel",
			},
		},
		{"cgroups", unix.CLONE_NEWNS, []string{"error: <nil>", "found: ok sandbox made"}},
		{"privacy", unix.CLONE_NEWNS, []string{"error: <nil>", "mounts: 1\n"}},
		{
			"numbers", unix.CLONE_NEWNS,
			[]string{"kind: no capacity", "this machine has numbers for 40 processes and threads", "hint: end some programs or sandboxes"},
		},
		{"free memory", unix.CLONE_NEWNS, []string{"kind: no capacity", "39.1M of this machine's", "hint: end some programs"}},
		{"terminals", unix.CLONE_NEWNS, []string{"kind: no capacity", "3000 are in use", "or raise kernel.pty.max"}},
		{"limit", unix.CLONE_NEWNS, []string{"kind: unavailable", "memory cannot be limited"}},
	} {
		t.Run(c.lack, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			before := traces(t, dir)
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), poorEnv+"="+c.lack+":"+dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.flags}
			if c.flags&unix.CLONE_NEWUSER != 0 {
				ids := []syscall.SysProcIDMap{{Size: 1 << 31}}
				cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings, cmd.SysProcAttr.GidMappingsEnableSetgroups = ids, ids, true
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("err = %v\nout = %s; want no error", err, out)
			}
			if c.lack != "privacy" { // which makes directories of its own
				settled(t, dir, before, "a machine without "+c.lack)
			}
			for _, w := range append(c.want, "other engine: <nil>\n") {
				if !strings.Contains(string(out), w) {
					t.Errorf("without %s there is no %q in\n%s", c.lack, w, out)
				}
			}
		})
	}
}
