package process_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

// output runs a command and returns what it wrote.
func output(t *testing.T, c compute.Conn, cmd compute.Command) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	exit, err := c.Run(t.Context(), &cmd)
	if err != nil || exit != (compute.Exit{}) {
		t.Fatalf(
			"%q: exit = %+v, err = %v; errs = %s"+
				"; want no error and exit == (compute.Exit{})",
			cmd.Args, exit, err, errs.String(),
		)
	}
	return out.String()
}

func TestEnvironment(t *testing.T) {
	t.Setenv("HOSTLER_TEST_SECRET", "leaks")
	t.Setenv("TERM", "vt220")
	small := process.New(process.Options{Mark: map[string]string{"HOSTLER_MARK": "m1"}})
	keeps := process.New(process.Options{KeepEnv: true, Mark: map[string]string{"HOSTLER_MARK": "m1"}})
	show := compute.Command{
		Args: []string{"sh", "-c", `echo "$HOSTLER_TEST_SECRET|$HOSTLER_MARK|$TERM|$LANG|$X"`},
		Env:  map[string]string{"X": "x", "HOSTLER_MARK": "forged"},
	}
	if got := output(t, small, show); got != "|m1|dumb|C.UTF-8|x\n" {
		t.Errorf("small: %q", got)
	}
	if got := output(t, keeps, show); !strings.HasPrefix(got, "leaks|m1|vt220|") || !strings.HasSuffix(got, "|x\n") {
		t.Errorf("kept: %q", got)
	}
}

func TestDirectoryDefaults(t *testing.T) {
	dir, _ := filepath.EvalSymlinks(t.TempDir())
	here, _ := os.Getwd()
	if err := os.Mkdir(dir+"/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ base, dir, want string }{
		{"", "", here}, {dir, "", dir}, {dir, "sub", dir + "/sub"}, {dir, "/", "/"}, {"", dir, dir}, {dir, "sub/..", dir},
	} {
		e := process.New(process.Options{Dir: c.base, KeepEnv: true})
		if got := output(
			t, e, compute.Command{Args: []string{"sh", "-c", `pwd; echo "$PWD"`}, Dir: c.dir},
		); got != c.want+"\n"+c.want+"\n" {
			t.Errorf("%+v: got = %q; want got == c.want+\"\\n\"+c.want+\"\\n\"", c, got)
		}
	}
}

func TestLookUp(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a/tool", "#!/bin/sh\necho a\n", 0o644)
	write(t, dir+"/b/tool", "#!/bin/sh\necho b\n", 0o755)
	write(t, dir+"/b/none", "echo no interpreter named: $1\n", 0o755)
	write(t, dir+"/b/lost", "#!/no/such/interpreter\n", 0o755)
	write(t, dir+"/only/plain", "x", 0o644)
	e := process.New(process.Options{KeepEnv: true, Dir: dir})
	env := map[string]string{"PATH": dir + "/a:" + dir + "/b:/usr/bin:/bin:" + dir + "/only"}
	if got := output(t, e, compute.Command{Args: []string{"tool"}, Env: env}); got != "b\n" {
		t.Errorf("a file that is not executable hides one that is: %q", got)
	}
	if got := output(t, e, compute.Command{Args: []string{"./b/tool"}}); got != "b\n" {
		t.Errorf("a name relative to the directory: %q", got)
	}
	if got := output(t, e, compute.Command{Args: []string{"none", "one"}, Env: env}); got != "no interpreter named: one\n" {
		t.Errorf("a script without an interpreter: %q", got)
	}
	for name, kind := range map[string]error{
		"plain": compute.ErrNotExecutable, "lost": compute.ErrNoCommand, "a\x00b": compute.ErrCannotStart,
		"": compute.ErrNoCommand,
	} {
		if _, err := e.Run(t.Context(), &compute.Command{Args: []string{name}, Env: env}); !errors.Is(err, kind) {
			t.Errorf("%q: got %v, want %v", name, err, kind)
		}
	}
	if _, err := e.Run(
		t.Context(), &compute.Command{Args: []string{"true"}, Env: map[string]string{"A=B": "c"}},
	); !errors.Is(err, compute.ErrCannotStart) {
		t.Errorf("a bad variable: got %v", err)
	}
}

func TestUser(t *testing.T) {
	e := process.New(process.Options{})
	if _, err := e.Run(
		t.Context(), &compute.Command{Args: []string{"true"}, User: "hostler-no-such-user"},
	); !errors.Is(err, compute.ErrCannotStart) {
		t.Errorf("no such user: got %v", err)
	}
	if os.Geteuid() != 0 {
		_, err := e.Run(t.Context(), &compute.Command{Args: []string{"true"}, User: "root"})
		if !errors.Is(err, compute.ErrDenied) || compute.Hint(err) == "" {
			t.Errorf("another user: got %v", err)
		}
		t.Skip("user: needs root")
	}
	show := []string{"sh", "-c", `id -u; echo "$HOME $USER"`}
	if got := output(t, e, compute.Command{Args: show, User: "nobody", Dir: "/"}); !strings.HasPrefix(got, "65534\n") ||
		!strings.HasSuffix(got, " nobody\n") {
		t.Errorf("as nobody: %q", got)
	}
	tty := &compute.Size{Rows: 24, Cols: 80}
	if got := output(
		t, e,
		compute.Command{Args: []string{"sh", "-c", `echo "opened by $(id -u)" > "$(tty)"`}, User: "nobody", Dir: "/", TTY: tty},
	); !strings.Contains(got, "opened by 65534") {
		t.Errorf("a terminal of nobody's: %q", got)
	}
	root := tinyRoot(t)
	in := process.New(process.Options{Root: root, Chroot: true})
	if got := output(t, in, compute.Command{Args: show, User: "user"}); got != "1000\n/tmp user\n" {
		t.Errorf("the root's own user: %q", got)
	}
	if got := output(
		t, in, compute.Command{Args: []string{"sh", "-c", "test -t 0 && id -u"}, User: "1000", TTY: tty},
	); !strings.Contains(got, "1000") {
		t.Errorf("with a terminal: %q", got)
	}
}

// In a root, links to absolute names stay in it, for commands and for files.
func TestRootLinks(t *testing.T) {
	root := tinyRoot(t)
	secret := filepath.Join(scratch(t), "secret")
	write(t, secret, "of the host", 0o644)
	write(t, root+"/real/f", "inside", 0o644)
	write(t, root+"/bin/tool.sh", "#!/bin/sh\necho tool\n", 0o755)
	for name, target := range map[string]string{
		"abs": "/real", "chain": "/abs", "up": "../../../../../real", "bin/tool": "/bin/tool.sh", "host": secret,
		"loop": "/loop", "hostdir": filepath.Dir(secret), "out": "/../..",
	} {
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	e := process.New(process.Options{Root: root, Chroot: true, Dir: "/"})
	if got := output(t, e, compute.Command{Args: []string{"tool"}}); got != "tool\n" {
		t.Errorf("a command behind a link: %q", got)
	}
	for _, name := range []string{"/abs/f", "/chain/f", "/up/f", "chain/f", "/out/real/f"} {
		var b bytes.Buffer
		if err := e.Get(t.Context(), name, &b); err != nil || !strings.Contains(b.String(), "inside") {
			t.Errorf("Get %s: %v", name, err)
		}
	}
	for _, name := range []string{"/host/", "/loop/f", "/hostdir/secret", "/../../.." + secret, secret} {
		var b bytes.Buffer
		if err := e.Get(t.Context(), name, &b); err == nil || strings.Contains(b.String(), "of the host") {
			t.Errorf("Get %s: %v", name, err)
		}
	}
	if err := e.Put(t.Context(), "/hostdir/new", bytes.NewReader(entriesOf("secret"))); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(secret); string(got) != "of the host" {
		t.Errorf("the host's file has %q, %v", got, err)
	}
	if got, err := os.ReadFile(filepath.Join(root, filepath.Dir(secret), "new/secret")); string(got) != "secret" {
		t.Errorf("the root's file has %q, %v", got, err)
	}
	// Nobody in there makes us wait.
	if err := os.Remove(root + "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(root+"/etc/passwd", 0o644); err != nil {
		t.Fatal(err)
	}
	if got := output(t, e, compute.Command{Args: []string{"echo", "ran"}}); got != "ran\n" {
		t.Errorf("with a fifo for a user database: %q", got)
	}
}

// Files go to the child as they are: it shares our offset in them.
func TestFilesPassedOn(t *testing.T) {
	name := t.TempDir() + "/f"
	write(t, name, "one\ntwo\nthree\n", 0o600)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	e := process.New(process.Options{})
	if got := output(t, e, compute.Command{Args: []string{"sh", "-c", `read x; echo "$x"`}, Stdin: f}); got != "one\n" {
		t.Errorf("first line: %q", got)
	}
	if got := output(t, e, compute.Command{Args: []string{"cat"}, Stdin: f}); got != "two\nthree\n" {
		t.Errorf("the rest: %q", got)
	}
}

// What a command wrote before its end arrives, however slowly it is read.
func TestSlowReader(t *testing.T) {
	e := process.New(process.Options{})
	w := &slow{}
	exit, err := e.Run(
		t.Context(),
		&compute.Command{Args: []string{"sh", "-c", "sleep 100 & head -c 65536 /dev/zero; kill -9 $!"}, Stdout: w},
	)
	if err != nil || exit.Code != 0 || w.n != 65536 {
		t.Errorf("%d bytes came, %+v, %v", w.n, exit, err)
	}
	w = &slow{}
	_, err = e.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", "(sleep 3; :) & head -c 65536 /dev/zero"}, Stdout: w})
	if err != nil || w.n != 65536 {
		t.Errorf("with one that holds the pipe: %d bytes came, %v", w.n, err)
	}
}

type slow struct{ n int }

func (s *slow) Write(b []byte) (int, error) {
	time.Sleep(400 * time.Millisecond) // a writer that is slow to take what comes
	s.n += len(b)
	return len(b), nil
}

// What was opened for a command that does not start is closed, at once and not by the garbage
// collector.
func TestFailedStartClosesFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("descriptors: /proc is Linux's")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	open := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	dir := t.TempDir()
	write(t, dir+"/lost", "#!/no/such/interpreter\n", 0o755)
	e := process.New(process.Options{})
	defer func() { _ = e.Close() }()
	before := open()
	for range 50 {
		for _, cmd := range []compute.Command{
			{}, {Stdin: strings.NewReader("x")}, {Stdout: io.Discard},
			{Stdin: strings.NewReader("x"), Stdout: &bytes.Buffer{}, Stderr: io.Discard},
			{TTY: &compute.Size{Rows: 1, Cols: 1}},
		} {
			cmd.Args = []string{dir + "/lost"}
			if _, err := e.Run(t.Context(), &cmd); !errors.Is(err, compute.ErrNoCommand) {
				t.Fatalf("got %v", err)
			}
		}
	}
	if after := open(); after > before+5 {
		t.Errorf("%d descriptors were open before, %d are now", before, after)
	}
}

// A broken prefix, or a root that is not there, is said as such.
func TestBrokenPlaces(t *testing.T) {
	for _, opt := range []process.Options{{Prefix: []string{"/no/such/prefix"}}, {Root: "/no/such/root", Chroot: true}} {
		e := process.New(opt)
		if _, err := e.Run(t.Context(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrCannotStart) ||
			errors.Is(err, compute.ErrNoCommand) {
			t.Errorf("%+v: got %v", opt, err)
		}
	}
	alone := process.New(process.Options{Root: t.TempDir()}) // commands would be here, files there
	_, rerr := alone.Run(t.Context(), &compute.Command{Args: []string{"true"}})
	_, lerr := alone.Listen(t.Context(), "unix", "/s")
	perr := alone.Put(t.Context(), "/", bytes.NewReader(entriesOf("f")))
	for _, err := range []error{rerr, lerr, perr, alone.Get(t.Context(), "/", io.Discard)} {
		if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("a root alone: got %v", err)
		}
	}
	e := process.New(process.Options{Prefix: []string{"env"}})
	if err := e.Put(t.Context(), "/tmp", bytes.NewReader(entriesOf("f"))); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("files behind a prefix without a root: got %v", err)
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if err := process.New(process.Options{}).Get(t.Context(), dir+"/f", &bytes.Buffer{}); !errors.Is(err, compute.ErrDenied) &&
			!errors.Is(err, fs.ErrPermission) {
			t.Errorf("a closed directory: got %v", err)
		}
	}
}

func TestLoginShell(t *testing.T) {
	t.Setenv("SHELL", "/bin/some-shell")
	if got := process.LoginShell(); got != "/bin/some-shell" {
		t.Errorf("got %q", got)
	}
	t.Setenv("SHELL", "")
	if got := process.LoginShell(); got == "" || got[0] != '/' {
		t.Errorf("got %q", got)
	}
}

// Close does not wait for whoever reads the output, or gives the input.
func TestCloseWhileBlocked(t *testing.T) {
	e := process.New(process.Options{})
	stuck := &stuck{at: make(chan struct{}), free: make(chan struct{})}
	done := make(chan error, 2)
	go func() {
		_, err := e.Run(t.Context(), &compute.Command{Args: []string{"sh", "-c", "echo x; sleep 300"}, Stdout: stuck})
		done <- err
	}()
	<-stuck.at
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	close(stuck.free)
	if err := <-done; !errors.Is(err, compute.ErrLost) {
		t.Errorf("Run: got %v, want ErrLost", err)
	}
}

type stuck struct{ at, free chan struct{} }

func (s *stuck) Write(b []byte) (int, error) {
	close(s.at)
	<-s.free
	return len(b), nil
}
