package runas_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

// killed runs a command in a process of its own, and kills that with -9 once the command has begun.
func killed(t *testing.T, c runas.Command) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestOwner$")
	cmd.Env = append(os.Environ(), "ONCE_TEST_OWNS="+c.Argv[2], "ONCE_TEST_DIR="+c.Dir, "ONCE_TEST_MARK="+c.Mark, "ONCE_TEST_PART="+c.Part)
	do(t, cmd.Start())
	wait(t, "it does not begin", func() bool { _, err := os.Stat(filepath.Join(c.Dir, "began")); return err == nil })
	do(t, cmd.Process.Kill())
	_ = cmd.Wait()
}

// TestOwner is the process that killed kills.
func TestOwner(t *testing.T) {
	script, ok := os.LookupEnv("ONCE_TEST_OWNS")
	if !ok {
		t.Skip("TestOwner: it is what TestMark kills")
	}
	_ = runas.Run(context.Background(), runas.Command{Argv: []string{"/bin/sh", "-c", script},
		Dir: os.Getenv("ONCE_TEST_DIR"), Env: []string{"PATH=/usr/bin:/bin"},
		Mark: os.Getenv("ONCE_TEST_MARK"), Part: os.Getenv("ONCE_TEST_PART")})
}

func wait(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// TestMark ends what the killed owner of a run left, hidden or deaf, before the next of its mark
// begins, and nothing of other marks, or of another part.
func TestMark(t *testing.T) {
	mark := runas.Partition("COMP-1", t.TempDir())
	other := mark + "0"
	t.Cleanup(func() {
		for _, m := range []string{mark, other} {
			if _, err := runas.End(context.Background(), m, nil); err != nil {
				t.Error(err)
			}
		}
	})
	pids := filepath.Join(t.TempDir(), "pids")
	left := func(mark, part string) {
		c := sh(
			t,
			`trap '' TERM HUP; echo $$ > `+pids+`; (setsid sh -c 'trap "" TERM HUP; echo $$ >> `+pids+`; echo began > began; while :; do sleep 0.05; done' &); while :; do sleep 0.05; done`,
		)
		c.Mark, c.Part = mark, part
		killed(t, c)
		if n := with(t, runas.For+"="+mark); n < 2 {
			t.Fatalf("%d are left of %q: there is nothing to be tested", n, mark)
		}
	}
	next := func(mark, part string) string { // what is still there when it begins
		var out bytes.Buffer
		c := sh(t, `for p in $(cat `+pids+`); do if grep -q '^State:.[RSDT]' /proc/"$p"/status 2>/dev/null; then echo "$p"; fi; done`)
		c.Mark, c.Part, c.Output = mark, part, &out
		do(t, runas.Run(t.Context(), c))
		return out.String()
	}
	left(mark, "")
	if alive := next(other, ""); strings.Count(alive, "\n") != 2 {
		t.Errorf("of two of another mark there are %q", alive)
	}
	if alive := next(mark, ""); alive != "" || with(t, runas.For+"="+mark) != 0 {
		t.Errorf("%q are there beside the next", alive)
	}
	left(mark, "one")
	if alive := next(mark, "two"); strings.Count(alive, "\n") != 2 {
		t.Errorf("of two of another part there are %q", alive)
	}
	if alive := next(mark, "one"); alive != "" {
		t.Errorf("%q are there beside the next of the part", alive)
	}
	left(mark, "one")
	if n, err := runas.End(t.Context(), mark, nil); err != nil || n < 2 || with(t, runas.For+"="+mark) != 0 {
		t.Errorf("%d were ended, %d are left: %v", n, with(t, runas.For+"="+mark), err)
	}
	c := sh(t, "true")
	c.Mark = "a\x00b"
	if err := runas.Run(t.Context(), c); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}

// TestForged leaves a mark alone that a user gave processes of his own, and that is another's.
func TestForged(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("TestForged: only root can run something as other users")
	}
	const theirs, others = 61990, 61991
	mark := runas.Partition("COMP-1", t.TempDir())
	start := func(uid uint32) *proc.Handle {
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.Env, cmd.Dir, cmd.SysProcAttr = []string{runas.For + "=" + mark}, "/", &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uid, Gid: uid},
		}
		do(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		h, err := proc.Open(cmd.Process.Pid)
		do(t, err)
		t.Cleanup(func() { _ = h.Close() })
		return h
	}
	forged, left, roots := start(others), start(theirs), start(0)
	n, err := runas.End(t.Context(), mark, &runas.User{UID: theirs, GID: theirs})
	do(t, err)
	if n != 2 || forged.Ended() || !left.Ended() || !roots.Ended() {
		t.Errorf("%d were ended: the other user's %t, his own %t, root's %t", n, forged.Ended(), left.Ended(), roots.Ended())
	}
}
