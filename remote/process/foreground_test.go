package process_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

// TestMain runs the tests, or, started by one of them, is a program that lends its terminal to a
// command.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "reap-for-a-test" {
		os.Exit(process.Reap())
	}
	script := os.Getenv("HOSTLER_TEST_SCRIPT")
	if script == "" {
		code := m.Run()
		cleanUp()
		os.Exit(code)
	}
	conn := process.New(process.Options{KeepEnv: true})
	cmd := &compute.Command{
		Args: []string{"sh", "-c", script}, Env: map[string]string{"HOSTLER_TEST_SCRIPT": ""}, Stdin: os.Stdin,
		Stdout: os.Stdout, Stderr: os.Stderr,
	}
	if os.Getenv("HOSTLER_TEST_TTY") != "" {
		cmd.TTY = &compute.Size{Rows: 24, Cols: 80}
	}
	exit, err := conn.Run(context.Background(), cmd)
	fmt.Printf("helper: exit %d %s %v\n", exit.Code, exit.Signal, err)
	// which stops us, unless the terminal is ours again
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	fmt.Printf("helper: read %q %v\n", line, err)
	os.Exit(0)
}

// screen is what a program wrote to its terminal.
type screen struct {
	t    *testing.T
	ptmx *os.File
	mu   sync.Mutex
	text strings.Builder
}

// onTerminal starts a program as the leader of a session with a terminal.
func onTerminal(t *testing.T, c *exec.Cmd) *screen {
	t.Helper()
	ptmx, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, ptmx: ptmx}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := ptmx.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = ptmx.Close()
		<-read
	})
	return s
}

func (s *screen) until(text string) {
	s.t.Helper()
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s.mu.Lock()
		seen := s.text.String()
		s.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		if time.Now().After(late) {
			s.t.Fatalf("%q does not come; the terminal shows %q", text, seen)
		}
	}
}

// lent waits until the group of the shell is no longer in the foreground.
func (s *screen) lent(shell int) {
	s.t.Helper()
	raw, err := s.ptmx.SyscallConn()
	if err != nil {
		s.t.Fatal(err)
	}
	for late := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		group := shell
		_ = raw.Control(func(fd uintptr) { group, err = unix.IoctlGetInt(int(fd), unix.TIOCGPGRP) })
		if err == nil && group != shell {
			return
		}
		if time.Now().After(late) {
			s.t.Fatalf("the shell keeps the terminal: group %d, %v", group, err)
		}
	}
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := s.ptmx.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

func helper(script string) []string {
	return append(os.Environ(), "HOSTLER_TEST_SCRIPT="+script, "HELPER="+os.Args[0], "PS1=$ ", "ENV=")
}

// A command that shares our terminal reads from it, and we can after its end.
func TestForeground(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = helper(`stty -echo; echo ready; read x; stty sane; echo "child $x"; exit 3`)
	s := onTerminal(t, c)
	s.until("ready")
	s.typed("one\n")
	s.until("child one")
	s.until("helper: exit 3")
	s.typed("two\n")
	s.until(`helper: read "two\n" <nil>`)
}

// Ctrl-C is for the command alone.
func TestForegroundInterrupt(t *testing.T) {
	c := exec.Command(os.Args[0])
	c.Env = helper(`trap "echo caught; exit 7" INT; echo ready; while :; do sleep 0.1; done`)
	s := onTerminal(t, c)
	s.until("ready")
	s.typed("\x03")
	s.until("caught")
	s.until("helper: exit 7")
	s.typed("on\n")
	s.until(`helper: read "on\n" <nil>`)
}

// Ctrl-Z gives the shell that started us its prompt, fg goes on with us and the command.
func TestForegroundStop(t *testing.T) {
	c := exec.Command("sh", "-i")
	c.Env = helper(`echo ready; read x; echo "child <$x>"; exit 3`)
	s := onTerminal(t, c)
	s.typed("set -m; stty -echo; \"$HELPER\"\n")
	s.until("ready")
	s.typed("\x1a")
	s.until("topped")
	s.typed("echo back$((20+22))\n")
	s.until("back42")
	s.typed("fg\n")
	// the shell throws away what is typed before it has handed the terminal over
	s.lent(c.Process.Pid)
	s.typed("hello\n")
	s.until("child <hello>")
	s.until("helper: exit 3")
	s.typed("two\n")
	s.until(`helper: read "two\n" <nil>`)
}

// In a pipeline the terminal stays with our group until the command asks for it: what stands behind
// us may be a pager.
func TestForegroundPipeline(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("pipeline: stopped children are noticed on Linux only")
	}
	c := exec.Command("sh", "-i")
	c.Env = helper(
		`sleep 0.2; cat /proc/self/stat | { read pid comm state ppid group session tty fg rest; test $group = $fg; ` +
			`echo "lent before: $?"; }; read x </dev/tty; echo "child <$x>"`,
	)
	s := onTerminal(t, c)
	s.typed("set -m; stty -echo; \"$HELPER\" | cat\n")
	s.until("lent before: 1")
	s.typed("hello\n")
	s.until("child <hello>")
	s.until("helper: exit 0")
	s.typed("two\n")
	s.until(`helper: read "two\n" <nil>`)
}
