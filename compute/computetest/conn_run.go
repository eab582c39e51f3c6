package computetest

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// oddWords are arguments that a program on the way might split, expand or lose.
var oddWords = []string{
	"", " ", "a b", "  two  spaces  ", "'", `"`, `'"'"'`, "`echo x`", "$HOME", "${HOME}", "$(echo x)", "*", "?", "[a-z]",
	"~", "~root", "#", "!", "!!",
	"a;b", "a&b", "a|b", "<a", ">b", "\\", "\\\\", "\\n", "a\nb", "\n", "\t", "\r", "\r\n", "-", "--", "-n", "-e",
	"--help", "-x=y", "a=b", "{a,b}", "%s",
	"%", "^", "(", ")", "ünïcödé", "日本", "\xff\xfe", "a\x01b\x7f", "\x1b[0m", "end\\", strings.Repeat("long ", 4000),
}

var runCases = []connCase{
	{"ExitStatus", func(t *connTest) {
		for _, code := range []int{0, 1, 2, 42, 121, 124, 125, 126, 127, 128, 137, 255} {
			r := t.run(compute.Command{Args: []string{"sh", "-c", fmt.Sprintf("exit %d", code)}})
			if r.exit != (compute.Exit{Code: code}) {
				t.Errorf("exit %d: got %+v", code, r.exit)
			}
		}
	}},
	{"NotFound", func(t *connTest) {
		for _, name := range []string{"hostler-no-such-command", "/no/such/file", "./no-such-file", "-no-such-option"} {
			if _, err := t.conn.Run(t.ctx(), &compute.Command{Args: []string{name}}); !errors.Is(err, compute.ErrNoCommand) {
				t.Errorf("Run(%q): got %v, want ErrNoCommand", name, err)
			}
		}
	}},
	{"NotExecutable", func(t *connTest) {
		file := path.Join(t.scratch(), "plain")
		t.sh(`echo hello > "$1"`, file)
		for _, name := range []string{file, t.scratch()} {
			if _, err := t.conn.Run(t.ctx(), &compute.Command{Args: []string{name}}); !errors.Is(err, compute.ErrNotExecutable) {
				t.Errorf("Run(%q): got %v, want ErrNotExecutable", name, err)
			}
		}
	}},
	{"DeathBySignal", func(t *connTest) {
		for _, sig := range []string{"KILL", "TERM", "HUP", "SEGV"} {
			r := t.run(compute.Command{Args: []string{"sh", "-c", "kill -" + sig + " $$; sleep 100"}})
			if r.exit.Signal != sig {
				t.Errorf("death by %s: got %+v", sig, r.exit)
			}
		}
	}},
	{"OutputsApart", func(t *connTest) {
		r := t.run(compute.Command{Args: []string{"sh", "-c", "printf out; printf err >&2; printf out2; printf err2 >&2"}})
		t.same("stdout", r.out, "outout2")
		t.same("stderr", r.err, "errerr2")
	}},
	{"OutputsJoined", func(t *connTest) {
		var both strings.Builder // one writer for both must not be written to at once
		r := t.run(compute.Command{
			Args: []string{"sh", "-c", "i=0; while [ $i -lt 100 ]; do echo o; echo e >&2; i=$((i+1)); done"}, Stdout: &both, Stderr: &both,
		})
		if n := len(both.String()); r.exit.Code != 0 || n != 400 {
			t.Errorf("got %+v and %d bytes, want 400", r.exit, n)
		}
	}},
	{"NoStreams", func(t *connTest) {
		exit, err := t.conn.Run(t.ctx(), &compute.Command{Args: []string{"sh", "-c", "echo out; echo err >&2; cat; exit 7"}})
		if err != nil || exit.Code != 7 {
			t.Errorf("got %+v, %v", exit, err)
		}
	}},
	{"Arguments", func(t *connTest) {
		out := t.must(append([]string{"printf", `%s\000`}, oddWords...)...)
		t.same("the words", strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), oddWords)
		// and each as the last, as the first after the script, and alone
		for _, w := range oddWords {
			if out := t.must("sh", "-c", `printf '%s|%s' "$1" "$#"`, "sh", w); out != w+"|1" {
				t.Errorf("word %q arrived as %q", w, out)
			}
		}
	}},
	{"OddCommandNames", func(t *connTest) {
		for _, name := range []string{"with space", "it's", "-dash", "$HOME", "new\nline", "ünï", "a;b"} {
			file := path.Join(t.scratch(), name)
			t.sh(`printf '#!/bin/sh\necho ran "$1"\n' > "$1"; chmod 755 "$1"`, file)
			t.same(name, t.must(file, file), "ran "+file+"\n")
		}
	}},
	{"Environment", func(t *connTest) {
		env, script := map[string]string{"EMPTY": ""}, `printf %s "$EMPTY-${EMPTY+set}"`
		for i, w := range oddWords {
			env[fmt.Sprint("ODD", i)] = w
			script += fmt.Sprintf(`; printf '\000%%s' "$ODD%d"`, i)
		}
		r := t.run(compute.Command{Args: []string{"sh", "-c", script}, Env: env})
		t.same("the variables", strings.Split(r.out, "\x00"), append([]string{"-set"}, oddWords...))
		t.same("what is there anyway", t.sh(`test -n "$PATH" && test -n "$HOME" && echo yes`), "yes\n")
	}},
	{"Directory", func(t *connTest) {
		for _, name := range []string{"plain", "with space", "it's", "-dash", "new\nline", "$HOME"} {
			dir := path.Join(t.scratch(), name)
			t.must("mkdir", dir)
			r := t.run(compute.Command{Args: []string{"sh", "-c", `pwd; cat ./file 2>/dev/null; echo x > file`}, Dir: dir})
			t.same("pwd", r.out, dir+"\n")
			t.must("test", "-f", path.Join(dir, "file"))
		}
	}},
	{"MissingDirectory", func(t *connTest) {
		file := path.Join(t.scratch(), "file")
		t.sh(`echo > "$1"`, file)
		for _, dir := range []string{"/no/such/directory", file} {
			_, err := t.conn.Run(t.ctx(), &compute.Command{Args: []string{"echo"}, Dir: dir})
			if !errors.Is(err, compute.ErrCannotStart) || errors.Is(err, compute.ErrNoCommand) || !strings.Contains(err.Error(), dir) {
				t.Errorf("got %v, want ErrCannotStart that names %s", err, dir)
			}
		}
	}},
	{"Shell", func(t *connTest) {
		if !t.opt.Shell {
			t.Skip("Shell: this kind has no login shell")
		}
		r := t.run(compute.Command{Stdin: strings.NewReader("echo sum=$((20+22))\nexit 9\n")})
		if !strings.Contains(r.out, "sum=42") || r.exit.Code != 9 {
			t.Errorf("got %+v", r)
		}
	}},
	{"Concurrent", func(t *connTest) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				var out strings.Builder
				exit, err := t.conn.Run(t.ctx(), &compute.Command{
					Args:  []string{"sh", "-c", `sleep 1; cat; printf " $1"; exit $1`, "sh", fmt.Sprint(i)},
					Stdin: strings.NewReader(fmt.Sprint("in", i)), Stdout: &out,
				})
				if err != nil || exit.Code != i || out.String() != fmt.Sprintf("in%d %d", i, i) {
					t.Errorf("command %d: %+v, %v, %q", i, exit, err, out.String())
				}
			})
		}
		wg.Wait()
	}},
}
