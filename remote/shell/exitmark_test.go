//go:build unix

package shell_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
)

// ended is what Ending makes of some writes: the text, and the status; -1: there was no end.
func ended(nonce string, writes ...[]byte) (string, int) {
	var out bytes.Buffer
	status := -1
	e := &shell.ExitMark{Nonce: nonce, W: &out, Ended: func(n int) { status = n }}
	for _, b := range writes {
		_, _ = e.Write(b)
	}
	e.Stop()
	_, _ = e.Write([]byte("late"))
	return out.String(), status
}

func FuzzEnding(f *testing.F) {
	for _, s := range []string{
		"", "word\n", "\x1e", "\x1en", "\x1en E ", "\x1en E x\x1e", "\x1en E 12345678", "a\x1e\x1en",
		"\x00\xff\x1en E\x1en",
	} {
		f.Add(s, s, uint8(3), uint8(5))
	}
	f.Fuzz(func(t *testing.T, before, behind string, one, two uint8) {
		whole := []byte(before + "\x1enonce E 137\x1e" + behind)
		a := int(one) % (len(whole) + 1)
		b := a + int(two)%(len(whole)-a+1)
		if strings.Contains(before, "\x1enonce E ") {
			return
		}
		if got, status := ended("nonce", whole[:a], whole[a:b], whole[b:]); got != before || status != 137 {
			t.Errorf("%q cut at %d and %d: %q, %d", whole, a, b, got, status)
		}
		if got, status := ended("nonce", whole[:a][:min(a, len(before))]); got != string(whole[:min(a, len(before))]) || status != -1 {
			t.Errorf("%q cut off at %d: %q, %d", whole, a, got, status)
		}
	})
}

// TestEndingHoldsLittle has output come through at once, but for what may be the end's beginning.
func TestEndingHoldsLittle(t *testing.T) {
	var out bytes.Buffer
	e := &shell.ExitMark{Nonce: "n", W: &out}
	for text, want := range map[string]string{"prompt$ ": "prompt$ ", "a\x1en E": "a", "a\x1em": "a\x1em"} {
		out.Reset()
		_, _ = e.Write([]byte(text))
		if got := out.String(); got != want {
			t.Errorf("%q came as %q", text, got)
		}
		_, _ = e.Write([]byte("x"))
	}
}

// TestExitMark has shells that there are here end commands as they end, and say so.
func TestExitMark(t *testing.T) {
	shells := [][]string{{"sh"}, {"dash"}, {"bash", "--posix"}, {"bash"}, {"busybox", "sh"}, {"mksh"}}
	for _, sh := range shells {
		if _, err := exec.LookPath(sh[0]); err != nil {
			continue
		}
		for _, c := range []struct {
			args     []string
			in       string
			out, err string
			status   int
		}{
			{args: []string{"sh", "-c", "printf out; printf err >&2; exit 3"}, out: "out", err: "err", status: 3},
			{args: []string{"cat"}, in: "a\x00\x1eb", out: "a\x00\x1eb"},
			{args: []string{"sh", "-c", "kill -TERM $$"}, status: 143},
			{args: []string{"sh", "-c", "kill -SEGV $$"}, status: 139},
			{args: []string{"sh", "-c", "kill -KILL $$"}, status: 137},
			{args: []string{"sh", "-c", "trap 'printf trapped; exit 5' TERM; kill -TERM 0; sleep 9 & wait"}, out: "trapped", status: 5},
			{args: []string{"sh", "-c", "sleep 9 & printf x"}, out: "x"},
			{args: []string{"no-such-program"}, status: 127},
		} {
			t.Run(strings.Join(append(sh, c.args...), " "), func(t *testing.T) {
				minded(t, sh, c.args, c.in, c.out, c.err, c.status)
			})
		}
	}
}

func minded(t *testing.T, sh, args []string, in, out, said string, status int) {
	const nonce, end = "begin", "end"
	script := shell.WithExitMark(shell.Line(nonce, &compute.Command{Args: args}, nil), end, false, in == "")
	cmd := exec.Command(sh[0], append(sh[1:], "-c", shell.Boot)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as runtimes have it
	inW, err1 := cmd.StdinPipe()
	outR, err2 := cmd.StdoutPipe()
	errR, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer func() { // what holds the outputs ends with its group
		_ = inW.Close()
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}()
	fmt.Fprintf(inW, "%s\n%s", script, in)
	if in != "" {
		_ = inW.Close()
	}
	read := func(r io.Reader, first bool) (string, int) {
		var got bytes.Buffer
		over, ends := -1, make(chan struct{})
		var w io.Writer = &got
		if first {
			w = &shell.Preamble{Nonce: nonce, W: &got, Began: func(int, int, []string) {}, Failed: func(int) {}}
		}
		e := &shell.ExitMark{Nonce: end, W: w, Ended: func(n int) { over = n; close(ends) }}
		b := make([]byte, 7)
		for {
			n, err := r.Read(b)
			_, _ = e.Write(b[:n])
			select {
			case <-ends:
				return got.String(), over
			default:
			}
			if err != nil {
				return got.String(), over
			}
		}
	}
	if got, n := read(outR, true); got != out || n != status {
		t.Errorf("the output is %q with status %d", got, n)
	}
	if got, n := read(errR, false); got != said || n != status {
		t.Errorf("the error output is %q with status %d", got, n)
	}
}
