package process_test

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

// What is secret does not stand among the arguments of the prefix command, which everybody on this
// machine may read.
func TestPrefixSecretsNotInArguments(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("secrets: /proc is Linux's")
	}
	e := process.New(process.Options{Prefix: []string{"env"}, Mark: map[string]string{"HOSTLER_MARK": "m4rk3d"}})
	defer func() { _ = e.Close() }()
	for _, tty := range []*compute.Size{nil, {Rows: 24, Cols: 80}} {
		var out bytes.Buffer
		exit, err := e.Run(t.Context(), &compute.Command{
			Args: []string{"sh", "-c", `cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\000" " "
				[ "$TOKEN" = "$(printf "s3%st\nline\003\377" cr3)" ] && [ "$HOSTLER_MARK" = "$(printf "m4%s" rk3d)" ] && read x && echo "came $x"`},
			Env: map[string]string{"TOKEN": "s3cr3t\nline\x03\xff"}, Stdin: strings.NewReader("too\n"), Stdout: &out, TTY: tty,
		})
		if err != nil || exit.Status() != 0 || !strings.Contains(out.String(), "came too") {
			t.Errorf("the variables did not arrive: %+v, %v", exit, err)
		}
		if strings.Contains(out.String(), "s3cr3t") || strings.Contains(out.String(), "m4rk3d") {
			t.Errorf("they stand in the list of processes, or on the terminal: %q", out.String())
		}
	}
}

// A prefix that fails by itself is not taken for a command that did, and what it says is told.
func TestPrefixThatFails(t *testing.T) {
	for _, tty := range []*compute.Size{nil, {Rows: 24, Cols: 80}} {
		e := process.New(process.Options{Prefix: []string{"sh", "-c", "echo no such container >&2; exit 127"}})
		_, err := e.Run(t.Context(), &compute.Command{Args: []string{"true"}, TTY: tty})
		if !errors.Is(err, compute.ErrCannotStart) || errors.Is(err, compute.ErrNoCommand) ||
			!strings.Contains(err.Error(), "no such container") {
			t.Errorf("got %v, want ErrCannotStart with what the prefix said", err)
		}
		_ = e.Close()
	}
}

// A file is read only as long as the command behind the prefix runs, and from where it stands.
func TestPrefixFileInput(t *testing.T) {
	name := t.TempDir() + "/f"
	write(t, name, "one\ntwo\n", 0o600)
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	e := process.New(process.Options{Prefix: []string{"env"}})
	defer func() { _ = e.Close() }()
	if got := output(t, e, compute.Command{Args: []string{"cat"}, Stdin: f}); got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = r.Close(), w.Close() }()
	if got := output(t, e, compute.Command{Args: []string{"echo", "done"}, Stdin: r}); got != "done\n" {
		t.Errorf("got %q", got)
	}
	if _, err := w.WriteString("for the next"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := r.Read(b); err != nil || string(b[:n]) != "for the next" {
		t.Errorf("the next reader got %q, %v", b[:n], err)
	}
}
