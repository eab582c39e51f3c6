package receive_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/receive"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// session brings a workspace up to date and gives it back; all that follows from that has ended
// when it returns.
func session(t *testing.T, dir string, tr *scan.Tree, opt send.Options) {
	t.Helper()
	conn := receive.New(process.New(process.Options{KeepEnv: true}), receive.Options{Dir: dir})
	opt.Who = "the test"
	session, err := send.Begin(t.Context(), conn, opt)
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Sync(t.Context(), tr)
	if err := errors.Join(err, session.Close(), conn.Close()); err != nil {
		t.Fatal(err)
	}
}

// wantCopies compares the workspaces that are there, and those of which something is known, with
// what there should be.
func wantCopies(t *testing.T, dir, want string) {
	t.Helper()
	for what, in := range map[string]string{"there": dir, "known": filepath.Join(dir, ".hostler")} {
		all, err := os.ReadDir(in)
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		for _, e := range all {
			if name := e.Name(); name != ".hostler" && name != ".tidied" {
				words = append(words, name)
			}
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
}

// unused has a workspace be as one that was given back so long ago, and not been counted since.
func unused(t *testing.T, dir, key string, since time.Duration) {
	t.Helper()
	then, known := time.Now().Add(-since), filepath.Join(dir, ".hostler", key)
	if err := errors.Join(os.Chtimes(filepath.Join(known, "lock"), then, then), os.RemoveAll(filepath.Join(known, "size"))); err != nil {
		t.Fatal(err)
	}
}

// TestCopies keeps so many workspaces: those go that were used longest ago, and none that somebody
// has.
func TestCopies(t *testing.T) {
	s := open(t, receive.Options{})
	want := tree{"f": "1", "d/e/g": "2"}
	tr := want.write(t)
	for i, key := range []string{"a", "b", "c", "d"} {
		session(t, s.dir, tr, send.Options{Key: key})
		unused(t, s.dir, key, time.Duration(10-i)*time.Hour)
	}
	has, err := send.Begin(t.Context(), s, send.Options{Key: "a", Who: "who has the oldest"})
	if err != nil {
		t.Fatal(err)
	}
	defer has.Close()
	if _, err := has.Sync(t.Context(), tr); err != nil {
		t.Fatal(err)
	}
	unused(t, s.dir, "a", 9*time.Hour) // so that its lock alone keeps it
	session(t, s.dir, tr, send.Options{Key: "e", Limits: workspace.Limits{Copies: 2}})
	wantCopies(t, s.dir, "a d e")
	if got := s.run(t, has, "cat f d/e/g"); got != "12" {
		t.Errorf("what is in use has %q", got)
	}
	// it comes again, whole
	session(t, s.dir, tr, send.Options{Key: "b", Limits: workspace.Limits{Copies: 2}})
	wantCopies(t, s.dir, "a b e")
	want.expect(t, s.space("b"))
	// that is no reason to look again
	session(t, s.dir, tr, send.Options{Key: "b", Limits: workspace.Limits{Copies: 1}})
	wantCopies(t, s.dir, "a b e")
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.dir, ".hostler", ".tidied"), then, then); err != nil {
		t.Fatal(err)
	}
	session(t, s.dir, tr, send.Options{Key: "b", Limits: workspace.Limits{Copies: 1}})
	wantCopies(t, s.dir, "a b")
}

// TestCopiesIdle removes what was not used for long, also where a command has closed it, what a run
// of its own has left, and what an earlier tidying has.
func TestCopiesIdle(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spaces")
	tr := tree{"f": "1", "d/e/g": "2"}.write(t)
	session(t, dir, tr, send.Options{Key: "old"})
	session(t, dir, tr, send.Options{Key: "own.2"})
	session(t, dir, tr, send.Options{Key: "young"})
	for name, mode := range map[string]os.FileMode{"old/d": 0o500, "old": 0o500} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".hostler", "own.2", "alone"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".hostler", ".gone-X", "tree", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	unused(t, dir, "old", 20*time.Hour)
	unused(t, dir, "young", 10*time.Hour)
	session(t, dir, tr, send.Options{Key: "new", Limits: workspace.Limits{Idle: 15 * time.Hour}})
	wantCopies(t, dir, "new young")
}

// TestCopiesSize keeps so many bytes: what commands have made there counts, and so does the
// session's own, which stays whatever it takes.
func TestCopiesSize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spaces")
	tr := tree{"f": strings.Repeat("x", 8<<10)}.write(t)
	session(t, dir, tr, send.Options{Key: "old"})
	session(t, dir, tr, send.Options{Key: "built"})
	session(t, dir, tr, send.Options{Key: "young"})
	if err := os.WriteFile(filepath.Join(dir, "built", "made"), make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	unused(t, dir, "old", 3*time.Hour)
	unused(t, dir, "built", 2*time.Hour)
	unused(t, dir, "young", time.Hour)
	session(t, dir, tr, send.Options{Key: "a", Limits: workspace.Limits{Bytes: 64 << 20}})
	wantCopies(t, dir, "a built old young")
	session(t, dir, tr, send.Options{Key: "b", Limits: workspace.Limits{Bytes: 2 << 20}})
	wantCopies(t, dir, "a b young")
	session(t, dir, tr, send.Options{Key: "c", Limits: workspace.Limits{Bytes: 1}})
	wantCopies(t, dir, "c")
}
