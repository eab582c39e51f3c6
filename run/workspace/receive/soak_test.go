package receive_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// TestPlanted has a command put links where directories were: nothing is written, read or deleted
// behind them.
func TestPlanted(t *testing.T) {
	s := open(t, receive.Options{})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "f"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	one := tree{"d/e/f": "one", "d/e/g": "two", "h": "three"}
	dir := s.sync(t, one.write(t), send.Options{}).Dir
	for _, at := range []string{"d", "d/e"} {
		if err := os.RemoveAll(filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
		if at == "d" {
			if err := os.Mkdir(filepath.Join(outside, "e"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(outside, filepath.Join(dir, at)); err != nil {
			t.Fatal(err)
		}
		two := tree{"d/e/f": "changed", "h": "three"} // d/e/g is deleted, the one there
		s.sync(t, two.write(t), send.Options{})
		two.expect(t, dir)
		s.sync(t, one.write(t), send.Options{})
		one.expect(t, dir)
	}
	if b, err := os.ReadFile(filepath.Join(outside, "f")); string(b) != "outside" {
		t.Errorf("the file outside is %q, %v", b, err)
	}
	if all, _ := os.ReadDir(filepath.Join(outside, "e")); len(all) > 0 {
		t.Errorf("something was written outside: %v", all)
	}
	// The same with everything as --clean sees it.
	if err := os.Symlink(outside, filepath.Join(dir, "own")); err != nil {
		t.Fatal(err)
	}
	s.sync(t, one.write(t), send.Options{SyncOptions: workspace.SyncOptions{Clean: true}})
	one.expect(t, dir)
	if _, err := os.Stat(filepath.Join(outside, "f")); err != nil {
		t.Errorf("--clean went behind a link: %v", err)
	}
}

func TestMassDelete(t *testing.T) {
	s := open(t, receive.Options{})
	many := tree{}
	for i := range 300 {
		many[fmt.Sprintf("d%d/f%d", i%7, i)] = fmt.Sprint(i)
	}
	dir := s.sync(t, many.write(t), send.Options{}).Dir
	one := tree{"d0/f0": "0"}
	_, err := s.try(t, one.write(t), send.Options{})
	if !errors.Is(err, compute.ErrConflict) || !strings.Contains(err.Error(), "299 of 300") {
		t.Errorf("deleting all but one: %v", err)
	}
	many.expect(t, dir)
	s.sync(t, one.write(t), send.Options{SyncOptions: workspace.SyncOptions{Delete: true}})
	one.expect(t, dir)
}

// TestHidden leaves what a sparse checkout does not show.
func TestHidden(t *testing.T) {
	s := open(t, receive.Options{})
	dir := s.sync(t, tree{"a": "1", "b": "2"}.write(t), send.Options{}).Dir
	tr := tree{"a": "1"}.write(t)
	tr.Hidden = []string{"b"}
	s.sync(t, tr, send.Options{})
	tree{"a": "1", "b": "2"}.expect(t, dir)
}

// TestTwo has two clients with different content in one workspace, through connections of their
// own: each sees its own.
func TestTwo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spaces")
	first, second := open(t, receive.Options{Dir: dir}), open(t, receive.Options{Dir: dir})
	one, two := tree{"f": "first", "only": "1"}.write(t), tree{"f": "second"}.write(t)
	a, err := send.Begin(t.Context(), first, send.Options{Key: "w", Who: "the first one"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Sync(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	waits := make(chan string, 100)
	got := make(chan string, 1)
	go func() {
		b, err := send.Begin(
			context.Background(), second,
			send.Options{Key: "w", Who: "the second one", Waiting: func(who string) { waits <- who }},
		)
		if err != nil {
			got <- err.Error()
			return
		}
		defer b.Close()
		if _, err := b.Sync(context.Background(), two); err != nil {
			got <- err.Error()
			return
		}
		got <- second.run(t, b, "cat f; ls")
	}()
	select {
	case who := <-waits:
		if who != "the first one" {
			t.Errorf("waits for %q", who)
		}
	case text := <-got:
		t.Errorf("it did not wait: %q", text)
	case <-time.After(patience):
		t.Fatal("nobody says for whom the second one waits")
	}
	// One of its own does not wait.
	own, err := send.Begin(t.Context(), second, send.Options{Key: "w", Who: "the third one", SyncOptions: workspace.SyncOptions{Own: true}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := own.Sync(t.Context(), two)
	if err != nil || res.Dir == filepath.Join(dir, "w") {
		t.Errorf("a workspace of its own: %+v, %v", res, err)
	}
	if text := second.run(t, own, "cat f"); text != "second" {
		t.Errorf("in its own workspace: %q", text)
	}
	own.Close()
	gone(t, res.Dir)
	if text := first.run(t, a, "cat f; ls"); text != "firstf\nonly\n" {
		t.Errorf("the first one sees %q", text)
	}
	a.Close()
	select {
	case text := <-got:
		if text != "secondf\n" {
			t.Errorf("the second one sees %q", text)
		}
	case <-time.After(patience):
		t.Fatal("the second one waits for ever")
	}
}

// gone waits until there is nothing of a name.
func gone(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(name); os.IsNotExist(err) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is still there", name)
		}
	}
}

// TestCut cuts a sync short before each of its steps, by an error and by the loss of its client: no
// command is started, the workspace is known to be partial, and the next sync makes it whole.
func TestCut(t *testing.T) {
	before := tree{"stays": "1", "goes": "2", "d/changes": "3", "d/dir/x": "4"}
	after := tree{
		"stays": "1", "d/changes": strings.Repeat("new", 200<<10), "d/dir": "a file", "new/e": "->x",
		"new/f": strings.Repeat("more", 300<<10),
	}
	for _, step := range []string{"want", "got", "begun", "removed", "list"} {
		for _, way := range []string{"an error", "a lost client"} {
			t.Run(step+" by "+way, func(t *testing.T) {
				var armed atomic.Bool
				var client atomic.Pointer[side]
				s := open(t, receive.Options{Fault: func(at string) error {
					if at != step || !armed.Swap(false) {
						return nil
					}
					if way == "an error" {
						return syscall.ENOSPC
					}
					client.Load().Close()
					return context.Canceled
				}, Dir: filepath.Join(t.TempDir(), "spaces")})
				client.Store(s)
				dir := s.sync(t, before.write(t), send.Options{}).Dir
				armed.Store(true)
				session, err := send.Begin(t.Context(), s, send.Options{Key: "w", Who: "the test"})
				if err != nil {
					t.Fatal(err)
				}
				ran := make(chan error, 1)
				go func() {
					_, err := s.Run(context.Background(), &compute.Command{Args: []string{"touch", "ran"}, Workspace: session.Token()})
					ran <- err
				}()
				_, err = session.Sync(t.Context(), after.write(t))
				if err == nil || armed.Load() {
					t.Fatalf("the sync ended with %v, and the fault waits: %v", err, armed.Load())
				}
				if way == "an error" && !strings.Contains(err.Error(), "disk there is full") {
					t.Errorf("a full disk is told as %v", err)
				}
				session.Close()
				if err := <-ran; err == nil {
					t.Error("a command ran in a partial workspace")
				}
				again := open(t, receive.Options{Dir: filepath.Dir(dir)})
				if step == "got" || step == "want" {
					before.expect(t, dir)
				}
				next := after
				if step == "removed" { // something else again
					next = tree{"stays": "1", "d/dir/y": "5"}
				}
				again.sync(t, next.write(t), send.Options{})
				next.expect(t, dir)
				if res := again.sync(t, next.write(t), send.Options{}); res.Written+res.Removed > 0 {
					t.Errorf("then there is still something to do: %+v", res)
				}
			})
		}
	}
}

// TestFolded takes a disk for one that folds case: nothing is written before both names are told.
func TestFolded(t *testing.T) {
	s := open(t, receive.Options{Folds: func(int) bool { return true }})
	for _, tr := range []tree{{"Makefile": "1", "makefile": "2"}, {"src/a": "1", "Src/b": "2"}, {"x/README/a": "1", "x/readme": "2"}} {
		_, err := s.try(t, tr.write(t), send.Options{})
		if !errors.Is(err, compute.ErrConflict) || !strings.Contains(strings.ToLower(err.Error()), "differ in case") {
			t.Errorf(
				"%v: err = %v"+
					`; want error compute.ErrConflict and strings.ToLower(err.Error()) with "differ in case"`,
				tr, err,
			)
		}
		if all, _ := os.ReadDir(s.space("w")); len(all) > 0 {
			t.Errorf("written all the same: %v", all)
		}
	}
	s.sync(t, tree{"src/a": "1", "src/b": "2"}.write(t), send.Options{})
}

// TestChanged has a file change between the scan and the sending.
func TestChanged(t *testing.T) {
	s := open(t, receive.Options{})
	for _, size := range []int{10, 2 << 20, 6 << 20} {
		tr := tree{"f": strings.Repeat("x", size)}.write(t)
		name := filepath.Join(tr.Root, "f")
		if err := os.WriteFile(name, []byte(strings.Repeat("y", size)), 0o644); err != nil {
			t.Fatal(err)
		}
		// so that it shows in nothing but its contents
		if err := os.Chtimes(name, epoch, epoch); err != nil {
			t.Fatal(err)
		}
		_, err := s.try(t, tr, send.Options{})
		if !errors.Is(err, send.ErrChanged) || !strings.Contains(err.Error(), name) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestEnd has a client go while its command runs: the command ends, and the workspace is free.
func TestEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spaces")
	s := open(t, receive.Options{Dir: dir})
	tr := tree{"f": "1"}.write(t)
	session, err := send.Begin(t.Context(), s, send.Options{Key: "w", Who: "the one who goes"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.Sync(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Run(
			context.Background(),
			&compute.Command{Args: []string{"sh", "-c", "echo $$; exec sleep 1000"}, Workspace: session.Token(), Stdout: w},
		)
		ended <- err
	}()
	var pid int
	if _, err := fmt.Fscan(r, &pid); err != nil {
		t.Fatal(err)
	}
	s.Close()
	next := open(t, receive.Options{Dir: dir})
	next.sync(t, tr, send.Options{})
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the command lives while another has its workspace: %v", err)
	}
	<-ended
}

// TestRefused has the far side refuse what must not be.
func TestRefused(t *testing.T) {
	s := open(t, receive.Options{})
	tr := tree{"f": "1"}.write(t)
	for _, key := range []string{".hostler", "..", "a/b", "/", "a b", strings.Repeat("k", 200)} {
		_, err := s.try(t, tr, send.Options{Key: key})
		if !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("the key %q: %v", key, err)
		}
	}
	wrong := *tr
	wrong.ID = scan.ID(nil)
	if _, err := s.try(t, &wrong, send.Options{}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a list that is not the one it is said to be: %v", err)
	}
	bare := struct{ compute.Conn }{nil}
	if _, err := send.Begin(t.Context(), bare, send.Options{Key: "w"}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("a way without workspaces: %v", err)
	}
}
