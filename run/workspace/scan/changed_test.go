package scan_test

import (
	"os"
	"testing"
	"time"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

// TestChanged tells trees with changes from those without, whatever git has noted of times.
func TestChanged(t *testing.T) {
	fresh := func(t *testing.T) *land {
		l := newRepo(t)
		l.write("a", "b", "sub/c")
		l.must(os.Symlink("a", l.path("link")))
		l.put("run", "#!/bin/sh\n")
		l.must(os.Chmod(l.path("run"), 0o755))
		l.put(".gitignore", "*.o\n")
		l.git("add", "-A")
		l.git("commit", "-qm", "one")
		l.write("x.o")
		return l
	}
	for name, c := range map[string]struct {
		change func(l *land)
		want   scan.Changed
		staged bool
	}{
		"nothing": {func(l *land) {}, scan.Unchanged, false},
		"touched": {func(l *land) { l.must(os.Chtimes(l.path("a"), time.Now(), time.Unix(1e9, 0))) }, scan.Unchanged, false},
		"same again": {func(l *land) {
			text, err := os.ReadFile(l.path("b"))
			l.must(err)
			l.must(os.WriteFile(l.path("b"), text, 0o644))
		}, scan.Unchanged, false},
		"contents":  {func(l *land) { l.put("a", "other") }, scan.FilesChanged, false},
		"same size": {func(l *land) { l.put("run", "#!/bin/ls\n") }, scan.FilesChanged, false},
		"mode":      {func(l *land) { l.must(os.Chmod(l.path("a"), 0o755)) }, scan.FilesChanged, false},
		"gone":      {func(l *land) { l.must(os.Remove(l.path("sub/c"))) }, scan.FilesChanged, false},
		"link": {
			func(l *land) { l.must(os.Remove(l.path("link"))); l.must(os.Symlink("b", l.path("link"))) },
			scan.FilesChanged, false,
		},
		"untracked": {func(l *land) { l.write("new") }, scan.FilesChanged, false},
		"staged":    {func(l *land) { l.put("a", "other"); l.git("add", "a") }, scan.Unchanged, true},
		"hidden": {
			func(l *land) { l.git("update-index", "--skip-worktree", "a"); l.must(os.Remove(l.path("a"))) },
			scan.Unchanged, false,
		},
		"split index": {func(l *land) { l.git("update-index", "--split-index") }, scan.Unsure, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := fresh(t)
			stamp := scan.IndexStamp(l.dir)
			c.change(l)
			if got := l.scan().Changed; got != c.want {
				t.Errorf("Changed is %d, want %d", got, c.want)
			}
			staged, err := scan.Staged(t.Context(), l.dir)
			if err != nil || staged != c.staged {
				t.Errorf("Staged is %v, %v", staged, err)
			}
			if c.staged && scan.IndexStamp(l.dir) == stamp {
				t.Error("the index has the same stamp after a change")
			}
		})
	}
}
