package computetest

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// nap sleeps a tenth of a second, or a second if sleep takes no fractions.
const nap = "{ sleep 0.1 2>/dev/null || sleep 1; }"

var stopCases = []connCase{
	{"Signals", func(t *connTest) {
		// The inner shell runs in the foreground: a background one would ignore INT.
		const script = `trap p=1 %[1]s; sh -c 'trap "echo child; exit 4" %[1]s; echo ready; while :; do ` + nap + `; done' 2>/dev/null
			echo "status $? p=$p"; exit 3`
		for _, sig := range []string{"INT", "TERM", "HUP", "USR1", "USR2", "QUIT"} {
			signals := make(chan string, 1)
			r := t.background(t.ctx(), compute.Command{Args: []string{"sh", "-c", fmt.Sprintf(script, sig)}, Signals: signals})
			r.until("ready\n")
			signals <- sig
			exit, err := r.end()
			if err != nil || exit.Code != 3 || r.output() != "ready\nchild\nstatus 4 p=1\n" {
				t.Errorf("%s: got %+v, %v, %q", sig, exit, err, r.output())
			}
		}
	}},
	{"DeadlySignal", func(t *connTest) {
		for _, sig := range []string{"TERM", "KILL", "INT"} {
			signals := make(chan string, 1)
			r := t.background(t.ctx(), compute.Command{Args: []string{"sh", "-c", "echo ready; exec sleep 300"}, Signals: signals})
			r.until("ready\n")
			signals <- sig
			if exit, err := r.end(); err != nil || exit.Signal != sig {
				t.Errorf("%s: got %+v, %v", sig, exit, err)
			}
		}
	}},
	{"Cancel", func(t *connTest) {
		cancelled(t, nil, "")
	}},
	{"CancelTerminal", func(t *connTest) {
		cancelled(t, &compute.Size{Rows: 24, Cols: 80}, "")
	}},
	// a shell with job control sorts its children into groups of their own
	{"CancelSession", func(t *connTest) {
		cancelled(t, &compute.Size{Rows: 24, Cols: 80}, "set -m; ")
	}},
	{"Deadline", func(t *connTest) {
		// until the command has started before it ends
		for _, limit := range []time.Duration{300 * time.Millisecond, 3 * time.Second, 30 * time.Second} {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			r := t.background(ctx, compute.Command{Args: []string{"sh", "-c", "echo ready; exec sleep 300"}, Stdin: endless(t)})
			_, err := r.end()
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			if r.output() == "ready\n" {
				return
			}
		}
		t.Error("the command did not start")
	}},
	{"CancelledBefore", func(t *connTest) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		file := path.Join(t.scratch(), "file")
		if _, err := t.conn.Run(
			ctx, &compute.Command{Args: []string{"sh", "-c", `echo > "$1"`, "sh", file}},
		); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	}},
}

// cancelled tests that the end of the context ends all that a command started. Each of the command,
// its child and its grandchild ignores polite signals and writes to a file of its own. The shell
// that starts them begins with setup.
func cancelled(t *connTest, tty *compute.Size, setup string) {
	dir := t.scratch()
	// ends, if nothing else ends it, with its directory
	const beat = `trap "" INT TERM HUP; while echo x >> "$1"; do ` + nap + `; done`
	script := setup + fmt.Sprintf(
		`cd "$1"; B='%s'; sh -c "$B" sh child & sh -c 'sh -c "$1" sh grandchild & wait' sh "$B" & echo ready; set -- own; %s`,
		beat, beat,
	)
	ctx, cancel := context.WithCancel(t.ctx())
	defer cancel()
	r := t.background(ctx, compute.Command{Args: []string{"sh", "-c", script, "sh", dir}, TTY: tty, Stdin: endless(t)})
	r.until("ready")
	files := []string{"child", "grandchild", "own"}
	beats := func() string {
		return t.sh(`cd "$1"; shift; for f; do wc -c < $f; done 2>/dev/null; :`, append([]string{dir}, files...)...)
	}
	for late := time.Now().Add(patience); len(strings.Fields(beats())) < len(files); {
		if time.Now().After(late) {
			t.Fatalf("the processes do not start: %q", beats())
		}
	}
	cancel()
	if _, err := r.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
	pause := 1500 * time.Millisecond // several naps
	if t.run(compute.Command{Args: []string{"sleep", "0.1"}}).exit == (compute.Exit{}) {
		pause = 600 * time.Millisecond
	}
	before := beats()
	time.Sleep(pause)
	t.same("what the processes wrote", beats(), before)
}
