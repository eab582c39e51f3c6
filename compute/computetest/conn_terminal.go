package computetest

import (
	"bytes"
	"io"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// lines undoes what a terminal does to the ends of lines.
func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

var terminalCases = []connCase{
	{"Terminal", func(t *connTest) {
		r := t.run(compute.Command{
			Args:  []string{"sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo yes; echo err >&2; stty size; exit 6"},
			TTY:   &compute.Size{Rows: 33, Cols: 101},
			Stdin: endless(t),
		})
		t.same("output", lines(r.out), "yes\nerr\n33 101\n")
		t.same("exit", r.exit, compute.Exit{Code: 6})
	}},
	{"NoTerminal", func(t *connTest) {
		t.same("output", t.sh("test -t 0 || test -t 1 || test -t 2 || echo none"), "none\n")
	}},
	{"TerminalType", func(t *connTest) {
		for term, want := range map[string]string{"": "xterm", "vt100": "vt100"} {
			r := t.run(compute.Command{
				Args: []string{"sh", "-c", "echo $TERM"}, TTY: &compute.Size{Rows: 24, Cols: 80}, Term: term,
				Stdin: endless(t),
			})
			t.same("TERM", lines(r.out), want+"\n")
		}
	}},
	{"Resize", func(t *connTest) {
		resize := make(chan compute.Size, 1)
		r := t.background(t.ctx(), compute.Command{
			Args: []string{"sh", "-c", "trap 'stty size; exit 0' WINCH; stty size; echo ready; while :; do " + nap + "; done"},
			TTY:  &compute.Size{Rows: 24, Cols: 80}, Resize: resize, Stdin: endless(t),
		})
		r.until("ready")
		resize <- compute.Size{Rows: 50, Cols: 132}
		if exit, err := r.end(); err != nil || exit.Code != 0 || lines(r.output()) != "24 80\nready\n50 132\n" {
			t.Errorf("got %+v, %v, %q", exit, err, r.output())
		}
	}},
	{"ControlC", func(t *connTest) {
		pr, pw := io.Pipe()
		t.Cleanup(func() { _ = pw.Close() })
		r := t.background(t.ctx(), compute.Command{
			Args: []string{
				"sh", "-c",
				`trap p=1 INT; sh -c 'trap "echo child; exit 4" INT; echo ready; while :; do ` + nap + `; done'; echo "status $? p=$p"; exit 3`,
			},
			TTY: &compute.Size{Rows: 24, Cols: 80}, Stdin: pr,
		})
		r.until("ready")
		_, _ = pw.Write([]byte{3})
		exit, err := r.end()
		if err != nil || exit.Code != 3 || !strings.HasSuffix(lines(r.output()), "child\nstatus 4 p=1\n") {
			t.Errorf("got %+v, %v, %q", exit, err, r.output())
		}
	}},
	{"TerminalSignal", func(t *connTest) {
		signals := make(chan string, 1)
		r := t.background(t.ctx(), compute.Command{
			Args: []string{"sh", "-c", `trap "echo got; exit 5" TERM; echo ready; while :; do ` + nap + `; done`},
			TTY:  &compute.Size{Rows: 24, Cols: 80}, Signals: signals, Stdin: endless(t),
		})
		r.until("ready")
		signals <- "TERM"
		if exit, err := r.end(); err != nil || exit.Code != 5 || !strings.Contains(r.output(), "got") {
			t.Errorf("got %+v, %v, %q", exit, err, r.output())
		}
	}},
	{"TerminalInput", func(t *connTest) { // a line typed, and the end of the input
		r := t.run(compute.Command{
			Args: []string{"sh", "-c", `stty -echo; read x; echo "read $x"; cat; echo end`},
			TTY:  &compute.Size{Rows: 24, Cols: 80}, Stdin: strings.NewReader("hello\nmore\n"),
		})
		if !strings.Contains(lines(r.out), "read hello\n") || !strings.HasSuffix(lines(r.out), "more\nend\n") {
			t.Errorf("got %q", r.out)
		}
	}},
	{"TerminalOutput", func(t *connTest) { // nothing of a long output is lost at the end
		var out bytes.Buffer
		r := t.run(compute.Command{
			Args: []string{"sh", "-c", "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done"},
			TTY:  &compute.Size{Rows: 24, Cols: 80}, Stdin: endless(t), Stdout: &out,
		})
		if n := strings.Count(out.String(), "\n"); n != 20000 || r.exit.Code != 0 {
			t.Errorf("got %d lines, %+v", n, r.exit)
		}
	}},
}
