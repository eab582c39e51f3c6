package hook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/hook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunInOrder(t *testing.T) {
	t.Setenv("HOSTLER_ADDRESS", "of another hook")
	t.Setenv("CALLERS", "kept")
	dir := filepath.Join(t.TempDir(), "provision.d")
	os.Mkdir(dir, 0o755)
	script(t, dir, "20-b", `echo "b $# $1 $HOSTLER_INSTANCE $HOSTLER_EVENT $HOSTLER_SOURCE [$HOSTLER_ADDRESS] $CALLERS"; echo err >&2`)
	script(t, dir, "10-a", `cat; echo a "$0"`) // cat ends at once: the input is empty
	script(t, dir, "no.sh", `echo never`)
	var out bytes.Buffer
	var done []string
	err := hook.Run(t.Context(), hook.Call{
		Dir: dir, Event: "provision", Instance: "web-1", Env: map[string]string{"HOSTLER_SOURCE": "web"}, StopAtFirst: true, Output: &out,
		Done: func(n int, name string) error { done = append(done, fmt.Sprint(n, name)); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "== provision.d/10-a web-1\na " + dir + "/10-a\n== provision.d/20-b web-1\nb 1 web-1 web-1 provision web [] kept\nerr\n"
	if out.String() != want {
		t.Errorf("output = %q\nwant     %q", out.String(), want)
	}
	if !slices.Equal(done, []string{"110-a", "220-b"}) {
		t.Errorf("done = %q", done)
	}
}

func TestRelativeDirectory(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "a", "echo ran")
	t.Chdir(dir)
	var out bytes.Buffer
	if err := hook.Run(
		t.Context(), hook.Call{Dir: ".", Instance: "i", Output: &out},
	); err != nil || !strings.Contains(out.String(), "ran") {
		t.Errorf(`err = %v, out = %q; want no error and out.String() with "ran"`, err, out.String())
	}
}

func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, text, want string
		kind             error
	}{
		{
			"status", "for i in 1 2 3 4 5 6 7; do echo line $i; done; exit 3",
			"exit status 3: line 3 / line 4 / line 5 / line 6 / line 7", compute.ErrFailed,
		},
		{"signal", "kill -TERM $$", "ended by signal TERM", compute.ErrFailed},
		{"escape", `printf '\033[31mred\000\n'; exit 1`, "exit status 1: [31mred", compute.ErrFailed},
		{"interpreter", "", "its interpreter /nowhere/sh does not exist", compute.ErrNoCommand},
		{"format", "", "exec format error", compute.ErrNotExecutable},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "check.d")
			os.Mkdir(dir, 0o755)
			path := script(t, dir, "x", c.text)
			switch c.name {
			case "interpreter":
				os.WriteFile(path, []byte("#!/nowhere/sh\n"), 0o755)
			case "format":
				os.WriteFile(path, []byte("echo no first line\n"), 0o755)
			}
			err := hook.Run(t.Context(), hook.Call{Dir: dir, Event: "check", Instance: "a-1"})
			var ce *compute.Error
			if !errors.As(err, &ce) || ce.ID != "a-1" || !errors.Is(err, compute.ErrFailed) || !errors.Is(err, c.kind) {
				t.Fatalf("err = %#v", err)
			}
			if s := err.Error(); !strings.Contains(s, "check.d/x: ") || !strings.Contains(s, c.want) ||
				strings.ContainsAny(s, "\n\x1b\x00") {
				t.Errorf("err = %q", s)
			}
		})
	}
}

func TestStopOrGoOn(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", "exit 1")
	script(t, dir, "2", "exit 2")
	script(t, dir, "3", "echo three")
	run := func(stop bool, resume int) (string, []string, error) {
		var out bytes.Buffer
		var done []string
		err := hook.Run(t.Context(), hook.Call{Dir: dir, Instance: "i", StopAtFirst: stop, Resume: resume, Output: &out,
			Done: func(n int, name string) error { done = append(done, strconv.Itoa(n)+":"+name); return nil }})
		return out.String(), done, err
	}
	out, done, err := run(true, 0)
	if err == nil || strings.Contains(out, "/2 i") || len(done) != 0 {
		t.Errorf("stop at first: %q %v %v", out, done, err)
	}
	out, done, err = run(false, 0)
	if !strings.Contains(out, "three") || !slices.Equal(done, []string{"1:1", "2:2", "3:3"}) {
		t.Errorf("go on: %q %v", out, done)
	}
	if f, ok := errors.AsType[hook.Failures](err); !ok || len(f) != 2 || f[1].Exit.Code != 2 {
		t.Errorf("go on: %v", err)
	}
	if out, done, err = run(true, 2); err != nil || !slices.Equal(done, []string{"3:3"}) {
		t.Errorf("resume: %q %v %v", out, done, err)
	}
	if _, done, err = run(true, 9); err != nil || done != nil {
		t.Errorf("resume beyond the end: %v %v", done, err)
	}
}

// TestResumeByName changes the directory between a run that is cut short and the one that goes on.
func TestResumeByName(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, dir, record string)
		resume int
		want   string // what runs then, and the counts that are told
	}{
		"nothing":        {func(*testing.T, string, string) {}, 2, "30-c=3 40-d=4"},
		"another before": {func(t *testing.T, dir, _ string) { script(t, dir, "05-z", "") }, 2, "05-z=3 30-c=4 40-d=5"},
		"one less":       {func(_ *testing.T, dir, _ string) { os.Remove(filepath.Join(dir, "10-a")) }, 2, "30-c=3 40-d=4"},
		"renamed": {
			func(_ *testing.T, dir, _ string) { os.Rename(filepath.Join(dir, "40-d"), filepath.Join(dir, "15-d")) }, 2,
			"15-d=3 30-c=4",
		},
		"record lost":    {func(_ *testing.T, _, record string) { os.Remove(record) }, 2, "30-c=3 40-d=4"},
		"record emptied": {func(_ *testing.T, _, record string) { os.Truncate(record, 0) }, 2, "30-c=3 40-d=4"},
		// It died after a script and before that was told.
		"record ahead": {func(*testing.T, string, string) {}, 1, "20-b=2 30-c=3 40-d=4"},
		"anew":         {func(*testing.T, string, string) {}, 0, "10-a=1 20-b=2 30-c=3 40-d=4"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, record := t.TempDir(), filepath.Join(t.TempDir(), "record")
			for _, name := range []string{"10-a", "20-b", "30-c", "40-d"} {
				script(t, dir, name, "")
			}
			var done []string
			cut := errors.New("cut")
			call := hook.Call{Dir: dir, Record: record, Done: func(n int, name string) error {
				if done = append(done, fmt.Sprintf("%s=%d", name, n)); name == "20-b" && n == 2 && len(done) == 2 {
					return cut
				}
				return nil
			}}
			if err := hook.Run(t.Context(), call); !errors.Is(err, cut) {
				t.Fatal(err)
			}
			c.change(t, dir, record)
			done, cut, call.Resume = nil, nil, c.resume
			if err := hook.Run(t.Context(), call); err != nil || strings.Join(done, " ") != c.want {
				t.Errorf("then it ran %q, want %q: %v", strings.Join(done, " "), c.want, err)
			}
		})
	}
}

// TestRecordCannotBeWritten still runs all, and says so.
func TestRecordCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", "")
	script(t, dir, "2", "echo two")
	var out bytes.Buffer
	err := hook.Run(t.Context(), hook.Call{Dir: dir, Output: &out, Record: filepath.Join(dir, "none", "record")})
	if err != nil || !strings.Contains(out.String(), "two") || !strings.Contains(out.String(), "cannot be noted") {
		t.Errorf(
			"err = %v out = %q"+
				`; want no error and out.String() with "two" and out.String() with "cannot be noted"`,
			err, out.String(),
		)
	}
}

func TestDoneFails(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", "")
	script(t, dir, "2", "echo two")
	full := errors.New("full")
	var out bytes.Buffer
	err := hook.Run(t.Context(), hook.Call{Dir: dir, Output: &out, Done: func(int, string) error { return full }})
	if !errors.Is(err, full) || strings.Contains(out.String(), "two") {
		t.Errorf(`err = %v out = %q; want error full and out.String() without "two"`, err, out.String())
	}
}

func TestVanishes(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", `rm "$(dirname "$0")/2"`)
	script(t, dir, "2", "echo two")
	err := hook.Run(t.Context(), hook.Call{Dir: dir, Instance: "i"})
	if !errors.Is(err, compute.ErrNoCommand) || !strings.Contains(err.Error(), "/2: ") {
		t.Errorf("err = %v", err)
	}
}

// hang is a script whose children hide in every way they have: a group of their own, a session of
// their own, deaf to signals.
const hang = `trap '' TERM
sleep 1000 & echo $! >>"$PIDS"
if command -v bash >/dev/null; then bash -mc 'sleep 1001 & echo $! >>"$PIDS"; wait' 2>/dev/null & fi
(trap '' TERM HUP; sleep 1002 & echo $! >>"$PIDS"; wait) & echo $! >>"$PIDS"
if command -v setsid >/dev/null; then setsid sh -c 'echo $$ >>"$PIDS"; exec sleep 1003' & fi
echo started
wait; wait; sleep 1004`

func hanging(t *testing.T) (dir, pids string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "release.d")
	os.Mkdir(dir, 0o755)
	script(t, dir, "1", hang)
	script(t, dir, "2", "echo two")
	pids = filepath.Join(t.TempDir(), "pids")
	t.Setenv("PIDS", pids)
	return dir, pids
}

func allGone(t *testing.T, file string) {
	t.Helper()
	data, _ := os.ReadFile(file)
	pids := strings.Fields(string(data))
	if len(pids) < 4 {
		t.Fatalf("only %q started", pids)
	}
	for _, p := range pids {
		pid, _ := strconv.Atoi(p)
		stat, _ := os.ReadFile("/proc/" + p + "/stat")
		if syscall.Kill(pid, 0) == nil && !bytes.Contains(stat, []byte(") Z ")) {
			t.Errorf("process %d lives: %s", pid, stat)
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

func TestTimeout(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hook: only Linux shows who has left the process group")
	}
	dir, pids := hanging(t)
	var out bytes.Buffer
	err := hook.Run(t.Context(), hook.Call{Dir: dir, Instance: "i", Timeout: time.Second, Output: &out})
	if !errors.Is(err, compute.ErrTimeout) || !strings.Contains(err.Error(), "release.d/1: killed after 1s: ") ||
		!strings.HasSuffix(err.Error(), "started") {
		t.Errorf("err = %v", err)
	}
	if !strings.Contains(out.String(), "two") {
		t.Error("the next script did not run")
	}
	allGone(t, pids)
}

func TestCancel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("hook: only Linux shows who has left the process group")
	}
	dir, pids := hanging(t)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	w := writer(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("started")) {
			time.AfterFunc(200*time.Millisecond, cancel)
		}
		return out.Write(p)
	})
	err := hook.Run(ctx, hook.Call{Dir: dir, Instance: "i", Output: w})
	if !errors.Is(err, context.Canceled) || errors.Is(err, compute.ErrTimeout) {
		t.Errorf("err = %v", err)
	}
	if strings.Contains(out.String(), "two") {
		t.Error("the next script ran")
	}
	allGone(t, pids)
	if err := hook.Run(ctx, hook.Call{Dir: dir, Instance: "i"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// A script may leave something behind that still holds its output: that is neither waited for nor
// killed.
func TestLeftBehind(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(t.TempDir(), "pids")
	t.Setenv("PIDS", pids)
	script(t, dir, "1", `sleep 1000 & echo $! >"$PIDS"; echo ready`)
	var out bytes.Buffer
	if err := hook.Run(
		t.Context(), hook.Call{Dir: dir, Timeout: time.Minute, Output: &out},
	); err != nil || !strings.Contains(out.String(), "ready") {
		t.Errorf(`err = %v out = %q; want no error and out.String() with "ready"`, err, out.String())
	}
	data, _ := os.ReadFile(pids)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
	if pid == 0 || syscall.Kill(pid, syscall.SIGKILL) != nil {
		t.Errorf("the tunnel %d was killed", pid)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestMuchOutput(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", "head -c 104857600 /dev/zero; echo; echo the end; exit 1")
	var n int64
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := hook.Run(
		t.Context(),
		hook.Call{Dir: dir, Output: writer(func(p []byte) (int, error) { n += int64(len(p)); return len(p), nil })},
	)
	runtime.ReadMemStats(&after)
	if n < 100<<20 || err == nil || len(err.Error()) > 4096 || !strings.HasSuffix(err.Error(), "the end") {
		t.Errorf("%d bytes, %v", n, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("took %d bytes of memory", grown)
	}
}

func TestOutputCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "1", "head -c 1000000 /dev/zero; echo; echo the end >&2; exit 4")
	err := hook.Run(t.Context(), hook.Call{Dir: dir, Output: writer(func([]byte) (int, error) { return 0, io.ErrShortWrite })})
	if err == nil || !strings.Contains(err.Error(), "exit status 4") || !strings.HasSuffix(err.Error(), "the end") {
		t.Errorf("err = %v", err)
	}
}
