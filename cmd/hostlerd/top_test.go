package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// someView is a view of so many of all.
func someView(n int) *leasecmd.TopView {
	at := time.Unix(1700000000, 0)
	v := &leasecmd.TopView{At: at, Where: "controller", Given: 3, Ended: 2}
	for i := range n {
		v.Sources = append(
			v.Sources,
			inventory.SourceStatus{Name: fmt.Sprint("source-", i), Counts: inventory.Counts{Leased: 1, Ready: 2}, Wanted: 3},
		)
		v.Moving = append(
			v.Moving,
			compute.Instance{ID: compute.ID(fmt.Sprint("moving-", i)), State: compute.Creating, Since: at.Add(-time.Minute)},
		)
		v.Leases = append(
			v.Leases,
			compute.Lease{
				Instance: compute.ID(fmt.Sprint("leased-", i)), Owner: fmt.Sprint("owner-", n-i),
				Given: at.Add(-time.Hour), Used: at.Add(-time.Duration(i) * time.Second),
			},
		)
		v.Queue = append(
			v.Queue,
			inventory.Queued{
				Waiter:   inventory.Waiter{Source: "web", Owner: fmt.Sprint("waits-", i), Since: at.Add(-time.Minute)},
				Position: i + 1, Estimate: time.Minute,
			},
		)
		v.Events = append(
			v.Events,
			compute.Event{ID: int64(i), Time: at, Kind: "leased", Instance: compute.ID(fmt.Sprint("event-", i)), Text: "bad\x1b[2J"},
		)
	}
	return v
}

// TestTopPicture: whatever the size of the terminal, the picture has it, and drives no terminal.
func TestTopPicture(t *testing.T) {
	for _, n := range []int{0, 1, 3, 200} {
		for height := 1; height < 70; height += 3 {
			for _, width := range []int{1, 20, 80, 300} {
				lines := someView(n).Picture(leasecmd.TopWish{}, height, width)
				if len(lines) != height && height > 1 {
					t.Fatalf("%d of all in %d lines: %d", n, height, len(lines))
				}
				for _, l := range lines {
					if utf8.RuneCountInString(l) > width || strings.ContainsRune(l, 0x1b) {
						t.Fatalf("%d columns: %q", width, l)
					}
				}
			}
		}
	}
	all := strings.Join(someView(3).Picture(leasecmd.TopWish{}, 50, 200), "\n")
	for _, want := range []string{
		"3 in use, 6 cached, 0 waiting", "3 given, 2 back", "source-2", "moving-0", "leased-1", "waits-2", "event-2",
		"h help",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
	some := strings.Join(someView(3).Picture(leasecmd.TopWish{Filter: "OWNER-1"}, 50, 200), "\n")
	if !strings.Contains(some, "leased-2") || strings.Contains(some, "leased-1") || strings.Contains(some, "moving-0") {
		t.Errorf("filtered:\n%s", some)
	}
	if many := strings.Join(someView(100).Picture(leasecmd.TopWish{}, 30, 200), "\n"); !strings.Contains(many, "more)") ||
		!strings.Contains(many, "event-99") {
		t.Errorf("of many:\n%s", many)
	}
	v := someView(1)
	v.Err = errors.New("it is not there")
	if got := v.Picture(leasecmd.TopWish{}, 10, 80); !strings.Contains(got[9], "it is not there") {
		t.Errorf(`got = %q; want got[9] with "it is not there"`, got)
	}
}

func TestTopKeys(t *testing.T) {
	w := leasecmd.TopWish{}
	order := func() string {
		all := strings.Join(someView(3).Picture(w, 50, 200), "\n")
		return fmt.Sprint(strings.Index(all, "leased-0") < strings.Index(all, "leased-2"))
	}
	var got []string
	for _, k := range []string{"s", "s", "s"} {
		got = append(got, order())
		w.Press(k)
	}
	if w.Sort != 3 || strings.Join(append(got, order()), " ") != "true false true false" {
		t.Errorf("sorted %v, at %d", append(got, order()), w.Sort)
	}
	for _, k := range []string{"/", "a", "q", "é", "\x7f", " ", "b", "\r"} {
		if w.Press(k) {
			t.Errorf("%q ends it", k)
		}
	}
	if w.Filter != "aq b" || w.Typing {
		t.Errorf(`w = %+v; want w.Filter == "aq b" and !w.Typing`, w)
	}
	if w.Press("\x1b"); w.Filter != "" {
		t.Errorf(`w = %+v; want w.Filter == ""`, w)
	}
	if w.Press(" "); !w.Paused {
		t.Error("the space bar does not pause")
	}
	if !w.Press("q") || !w.Press("\x03") {
		t.Error("q does not end it")
	}
}

// screenOf is what a terminal was told, for a test that waits for something.
type screenOf struct {
	mu   sync.Mutex
	text string
}

func (s *screenOf) read(from io.Reader) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		s.mu.Lock()
		s.text += string(buf[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *screenOf) until(t *testing.T, what string) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.mu.Lock()
		text := s.text
		s.mu.Unlock()
		if strings.Contains(text, what) {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("no %q within a minute in %q", what, text)
		}
	}
}

// TestTopTerminal runs it on a terminal, embedded and with a controller: it follows the terminal's
// size and what happens, and leaves the terminal as it was however it ends.
func TestTopTerminal(t *testing.T) {
	for how, served := range map[string]bool{"q": false, "term": false, "ctrl-c": true, "hup": true} {
		t.Run(how, func(t *testing.T) { topTerminal(t, how, served) })
	}
}

func topTerminal(t *testing.T, how string, served bool) {
	dir := t.TempDir()
	run := filepath.Join(dir, "run")
	source := filepath.Join(dir, ".config", "hostler", "sources", "web")
	for _, d := range []string{run, source} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(source, "source.conf"), []byte("type = fake\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := append(
		os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+run, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=",
		"HOSTLER_CONFIG=", "TERM=xterm",
	)
	if served {
		startController(t, vars, dir, run, t.Cleanup, "--no-fill")
	}
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Skipf("no terminals: %v", err)
	}
	defer ours.Close()
	defer theirs.Close()
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 20, Cols: 70}); err != nil {
		t.Fatal(err)
	}
	before, err := unix.IoctlGetTermios(int(theirs.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("hostler", "top", "--interval", "100ms")
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = vars, dir, theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen := &screenOf{}
	go screen.read(ours)
	screen.until(t, "0 in use")
	take := exec.Command("hostler", "acquire", "-s", "web")
	take.Env, take.Dir = vars, dir
	if out, err := take.CombinedOutput(); err != nil {
		t.Fatalf("%v: out = %s; want no error", err, out)
	}
	screen.until(t, "1 in use")
	screen.until(t, "web-1")
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 33, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	screen.mu.Lock()
	screen.text = ""
	screen.mu.Unlock()
	screen.until(t, leasecmd.TopLeft)
	for limit := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		screen.mu.Lock()
		pictures := strings.Split(screen.text, leasecmd.TopLeft)
		screen.mu.Unlock()
		if len(pictures) > 2 && strings.Count(pictures[len(pictures)-2], "\r\n") == 32 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("it does not follow the terminal's size: %q", pictures[len(pictures)-1])
		}
	}
	switch how {
	case "q":
		_, err = ours.WriteString("q")
	case "ctrl-c":
		_, err = ours.WriteString("\x03")
	case "term":
		err = cmd.Process.Signal(syscall.SIGTERM)
	case "hup":
		err = cmd.Process.Signal(syscall.SIGHUP)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: err = %v; want no error", how, err)
	}
	screen.until(t, leasecmd.LeaveScreen)
	after, err := unix.IoctlGetTermios(int(theirs.Fd()), getTermios)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Errorf("%s: the terminal was\n%+v\nand is\n%+v", how, before, after)
	}
}
