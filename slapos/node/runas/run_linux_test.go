package runas_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/slapos/node/runas"
)

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sh(t *testing.T, script string) runas.Command {
	return runas.Command{Argv: []string{"/bin/sh", "-c", script}, Dir: t.TempDir(), Env: []string{"PATH=/usr/bin:/bin"}}
}

// with counts the processes of a name's session mark.
func with(t *testing.T, entry string) (n int) {
	t.Helper()
	all, err := proc.Find(proc.Marked(entry))
	do(t, err)
	defer proc.Close(all)
	for _, h := range all {
		if !h.Ended() {
			n++
		}
	}
	return n
}

// TestRun gives a command what it reads, a mask and an environment, and says how it ended.
func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	c := sh(t, `cat; umask; echo bad >&2; exit 5`)
	c.Input, c.Umask, c.Output, c.Errors = []byte("in\n"), 0o027, &out, &errs
	err := runas.Run(t.Context(), c)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 5 {
		t.Errorf("err = %v; want errors.As(err, &exit) and exit.ExitCode() == 5", err)
	}
	if out.String() != "in\n0027\n" || errs.String() != "bad\n" {
		t.Errorf("&out = %q, &errs = %q; want out.String() == \"in\\n0027\\n\" and errs.String() == \"bad\\n\"", &out, &errs)
	}
	out.Reset()
	c = sh(t, `umask; echo both >&2`)
	c.Output = &out
	do(t, runas.Run(t.Context(), c))
	if out.String() != "0022\nboth\n" {
		t.Errorf("&out = %q; want out.String() == \"0022\\nboth\\n\"", &out)
	}
}

// TestLimit ends what takes too long with all that it started, hidden or deaf, and what it left
// behind.
func TestLimit(t *testing.T) {
	for name, limit := range map[string]time.Duration{"limit": time.Second, "left": 0} {
		mine := fmt.Sprintf("ONCE_TEST=%s-%d", name, os.Getpid())
		script := `trap '' TERM; setsid sh -c 'trap "" TERM HUP; while :; do sleep 0.05; done' & (setsid sleep 1003 &) ; echo began > began; `
		if name == "limit" {
			script += `while :; do sleep 0.05; done`
		}
		c := sh(t, script)
		c.Env, c.Limit = append(c.Env, mine), limit
		err := runas.Run(t.Context(), c)
		if name == "limit" && (!errors.Is(err, runas.ErrLimit) || !errors.Is(err, compute.ErrTimeout)) || name == "left" && err != nil {
			t.Errorf(
				"%s: err = %v"+
					`; want (name != "limit" or error runas.ErrLimit and error compute.ErrTimeout) and (name != `+
					`"left" or no error)`,
				name, err,
			)
		}
		if _, err := os.Stat(filepath.Join(c.Dir, "began")); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(time.Minute); with(t, mine) > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d are left", name, with(t, mine))
			}
		}
	}
}

// TestPolite lets what takes too long put its things in order, and kills what does not listen.
func TestPolite(t *testing.T) {
	for name, script := range map[string]string{
		"listens": `trap 'echo tidy > tidy; exit 0' TERM; while :; do sleep 0.02; done`,
		"deaf":    `trap '' TERM; while :; do sleep 0.02; done`,
	} {
		c := sh(t, script)
		c.Limit, c.Polite = 300*time.Millisecond, 20*time.Second
		if name == "deaf" {
			c.Polite = 200 * time.Millisecond
		}
		if err := runas.Run(t.Context(), c); !errors.Is(err, runas.ErrLimit) {
			t.Errorf("%s: err = %v; want error runas.ErrLimit", name, err)
		}
		if _, err := os.Stat(filepath.Join(c.Dir, "tidy")); (err == nil) != (name == "listens") {
			t.Errorf(`%s: err = %v; want (err == nil) == (name == "listens")`, name, err)
		}
	}
}

// TestCancelled ends a command whose asker has gone.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := sh(t, `echo began > began; exec sleep 1000`)
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(c.Dir, "began")); err == nil {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := runas.Run(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v; want error context.Canceled", err)
	}
}

// TestUser runs as somebody else, never as root, and there is no way back.
func TestUser(t *testing.T) {
	c := sh(t, "true")
	for _, u := range []runas.User{{UID: 0, GID: 5}, {UID: 5, GID: 0}} {
		if c.User = &u; !errors.Is(runas.Run(t.Context(), c), compute.ErrDenied) {
			t.Errorf("as %+v", u)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("TestUser: only root may run programs as others")
	}
	var out bytes.Buffer
	c = sh(t, `id -u; id -g; id -G; setpriv --reuid 0 true 2>/dev/null || echo stays; grep -E '^Cap(Eff|Prm)' /proc/self/status`)
	c.Dir, c.Output, c.User = "/", &out, &runas.User{UID: 4321, GID: 4322, Groups: []uint32{4323}}
	do(t, runas.Run(t.Context(), c))
	if text := out.String(); !strings.HasPrefix(text, "4321\n4322\n4322 4323\nstays\n") || strings.Count(text, "0000000000000000") != 2 {
		t.Errorf(
			"text = %q"+
				"; want strings.HasPrefix(text, \"4321\\n4322\\n4322 4323\\nstays\\n\") and strings.Count(text, "+
				`"0000000000000000") == 2`,
			text,
		)
	}
}

// TestAs knows a user's groups, and runs nothing of root's.
func TestAs(t *testing.T) {
	u, err := runas.As(4321, 4322)
	if os.Getuid() != 0 {
		if u != nil || err != nil {
			t.Errorf("u = %v, err = %v; want u == nil and no error", u, err)
		}
		return
	}
	if err != nil || u.UID != 4321 || u.GID != 4322 || len(u.Groups) != 0 {
		t.Errorf("u = %v, err = %v; want no error and u.UID == 4321 and u.GID == 4322 and len(u.Groups) == 0", u, err)
	}
	for _, ids := range [][2]uint32{{0, 5}, {5, 0}} {
		if u, err := runas.As(ids[0], ids[1]); !errors.Is(err, compute.ErrDenied) {
			t.Errorf("u = %v, err = %v; want error compute.ErrDenied", u, err)
		}
	}
}
