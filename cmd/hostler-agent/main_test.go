package main_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

const mostBytes = 6_000_000 // of the file

// heavy are packages of the standard library that would make it large, or slow to start.
const heavy = "net/http crypto/tls text/template html/template regexp encoding/gob database/sql go/ast testing flag log/slog mime compress/flate"

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hostler-agent")
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "hostler-agent")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", &exec.Error{Name: string(out), Err: err}
	}
	return name, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if name, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(name))
	}
	os.Exit(code)
}

// program builds it, as `make agents` does.
func program(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go: there is no compiler")
	}
	name, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestImports holds the program to what is in testdata/imports, package by package but for the
// standard library's.
func TestImports(t *testing.T) {
	program(t)
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}} {{.Dir}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		if words[1] == "false" {
			got = append(got, words[0])
			files, _ := filepath.Glob(words[2] + "/*.go")
			for _, f := range files {
				_, _ = os.ReadFile(f) // what a test opens the test cache watches
			}
		} else if slices.Contains(strings.Fields(heavy), words[0]) {
			t.Errorf("%s is linked", words[0])
		}
	}
	slices.Sort(got)
	const list = "testdata/imports"
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, "\n") + "\n"; text != string(want) {
		t.Errorf("%s has\n%sand it is\n%s", list, want, text)
	}
}

func TestSize(t *testing.T) {
	fi, err := os.Stat(program(t))
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() >= mostBytes {
		t.Errorf("%d bytes, of %d", fi.Size(), mostBytes)
	}
}

// started runs the program on a socket, and returns it with the socket's name.
func started(t testing.TB) (*exec.Cmd, string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	name := filepath.Join(dir, "s")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	cmd := exec.Command(program(t), "serve", "--stay", "fd:3")
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return cmd, name
}

func connected(t testing.TB, name string) *agent.Client {
	t.Helper()
	nc, err := net.Dial("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	c := agent.New(nc)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// resident is how many bytes of memory a process has that another of the same program would not
// share with it: what it has written to.
func resident(t testing.TB, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		t.Skip("memory: the kernel does not tell it")
	}
	var own int64
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "Anonymous:" {
			n, _ := strconv.ParseInt(words[1], 10, 64)
			own += n << 10
		}
	}
	return own
}

func TestMemory(t *testing.T) {
	cmd, name := started(t)
	c := connected(t, name)
	for range 20 {
		if exit, err := c.Run(t.Context(), &compute.Command{Args: []string{"true"}}); err != nil || exit != (compute.Exit{}) {
			t.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
		}
	}
	const most = 6 << 20
	if n := resident(t, cmd.Process.Pid); n <= 0 || n > most {
		t.Errorf("%d KiB of its own", n>>10)
	} else {
		t.Logf("%d KiB of its own", n>>10)
	}
}

// One program on standard streams from its start to its first answer.
func TestFirstAnswer(t *testing.T) {
	for range 3 {
		answer(t)
	}
}

func answer(t testing.TB) {
	t.Helper()
	cmd := exec.Command(program(t), "serve", "stdio")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, err := in.Write([]byte("HsAg\x00\x03\x00\x00"))
	hello := make([]byte, 8)
	if err == nil {
		_, err = out.Read(hello)
	}
	if err != nil || !bytes.HasPrefix(hello, []byte("HsAg")) {
		t.Errorf("got %q, %v", hello, err)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// BenchmarkAgent has the promises as ratios of the same run: a command beside a bare fork and exec,
// a start beside that of true. The two are taken in turn, so that a busy machine makes both slow.
func BenchmarkAgent(b *testing.B) {
	bare := func() {
		if err := exec.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("command", func(b *testing.B) {
		cmd, name := started(b)
		c := connected(b, name)
		inTurn(b, bare, func() {
			if exit, err := c.Run(b.Context(), &compute.Command{Args: []string{"/bin/true"}}); err != nil || exit != (compute.Exit{}) {
				b.Fatalf("exit = %v, err = %v; want no error and exit == (compute.Exit{})", exit, err)
			}
		})
		b.ReportMetric(float64(resident(b, cmd.Process.Pid))/(1<<20), "MiB-own")
	})
	b.Run("start", func(b *testing.B) {
		program(b)
		inTurn(b, bare, func() { answer(b) })
	})
}

// inTurn reports the middle one of the times that f takes beside that of floor.
func inTurn(b *testing.B, floor, f func()) {
	b.Helper()
	var all [2][]time.Duration
	for b.Loop() {
		for i, f := range []func(){floor, f} {
			begun := time.Now()
			f()
			all[i] = append(all[i], time.Since(begun))
		}
	}
	for i := range all {
		slices.Sort(all[i])
	}
	n := len(all[0]) / 2
	b.ReportMetric(float64(all[1][n]-all[0][n])/1e6, "ms-above-fork")
	b.ReportMetric(float64(all[1][n])/float64(all[0][n]), "x-fork")
}

// TestFiles has commands find the limits of open files that were asked for, whatever the engine
// that started us left: here the hard one for both.
func TestFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip(runtime.GOOS + ": --files is for Linux")
	}
	for args, want := range map[string]string{
		"--files=500:600":            "500 600",
		"--files=500:600 --keep-env": "500 600",
		"--files=500:601":            "600 600", // more than may be had: as it is
		"":                           "600 600",
	} {
		cmd := exec.Command("sh", "-c", "ulimit -n 600 && exec "+program(t)+" serve "+args+" stdio")
		if os.Geteuid() == 0 { // who may raise limits is not held by them
			cmd = exec.Command("setpriv", append([]string{"--bounding-set=-sys_resource"}, cmd.Args...)...)
		}
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c := agent.New(struct {
			io.Reader
			io.WriteCloser
		}{out, in})
		var said bytes.Buffer
		if _, err := c.Run(
			t.Context(), &compute.Command{Args: []string{"sh", "-c", "echo $(ulimit -Sn) $(ulimit -Hn)"}, Stdout: &said},
		); err != nil {
			t.Errorf("args = %v, err = %v; want no error", args, err)
		}
		if got := strings.TrimSpace(said.String()); got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
		_ = c.Close()
		_ = cmd.Wait()
	}
	for _, bad := range []string{"--files=", "--files=5", "--files=7:6", "--files=a:b"} {
		out, err := exec.Command(program(t), "serve", bad, "stdio").CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "SOFT:HARD") {
			t.Errorf(
				"%s: err = %v, out = %s"+
					`; want errors.As(err, &exit) and exit.ExitCode() == 2 and string(out) with "SOFT:HARD"`,
				bad, err, out,
			)
		}
	}
}

// TestCopy puts the program somewhere by itself, as the init container of a pod does, in the place
// of what is there.
func TestCopy(t *testing.T) {
	to := filepath.Join(t.TempDir(), "agent")
	if err := os.WriteFile(to, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program(t), "copy", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	if out, err := exec.Command(to, "version").Output(); err != nil || !strings.Contains(string(out), "protocol") {
		t.Errorf("the copy says %q: %v", out, err)
	}
	if err := exec.Command(program(t), "copy", filepath.Join(t.TempDir(), "none", "agent")).Run(); err == nil {
		t.Error("a copy was made where there is no directory")
	}
}
