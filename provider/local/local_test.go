package local_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/guard"
	"github.com/hostler-project/hostler/provider/local"
)

func TestMain(m *testing.M) {
	// As a child of a test, this program is a hostler that is itself under a lease and gives it
	// back.
	if os.Getenv("LOCAL_TEST_RELEASE") != "" {
		os.Exit(releaseFromInside())
	}
	goleak.VerifyTestMain(m)
}

func open(t testing.TB, installation, dir string) *local.Provider {
	t.Helper()
	p, err := local.Open(
		context.Background(), slog.New(slog.DiscardHandler),
		local.Options{Source: "suite", Installation: installation, Dir: dir},
	)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// marked returns the processes of an installation that live.
func marked(t *testing.T, installation string) (out []string) {
	t.Helper()
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range all {
		if b, _ := os.ReadFile(f); bytes.Contains(b, []byte(local.Mark+"="+installation+"/suite-local\x00")) {
			out = append(out, f)
		}
	}
	return out
}

func TestProvider(t *testing.T) {
	for name, wrap := range map[string]func(compute.Provider) compute.Provider{
		"bare":    func(p compute.Provider) compute.Provider { return p },
		"guarded": func(p compute.Provider) compute.Provider { return guard.New(p, guard.Options{Creates: 2}) },
	} {
		for _, remembers := range []bool{true, false} {
			t.Run(name+" "+strconv.FormatBool(remembers), func(t *testing.T) {
				dir, installation := "", t.Name()
				if remembers {
					dir = filepath.Join(t.TempDir(), "own")
				}
				computetest.Provider(t, computetest.ProviderOptions{
					New:  func(t *testing.T) compute.Provider { return wrap(open(t, installation, dir)) },
					Leak: func() []string { return marked(t, installation) },
				})
			})
		}
	}
}

func connect(t *testing.T, p compute.Provider) compute.Conn {
	t.Helper()
	conn, err := p.Connect(t.Context(), "suite-local")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func sh(t *testing.T, conn compute.Conn, script string) string {
	t.Helper()
	var out bytes.Buffer
	if exit, err := conn.Run(
		t.Context(), &compute.Command{Args: []string{"sh", "-c", script}, Stdout: &out},
	); err != nil || exit.Status() != 0 {
		t.Fatalf("%s: exit = %v, err = %v; want no error and exit.Status() == 0", script, exit, err)
	}
	return strings.TrimSpace(out.String())
}

// gone waits until a process has ended, reaped or not.
func gone(t *testing.T, pid string) {
	t.Helper()
	for range 3000 {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || bytes.Contains(b, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %s lives", pid)
}

func lives(pid string) bool {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !bytes.Contains(b, []byte(") Z "))
}

func TestCallersSurroundings(t *testing.T) {
	t.Setenv("LOCAL_TEST_VALUE", "of the caller")
	t.Chdir(t.TempDir())
	conn := connect(t, open(t, "i", t.TempDir()))
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if got := sh(t, conn, `echo "$LOCAL_TEST_VALUE:$(pwd -P)"`); got != "of the caller:"+dir {
		t.Errorf("a command finds %q", got)
	}
	if got := strings.Join(local.Unmarked([]string{"A=1", local.Mark + "=x/y", local.Mark + "2=z"}), " "); got != "A=1 "+local.Mark+"2=z" {
		t.Errorf("Unmarked: %s", got)
	}
}

func needProc(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("local: processes are looked for on Linux only")
	}
}

// TestHunt leaves processes of several sorts behind. Only those of this instance go.
func TestHunt(t *testing.T) {
	needProc(t)
	dir := t.TempDir()
	p, other := open(t, "hunt-"+t.Name(), dir), open(t, "other-"+t.Name(), t.TempDir())
	conn, elsewhere := connect(t, p), connect(t, other)
	session := ""
	if _, err := exec.LookPath("setsid"); err == nil {
		session = "setsid "
	}
	var mine []string
	for _, script := range []string{
		"sleep 3984 >/dev/null 2>&1 & echo $!",
		// a daemon that will not hear
		session + "sh -c 'trap \"\" TERM HUP; echo $$; exec >/dev/null 2>&1; while :; do sleep 1; done' &\nsleep 0.2",
		// stopped below
		"sleep 3984 >/dev/null 2>&1 & echo $!",
		// an environment beyond one page
		"FILL=$(head -c 100000 /dev/zero | tr '\\0' x) sleep 3984 >/dev/null 2>&1 & echo $!",
	} {
		pid := sh(t, conn, script)
		if !lives(pid) {
			t.Fatalf("%q does not live", pid)
		}
		mine = append(mine, pid)
	}
	if n, err := strconv.Atoi(mine[2]); err != nil || syscall.Kill(n, syscall.SIGSTOP) != nil {
		t.Fatal("cannot stop", mine[2])
	}
	theirs := sh(t, elsewhere, "sleep 3984 >/dev/null 2>&1 & echo $!")
	free := exec.Command("sleep", "3984")
	free.Env = local.Unmarked(append(os.Environ(), local.Mark+"=hunt-"+t.Name()+"/suite-local"))
	if err := free.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Process.Kill(); _ = free.Wait() }()

	// another process of hostler
	said, err := open(t, "hunt-"+t.Name(), dir).Clean(t.Context(), "suite-local")
	// of the daemon's children there may be more than one
	count, _, _ := strings.Cut(said, " ")
	if n, aerr := strconv.Atoi(count); err != nil || aerr != nil || n < len(mine) ||
		!strings.HasSuffix(said, "processes ended, none with our mark left") {
		t.Errorf("Clean: %q, %v", said, err)
	}
	for _, pid := range mine {
		gone(t, pid)
	}
	if !lives(theirs) || !lives(strconv.Itoa(free.Process.Pid)) {
		t.Error("a process that is not this instance's was ended")
	}
	if said, err := p.Clean(t.Context(), "suite-local"); err != nil || said != "nothing was run" {
		t.Errorf("Clean when nothing was run: %q, %v", said, err)
	}
	if err := other.Destroy(t.Context(), "suite-local"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Destroy: %v", err)
	}
	gone(t, theirs)
}

// TestCutShort looks that a Clean that died leaves what the next one needs to know.
func TestCutShort(t *testing.T) {
	needProc(t)
	dir := t.TempDir()
	p := open(t, "cut-"+t.Name(), dir)
	pid := sh(t, connect(t, p), "sleep 3984 >/dev/null 2>&1 & echo $!")
	// as far as it came
	if err := os.Rename(filepath.Join(dir, "used"), filepath.Join(dir, "ending")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Clean(ctx, "suite-local"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := open(t, "cut-"+t.Name(), dir).Clean(t.Context(), "suite-local"); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

// TestReleaseFromInside gives the machine back from a process that runs on it: that one and its
// ancestors live on, its siblings go.
func TestReleaseFromInside(t *testing.T) {
	needProc(t)
	dir := t.TempDir()
	p := open(t, "inside-"+t.Name(), dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := connect(t, p).Run(t.Context(), &compute.Command{
		Args: []string{"sh", "-c", `sleep 3984 >/dev/null 2>&1 & echo $!; "$1" && echo survived`, "x", self}, Stdout: &out, Stderr: &out,
		Env: map[string]string{"LOCAL_TEST_RELEASE": dir, "LOCAL_TEST_INSTALLATION": "inside-" + t.Name()},
	})
	pid, rest, _ := strings.Cut(strings.TrimSpace(out.String()), "\n")
	if err != nil || exit.Status() != 0 || rest != "survived" {
		t.Errorf(
			"exit = %v, err = %v: out = %s"+
				`; want no error and exit.Status() == 0 and rest == "survived"`,
			exit, err, out.String(),
		)
	}
	gone(t, pid)
}

func releaseFromInside() int {
	p, err := local.Open(context.Background(), slog.New(slog.DiscardHandler),
		local.Options{Source: "suite", Installation: os.Getenv("LOCAL_TEST_INSTALLATION"), Dir: os.Getenv("LOCAL_TEST_RELEASE")})
	if err != nil {
		return 2
	}
	if err := p.Destroy(context.Background(), "suite-local"); !errors.Is(err, compute.ErrNotFound) {
		return 3
	}
	return 0
}

func TestStateDirectoryThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, open(t, "i", filepath.Join(file, "own")))
	if _, err := conn.Run(t.Context(), &compute.Command{Args: []string{"true"}}); !errors.Is(err, compute.ErrCannotStart) ||
		!errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a command that could not be found again: %v, want ErrCannotStart", err)
	}
}

func BenchmarkCleanNothing(b *testing.B) {
	p := open(b, "bench", b.TempDir())
	for b.Loop() {
		if _, err := p.Clean(b.Context(), "suite-local"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHunt(b *testing.B) {
	p := open(b, "bench", "")
	for b.Loop() {
		if _, err := p.Clean(b.Context(), "suite-local"); err != nil {
			b.Fatal(err)
		}
	}
}
