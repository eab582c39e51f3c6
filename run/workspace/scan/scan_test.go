package scan_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

func (l *land) refused(kind error, words string) {
	l.Helper()
	_, err := scan.Scan(l.Context(), l.opt)
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), words) {
		l.Errorf("%v, and not of kind %v with %q", err, kind, words)
	}
	if compute.Hint(err) == "" {
		l.Errorf("%v: no hint", err)
	}
}

func TestPlainDirectory(t *testing.T) {
	l := newLand(t)
	l.write("a", "sub/b", ".git/x", "sub/.hg/x", ".svn/x", ".jj/x", ".hostler/jobs/x", "skip/me", "sub/not.o", "full/empty.o")
	for _, dir := range []string{"empty", "nest/ed", "ful"} {
		l.must(os.MkdirAll(l.path(dir), 0o700))
	}
	l.put(".hostlerignore", "skip/\n*.o\n")
	tree := l.want(".hostlerignore a sub/b empty/ nest/ed/ ful/ full/")
	if tree.Git {
		t.Error("taken for git's")
	}
	l.opt.Exclude = []string{"!skip/", "!*.o", "/empty", "/ful*", "nest", ".hostlerignore"}
	l.want("a sub/b sub/not.o skip/me")
	l.opt.Dir = l.path("sub")
	l.opt.Exclude = nil
	if tree := l.want("b not.o"); tree.Root != l.path("sub") {
		t.Errorf("root %s", tree.Root)
	}
	l.opt.Root = ".."
	if tree := l.want(".hostlerignore a sub/b empty/ nest/ed/ ful/ full/"); tree.Root != l.dir || tree.Sub != "sub" {
		t.Errorf(`tree = %+v; want tree.Root == l.dir and tree.Sub == "sub"`, tree)
	}
}

func TestPlainLimits(t *testing.T) {
	t.Run("entries", func(t *testing.T) {
		l := newLand(t)
		l.write("d/0")
		for i := range 1999 {
			l.must(os.WriteFile(l.path(fmt.Sprintf("d/%d", i)), nil, 0o644))
		}
		l.opt.Unread = true
		tree, err := scan.Scan(t.Context(), l.opt)
		if err != nil || len(tree.Entries) != 1999 {
			t.Errorf("tree = %v, err = %v; want no error and len(tree.Entries) == 1999", tree, err)
		}
		l.write("one more")
		l.refused(compute.ErrInvalid, "more than 2000 files and directories")
		l.opt.Plain = true
		_, err = scan.Scan(t.Context(), l.opt)
		l.must(err)
		l.opt.Plain = false
		l.put(".hostlerignore", "/one more\n/d/1\n")
		_, err = scan.Scan(t.Context(), l.opt)
		l.must(err)
	})
	t.Run("bytes", func(t *testing.T) {
		l := newLand(t)
		l.opt.Unread = true
		look := func() {
			_, err := scan.Scan(t.Context(), l.opt)
			l.must(err)
		}
		l.write("a")
		l.must(os.Truncate(l.path("a"), 64<<20))
		look()
		l.write("b")
		l.refused(compute.ErrInvalid, "64.0 MiB")
		l.opt.Plain = true
		look()
	})
}

func TestPlacesThatNobodyMeans(t *testing.T) {
	l := newLand(t)
	l.write("a", "sub/b")
	l.opt.Home = l.dir
	l.refused(compute.ErrInvalid, "home directory")
	l.opt.Home = l.path("sub")
	l.refused(compute.ErrInvalid, "home directory")
	l.opt.Plain = true
	l.want("a sub/b")
	l.opt.Dir = l.path("sub")
	l.want("b")
	l.opt.Root = "/"
	l.refused(compute.ErrInvalid, "no working tree")
	l.opt.Root = "nowhere"
	if _, err := scan.Scan(t.Context(), l.opt); !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}

	// A repository of dot files is not taken for the work of a directory below it.
	l = newRepo(t)
	l.write("a", "work/b")
	l.opt.Home = l.dir
	l.opt.Dir = l.path("work")
	l.refused(compute.ErrInvalid, "home directory")
	l.opt.Root = "."
	l.want("b")
	l.opt.Root = ".."
	l.want("a work/b")
}

// names are of all sorts that a file system has.
var names = []string{"a b", "-rf", "new\nline", "\xff\xfe\x80", "ä", "\u0061\u0308", "tab\t", "'\"`$(x)",
	strings.Repeat("n", 255), "back\\slash", "*", "?", "[a]", ":x", "!x", "#x", "~", " ",
	strings.Repeat("deep/", 20) + "er", "...", "..a", ".gitx/a", "x.git/a", ".hostlerx/a"}

func TestNames(t *testing.T) {
	for _, git := range []bool{true, false} {
		t.Run(fmt.Sprintf("git %v", git), func(t *testing.T) {
			var l *land
			if git {
				l = newRepo(t)
			} else {
				l = newLand(t)
			}
			l.write(names...)
			if git {
				for _, half := range names[:len(names)/2] {
					l.git("--literal-pathspecs", "add", "--", half)
				}
			}
			wanted := slices.Sorted(slices.Values(names))
			tree := l.scan()
			if got := paths(tree); !slices.Equal(got, wanted) {
				t.Errorf("%q, and not %q", got, wanted)
			}
		})
	}
}

func TestLinksAndSpecials(t *testing.T) {
	for _, git := range []bool{true, false} {
		t.Run(fmt.Sprintf("git %v", git), func(t *testing.T) {
			var l *land
			if git {
				l = newRepo(t)
			} else {
				l = newLand(t)
			}
			l.write("a", "sub/b", "x/c")
			for name, target := range map[string]string{
				"abs": "/etc/passwd", "up": "../x", "sub/up": "../a", "sub/out": "../../a", "dir": "sub",
				"odd": "x/../..", "raw": "\xff", "none": "none", "x/dot": ".",
			} {
				l.must(os.Symlink(target, l.path(name)))
			}
			l.must(syscall.Mkfifo(l.path("sub/fifo"), 0o600))
			listener, err := net.Listen("unix", l.path("x/sock"))
			l.must(err)
			defer listener.Close()
			l.must(os.Link(l.path("a"), l.path("hard")))
			tree := l.want("a sub/b x/c abs@ up@ sub/up@ sub/out@ dir@ odd@ raw@ none@ x/dot@ hard")
			if !slices.Equal(tree.Outside, []string{"abs", "odd", "sub/out", "up"}) {
				t.Errorf("outside: %q", tree.Outside)
			}
			// git itself does not name them
			if !git && !slices.Equal(tree.Special, []string{"sub/fifo", "x/sock"}) {
				t.Errorf("special: %q", tree.Special)
			}
		})
	}
}

func TestExcludeAndInclude(t *testing.T) {
	l := newRepo(t)
	l.put(".gitignore", "gen/\n*.pb.go\nnode_modules\n")
	l.write(
		"a.go", "a.pb.go", "gen/x/y.go", "gen/z.txt", "node_modules/m/a.pb.go", "docs/big.bin", "docs/a", "sub/b.pb.go",
		".hostler/a.pb.go", "gen/.git/a.pb.go",
	)
	l.git("add", ".gitignore", "a.go", "docs")
	l.want(".gitignore a.go docs/big.bin docs/a")
	l.opt.Include = []string{"*.pb.go"}
	l.want(".gitignore a.go docs/big.bin docs/a a.pb.go sub/b.pb.go node_modules/m/a.pb.go")
	l.opt.Exclude = []string{"*.bin", "node_modules"}
	l.want(".gitignore a.go docs/a a.pb.go sub/b.pb.go")
	l.opt.Include = []string{"/gen/**/*.go", "!a"}
	l.want(".gitignore a.go docs/a gen/x/y.go")
	l.opt.Include = []string{"gen"}
	l.want(".gitignore a.go docs/a gen/x/y.go gen/z.txt")
	l.put(".hostlerignore", "*\n!*/\n!*.go\n")
	l.want("a.go gen/x/y.go")
	l.opt.Exclude = []string{"a\x00b"}
	if _, err := scan.Scan(t.Context(), l.opt); !errors.Is(err, compute.ErrInvalid) {
		t.Error(err)
	}
}

// reads has a land count which files a scan reads.
func (l *land) reads() []string {
	l.Helper()
	names := make(chan string, 1000)
	opt := l.opt.WhenRead(func(path string) { names <- path })
	tree, err := scan.Scan(l.Context(), opt)
	if err != nil {
		l.Fatal(err)
	}
	l.check(tree)
	close(names)
	l.tick()
	return slices.Sorted(func(yield func(string) bool) {
		for name := range names {
			if !yield(name) {
				return
			}
		}
	})
}

func (l *land) wantReads(words string) {
	l.Helper()
	if got := l.reads(); !slices.Equal(got, strings.Fields(words)) {
		l.Errorf("read %q, and not %q", got, words)
	}
}

func TestWhatIsRemembered(t *testing.T) {
	l := newRepo(t)
	l.opt.Cache = filepath.Join(filepath.Dir(l.dir), "cache", "trees")
	l.write("a", "b", "c")
	l.opt = l.opt.At(later())
	l.wantReads("a b c")
	l.wantReads("")
	l.put("b", "B")
	l.wantReads("b")
	l.write("d")
	l.must(os.Chmod(l.path("a"), 0o755))
	l.must(os.Remove(l.path("c")))
	l.must(os.Rename(l.path("b"), l.path("e")))
	l.wantReads("a d e")
	l.wantReads("")

	t.Run("same size and time", func(t *testing.T) {
		info, err := os.Stat(l.path("d"))
		l.must(err)
		l.put("d", "D")
		l.must(os.Chtimes(l.path("d"), info.ModTime(), info.ModTime()))
		l.wantReads("d")
		l.must(os.WriteFile(l.path("new"), []byte("?"), 0o644)) // another file in its place
		l.must(os.Chtimes(l.path("new"), info.ModTime(), info.ModTime()))
		l.must(os.Rename(l.path("new"), l.path("d")))
		l.wantReads("d")
	})
	t.Run("of another root", func(t *testing.T) {
		other := newRepo(t)
		other.opt.Cache = l.opt.Cache
		other.write("a")
		other.opt = other.opt.At(later())
		other.wantReads("a")
		l.wantReads("")
	})
	t.Run("broken", func(t *testing.T) {
		l.opt.Cache = filepath.Join(filepath.Dir(l.dir), "cache", "others")
		l.wantReads("a d e")
		files, err := filepath.Glob(filepath.Join(l.opt.Cache, "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("files = %q, err = %v; want no error and len(files) == 1", files, err)
		}
		for name, damage := range map[string]func([]byte) []byte{
			"empty": func(b []byte) []byte { return nil }, "cut": func(b []byte) []byte { return b[:len(b)-7] },
			"a bit": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
			"other": func(b []byte) []byte { return []byte("hostler scan 2\nand so on") },
		} {
			for _, file := range files {
				text, err := os.ReadFile(file)
				l.must(err)
				l.must(os.WriteFile(file, damage(text), 0o600))
			}
			if got := l.reads(); len(got) != 3 {
				t.Errorf("%s: read %q", name, got)
			}
			l.wantReads("")
		}
	})
	t.Run("not to be written", func(t *testing.T) {
		l.opt.Cache = l.path("a") // a file
		l.wantReads("a d e")
	})
}

// A file that was written shortly before is read again: a second write within the grain of the
// clock would not show otherwise.
func TestRacyFiles(t *testing.T) {
	l := newRepo(t)
	l.opt.Cache = filepath.Join(filepath.Dir(l.dir), "trees")
	l.put("a", "one")
	info, err := os.Stat(l.path("a"))
	l.must(err)
	l.opt = l.opt.At(info.ModTime().Add(time.Second))
	l.wantReads("a")
	l.wantReads("a")
	before := l.scan().ID
	l.put("a", "two")
	l.must(os.Chtimes(l.path("a"), time.Time{}, info.ModTime()))
	if l.scan().ID == before {
		t.Error("the change was not seen")
	}
	l.opt = l.opt.At(later())
	l.wantReads("a")
	l.wantReads("")
	l.opt = l.opt.At(time.Now().Add(-time.Hour)) // a clock that was set back
	l.put("a", "six")
	l.wantReads("a")
	l.wantReads("a")
}

func TestFilesThatChangeWhileRead(t *testing.T) {
	l := newRepo(t)
	l.write("a", "b", "c")
	n := 0
	l.opt = l.opt.WhenRead(func(path string) {
		if path != "b" {
			return
		}
		if n++; n <= 2 {
			l.put("b", strings.Repeat("x", n))
		}
	})
	if tree := l.want("a b c"); l.entry(tree, "b").Size != 2 || n != 3 {
		t.Errorf("%+v after %d readings", l.entry(tree, "b"), n)
	}
	l.opt = l.opt.WhenRead(func(path string) {
		if n++; path == "b" {
			l.put("b", strings.Repeat("x", n))
		}
	})
	l.refused(compute.ErrUnavailable, `"b" changes while it is read`)

	// One that goes is gone, and one that becomes something else is that.
	l.opt = l.opt.WhenRead(nil).WhenListed(nil)
	for name, change := range map[string]func(){
		"a b":    func() { l.must(os.Remove(l.path("c"))) },
		"a b c@": func() { l.must(os.Remove(l.path("c"))); l.must(os.Symlink("/etc/passwd", l.path("c"))) },
	} {
		l.must(os.RemoveAll(l.path("c")))
		l.write("c")
		once := false
		l.opt = l.opt.WhenRead(func(path string) {
			if path == "c" && !once {
				once = true
				l.put("c", "changed")
				change()
			}
		})
		l.want(name)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	l := newRepo(t)
	l.write("a", "b")
	l.must(os.Chmod(l.path("b"), 0))
	l.refused(compute.ErrInvalid, "read b")
	l.opt.Exclude = []string{"b"}
	l.want("a")
}

func TestOpen(t *testing.T) {
	l := newLand(t)
	l.write("a", "sub/b")
	l.must(os.Symlink("sub", l.path("dir")))
	l.must(os.Symlink("a", l.path("link")))
	l.must(syscall.Mkfifo(l.path("fifo"), 0o600))
	f, err := scan.Open(l.dir, "sub/b")
	l.must(err)
	f.Close()
	for _, path := range []string{"dir/b", "link", "sub", "fifo", "../tree/a", "/etc/passwd", "none", "", "a/x"} {
		if f, err := scan.Open(l.dir, path); err == nil {
			f.Close()
			t.Errorf("%q was opened", path)
		}
	}
}

func TestCancelled(t *testing.T) {
	l := newRepo(t)
	l.write("a", "b")
	ctx, cancel := cancelled(t)
	defer cancel()
	if _, err := scan.Scan(ctx, l.opt); !errors.Is(err, errEnough) {
		t.Error(err)
	}
}

func TestGuards(t *testing.T) {
	many := func(n int, size int64) (out []scan.Entry) {
		for i := range n {
			out = append(out, scan.Entry{Path: fmt.Sprintf("big/node_modules/%06d", i), Kind: scan.File, Size: size})
		}
		return append(
			out, scan.Entry{Path: "a", Kind: scan.File, Size: 10},
			scan.Entry{Path: "docs/b", Kind: scan.File, Size: 100}, scan.Entry{Path: "z", Kind: scan.Link, Target: "a"},
		)
	}
	for _, c := range []struct {
		name    string
		entries []scan.Entry
		warned  string
		refused bool
	}{
		{"few", many(100, 10), "", false},
		{"warned for number", many(20_000, 1), `20002 files`, false},
		{"warned for size", many(2, 600<<20), "1.2 GiB", false},
		{"refused for number", many(200_000, 1), "200002 files", true},
		{"refused for size", many(21, 1<<30), "21.0 GiB", true},
	} {
		w := scan.Weigh(c.entries)
		warning, err := w.Check(false)
		if (err != nil) != c.refused ||
			c.refused && (!errors.Is(err, compute.ErrInvalid) || !strings.Contains(compute.Hint(err), "--large")) {
			t.Errorf(
				"%s: err = %v"+
					"; want (err != nil) == c.refused and (!c.refused or error compute.ErrInvalid and "+
					`compute.Hint(err) with "--large")`,
				c.name, err,
			)
		}
		if err != nil {
			warning = err.Error()
			if _, err := w.Check(true); err != nil {
				t.Errorf("%s, though they are meant: %v", c.name, err)
			}
		}
		if !strings.Contains(warning, c.warned) || (c.warned != "") != strings.Contains(warning, `"big/node_modules"`) {
			t.Errorf(
				"%s: warning = %q"+
					`; want warning with c.warned and (c.warned != "") == strings.Contains(warning, `+
					"`\"big/node_modules\"`)",
				c.name, warning,
			)
		}
	}
	for _, c := range []struct {
		had, vanish int
		refused     bool
	}{{1000, 500, false}, {1000, 501, true}, {400, 200, false}, {300, 201, true}, {201, 201, true}, {200, 200, false}, {0, 0, false}} {
		err := scan.CheckDeletes(c.had, c.vanish, false)
		if (err != nil) != c.refused || scan.CheckDeletes(c.had, c.vanish, true) != nil {
			t.Errorf("%d of %d: %v", c.vanish, c.had, err)
		}
		if err != nil && !strings.Contains(compute.Hint(err), "--allow-mass-delete") {
			t.Error(compute.Hint(err))
		}
	}
	dirs := scan.Weigh([]scan.Entry{
		{Path: "a/b/c/1", Kind: scan.File, Size: 50}, {Path: "a/b/c/2", Kind: scan.File, Size: 50}, {Path: "a/d", Kind: scan.File, Size: 5},
		{Path: "e/f/1", Kind: scan.File, Size: 30}, {Path: "e/g/1", Kind: scan.File, Size: 30}, {Path: "h", Kind: scan.File, Size: 1},
	}).Dirs
	if len(dirs) != 2 || dirs[0] != (scan.PathWeight{Path: "a/b/c", Files: 2, Bytes: 100}) ||
		dirs[1] != (scan.PathWeight{Path: "e", Files: 2, Bytes: 60}) {
		t.Errorf(
			"dirs = %+v"+
				`; want len(dirs) == 2 and dirs[0] == (scan.PathWeight{Path: "a/b/c", Files: 2, Bytes: `+
				`100}) and dirs[1] == (scan.PathWeight{Path: "e", Files: 2, Bytes: 60})`,
			dirs,
		)
	}
}

// A tree that is refused for its size is not read first.
func TestLargeTreesAreNotReadFirst(t *testing.T) {
	l := newRepo(t)
	l.write("big/a", "b")
	l.must(os.Truncate(l.path("big/a"), 21<<30)) // a hole
	l.refused(compute.ErrInvalid, "21.0 GiB")
	l.opt.Unread = true
	tree, err := scan.Scan(t.Context(), l.opt.WhenRead(func(path string) { t.Errorf("%s was read", path) }))
	if err != nil || len(tree.Entries) != 2 || tree.Bytes != 21<<30+1 {
		t.Errorf("tree = %+v, err = %v; want no error and len(tree.Entries) == 2 and tree.Bytes == 21<<30+1", tree, err)
	}
}

func TestChanges(t *testing.T) {
	file := func(path string, size int64) scan.Entry { return scan.Entry{Path: path, Kind: scan.File, Size: size} }
	tree := scan.Tree{Entries: []scan.Entry{file("a", 1), file("b", 2), file("d", 4)}, Hidden: []string{"c", "e"}}
	for _, c := range []struct {
		last []scan.Entry
		send string
		gone int
	}{
		{nil, "abd", 0}, {tree.Entries, "", 0}, {
			[]scan.Entry{file("a", 1), file("b", 3), file("b0", 1), file("c", 3), file("x", 1)}, "bd", 2,
		},
		{[]scan.Entry{file("0", 1), {Path: "a", Kind: scan.Link, Target: "x"}}, "abd", 1},
	} {
		send, gone := tree.Changes(c.last)
		got := ""
		for _, e := range send {
			got += e.Path
		}
		if got != c.send || gone != c.gone {
			t.Errorf("from %v: %q, %d gone", c.last, got, gone)
		}
	}
}

func TestManyFiles(t *testing.T) {
	n := 100_000
	if testing.Short() || raceEnabled {
		n = 3_000
	}
	l := newRepo(t)
	for i := 0; i < n; i += 500 {
		dir := l.path(fmt.Sprintf("d%d/e%d", i/5000, i/500))
		l.must(os.MkdirAll(dir, 0o755))
		for j := range 500 {
			l.must(os.WriteFile(filepath.Join(dir, fmt.Sprint(j)), nil, 0o644))
		}
	}
	l.opt.Cache = filepath.Join(filepath.Dir(l.dir), "trees")
	l.opt = l.opt.At(later())
	first, err := scan.Scan(t.Context(), l.opt)
	l.must(err)
	l.opt = l.opt.WhenRead(func(path string) { t.Errorf("%s was read again", path) })
	second, err := scan.Scan(t.Context(), l.opt)
	l.must(err)
	if len(first.Entries) != n || first.ID != second.ID {
		t.Errorf("%d entries, then %d; the same: %v", len(first.Entries), len(second.Entries), first.ID == second.ID)
	}
	var wire bytes.Buffer
	l.must(scan.Encode(&wire, first.Entries))
	back, err := scan.Decode(&wire, scan.Limits{})
	if err != nil || scan.ID(back) != first.ID {
		t.Errorf("%d entries come back: %v", len(back), err)
	}
}

// Files come, change, go and change back: what is remembered never makes another tree than what is
// not.
func TestMemoryOfAnything(t *testing.T) {
	l := newLand(t)
	l.opt.Cache = filepath.Join(filepath.Dir(l.dir), "trees")
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 4).Draw(r, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "d/a", "d/e/a"}).Draw(r, "name")
			switch rapid.SampledFrom([]string{"write", "remove", "mode", "link", "time"}).Draw(r, "step") {
			case "write":
				_ = os.Remove(l.path(name))
				l.put(name, rapid.SampledFrom([]string{"", "x", "y", "zz"}).Draw(r, "text"))
			case "remove":
				_ = os.Remove(l.path(name))
			case "mode":
				_ = os.Chmod(l.path(name), 0o644|os.FileMode(rapid.IntRange(0, 1).Draw(r, "x")*0o100))
			case "link":
				if os.Remove(l.path(name)) == nil {
					l.must(os.Symlink("a", l.path(name)))
				}
			case "time":
				if info, err := os.Lstat(l.path(name)); err == nil && info.Mode().IsRegular() {
					l.must(os.Chtimes(l.path(name), time.Time{}, time.Unix(rapid.Int64Range(0, 3).Draw(r, "time"), 0)))
				}
			}
		}
		remembering, err := scan.Scan(t.Context(), l.opt)
		l.must(err)
		l.check(remembering)
	})
}

func FuzzIndexes(f *testing.F) {
	f.Add([]byte("DIRC\x00\x00\x00\x02\x00\x00\x00\x00"+strings.Repeat("x", 20)), "root")
	f.Add([]byte("DIRC\x00\x00\x00\x04\x00\x00\x00\x01"+strings.Repeat("\x00", 62)+"\x00a\x00"+strings.Repeat("x", 20)), "root")
	f.Add([]byte("hostler scan 1\n\x04root\x01"), "root")
	f.Fuzz(func(t *testing.T, data []byte, root string) {
		_, _ = scan.ParseIndex(data)
		_, _ = scan.ParseMemory(data, root)
		_, _ = scan.ParseMemory(sealed(data), root)
	})
}
