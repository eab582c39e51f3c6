package home_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
)

const somebody = 54321 // a user and a group that have no name

// open makes a directory of somebody's, where we may, and opens it.
func open(t *testing.T) *home.Dir {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "part0")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(dir, somebody, somebody); err != nil {
			t.Fatal(err)
		}
	}
	d, err := home.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsWrittenBelongsToTheOwner(t *testing.T) {
	d := open(t)
	uid, _ := d.Owner()
	check(t, d.MakeDir("a/b", 0o751))
	check(t, d.Write("a/b/file", []byte("one"), 0o640))
	check(t, d.Write("a/b/file", []byte("two"), 0o604))
	check(t, d.Append("log", []byte("1\n"), 0o600, 0))
	check(t, d.Link("/nowhere", "link"))
	check(t, d.Link("/elsewhere", "link"))
	for name, mode := range map[string]fs.FileMode{
		"a": 0o751 | fs.ModeDir, "a/b": 0o751 | fs.ModeDir, "a/b/file": 0o604, "log": 0o600,
		"link": 0o777 | fs.ModeSymlink,
	} {
		i, err := d.Stat(name)
		check(t, err)
		if i.Mode() != mode || i.Sys().(*syscall.Stat_t).Uid != uid {
			t.Errorf("%s is %s of %d", name, i.Mode(), i.Sys().(*syscall.Stat_t).Uid)
		}
	}
	check(t, d.WriteOur("ours", nil, 0o600))
	if i, err := d.Stat("ours"); err != nil || int(i.Sys().(*syscall.Stat_t).Uid) != os.Getuid() {
		t.Error("what is to be ours is not")
	}
	if got, err := d.Read("a/b/file", 3); err != nil || string(got) != "two" {
		t.Errorf("read %q, %v", got, err)
	}
	if sub, err := d.Sub("a/b"); err != nil {
		t.Error(err)
	} else if got, err := sub.Read("file", 3); err != nil || string(got) != "two" || sub.Close() != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := d.Sub("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there is %v", err)
	}
	if to, err := d.Readlink("link"); err != nil || to != "/elsewhere" {
		t.Errorf("the link leads to %q, %v", to, err)
	}
	same := func(name, text string, mode fs.FileMode, uid uint32) bool {
		return d.Same(name, []byte(text), mode, uid, uid)
	}
	if !same("a/b/file", "two", 0o604, uid) || same("a/b/file", "two", 0o600, uid) ||
		same("a/b/file", "ton", 0o604, uid) || same("none", "", 0o600, uid) || os.Getuid() == 0 && same("a/b/file", "two", 0o604, 0) {
		t.Error("Same is wrong")
	}
	if os.Getuid() == 0 {
		check(t, d.WriteFor("another's", []byte("x"), 0o400, somebody+1, somebody+2))
		if !d.Same("another's", []byte("x"), 0o400, somebody+1, somebody+2) {
			t.Error("what is to be another's is not")
		}
	}
	if names, err := d.List("a/b", 10); err != nil || !slices.Equal(names, []string{"file"}) {
		t.Errorf("there are %q, %v: something was left", names, err)
	}
}

// TestNothingLeadsOut has an owner who wants the node to touch what is not his.
func TestNothingLeadsOut(t *testing.T) {
	d := open(t)
	out := t.TempDir()
	secret := filepath.Join(out, "secret")
	check(t, os.WriteFile(secret, []byte("secret"), 0o600))
	check(t, os.Symlink(out, filepath.Join(d.Path(), "dir")))
	check(t, os.Symlink(secret, filepath.Join(d.Path(), "file")))
	for what, err := range map[string]error{
		"read through a directory": second(d.Read("dir/secret", 100)),
		"read":                     second(d.Read("file", 100)),
		"read above":               second(d.Read("../secret", 100)),
		"write":                    d.Write("dir/new", nil, 0o600),
		"write above":              d.Write("../new", nil, 0o600),
		"append":                   d.Append("file", []byte("x"), 0o600, 0),
		"append through":           d.Append("dir/new", []byte("x"), 0o600, 0),
		"make":                     d.MakeDir("dir/new", 0o700),
		"link":                     d.Link("/", "dir/new"),
		"remove":                   d.Remove("dir/secret"),
		"list":                     second(d.List("dir", 10)),
		"absolute":                 second(d.Read(secret, 100)),
		"open":                     second(d.Sub("dir")),
	} {
		if err == nil {
			t.Errorf("%s went out of the directory", what)
		}
	}
	check(t, d.Write("file", []byte("mine"), 0o600)) // in place of the link
	check(t, d.Remove("dir"))                        // the link
	if got, err := os.ReadFile(secret); err != nil || string(got) != "secret" {
		t.Errorf("outside there is now %q, %v", got, err)
	}
	if names, _ := os.ReadDir(out); len(names) != 1 {
		t.Errorf("outside there are now %v", names)
	}
	check(t, os.Symlink(out, filepath.Join(d.Path(), "sub")))
	check(t, d.Empty())
	if _, err := os.Stat(secret); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestNothingWaitsOrIsTooLarge(t *testing.T) {
	d := open(t)
	check(t, syscall.Mkfifo(filepath.Join(d.Path(), "fifo"), 0o666))
	check(t, d.Write("large", make([]byte, 101), 0o600))
	for what, err := range map[string]error{
		"a FIFO is read":        second(d.Read("fifo", 10)),
		"a FIFO is listed":      second(d.List("fifo", 10)),
		"a FIFO is written":     d.Append("fifo", []byte("x"), 0o600, 0),
		"too much is read":      second(d.Read("large", 100)),
		"a directory is read":   second(d.Read(".", 100)),
		"too many are listed":   second(d.List(".", 1)),
		"a directory is a file": d.Write(".", nil, 0o600),
	} {
		if err == nil {
			t.Error(what)
		}
	}
	if _, err := d.Read("none", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there is %v", err)
	}
	if names, err := d.List("none", 1); err != nil || names != nil {
		t.Errorf("a directory that is not there has %v, %v", names, err)
	}
}

func TestALogIsPutAside(t *testing.T) {
	d := open(t)
	line := strings.Repeat("x", 59) + "\n"
	for range 4 {
		check(t, d.Append("log", []byte(line), 0o600, 100))
	}
	now, err := d.Read("log", 1000)
	check(t, err)
	before, err := d.Read("log.1", 1000)
	check(t, err)
	if len(now) != 120 || len(before) != 120 {
		t.Errorf("there are %d and %d bytes", len(now), len(before))
	}
}

// TestNoOtherNameIsGivenAway: the owner gives a file of somebody else's a second name in his
// directory, where the kernel lets him.
func TestNoOtherNameIsGivenAway(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files away")
	}
	d := open(t)
	other := filepath.Join(filepath.Dir(d.Path()), "other")
	check(t, os.WriteFile(other, []byte("x"), 0o600))
	check(t, os.Link(other, filepath.Join(d.Path(), "log")))
	if err := d.Append("log", []byte("y"), 0o600, 0); err == nil {
		t.Error("it was added to")
	}
	if i, err := os.Stat(other); err != nil || i.Size() != 1 || i.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("i = %v, err = %v; want no error and i.Size() == 1 and i.Sys().(*syscall.Stat_t).Uid == 0", i, err)
	}
}

func TestRemove(t *testing.T) {
	d := open(t)
	check(t, d.MakeDir("tree/in/it", 0o755))
	check(t, d.Write("tree/in/it/file", nil, 0o400))
	for _, dir := range []string{"tree/in/it", "tree/in", "tree"} {
		check(t, os.Chmod(filepath.Join(d.Path(), dir), 0o500))
	}
	check(t, d.Remove("tree"))
	check(t, d.Remove("tree"))
	for i := range 50 {
		check(t, d.Write(strings.Repeat("n", i+1), nil, 0o600))
	}
	check(t, d.Write(".keep", nil, 0o600))
	check(t, d.Empty(".keep"))
	if names, err := d.List(".", 10); err != nil || !slices.Equal(names, []string{".keep"}) {
		t.Errorf("left are %q, %v", names, err)
	}
}

func TestExecutable(t *testing.T) {
	d := open(t)
	check(t, d.Write("no", nil, 0o644))
	check(t, d.Write("yes", nil, 0o750))
	check(t, d.MakeDir("dir", 0o755))
	check(t, os.Symlink("/bin/sh", filepath.Join(d.Path(), "sh")))
	for name, want := range map[string]bool{"no": false, "yes": true, "dir": false, "sh": true, "none": false, "../part0/yes": false} {
		if d.Executable(name) != want {
			t.Errorf("%s can be run: %t", name, !want)
		}
	}
}

func TestOpen(t *testing.T) {
	d := open(t)
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.Symlink(d.Path(), link))
	check(t, d.Write("file", nil, 0o600))
	for path, want := range map[string]error{
		link: compute.ErrInvalid, filepath.Join(d.Path(), "file"): compute.ErrInvalid,
		filepath.Join(d.Path(), "none"): compute.ErrNotFound,
	} {
		if _, err := home.Open(path); !errors.Is(err, want) {
			t.Errorf("%s: err = %v; want error want", path, err)
		}
	}
}

// TestHalf takes away what a writer who was killed has left, does not show it, and copes with an
// owner who puts something in its place.
func TestHalf(t *testing.T) {
	d := open(t)
	names := func() string {
		all, err := os.ReadDir(d.Path())
		check(t, err)
		var b strings.Builder
		for _, e := range all {
			b.WriteString(e.Name() + " ")
		}
		return b.String()
	}
	write := func() { check(t, d.Write("file", []byte("new"), 0o600)) }
	for what, then := range map[string]func(){
		"file": write, "dir": func() { check(t, d.MakeDir("dir", 0o700)) },
		"link": func() { check(t, d.Link("/x", "link")) },
	} {
		check(t, os.WriteFile(filepath.Join(d.Path(), ".hostler-half-"+what), []byte("half"), 0o600))
		if all, err := d.List(".", 10); err != nil ||
			slices.ContainsFunc(all, func(name string) bool { return strings.HasPrefix(name, ".hostler-half") }) {
			t.Errorf("what is half is shown: %q, %v", all, err)
		}
		then()
	}
	if got := names(); got != "dir file link " {
		t.Errorf("there is %s", got)
	}
	check(t, os.MkdirAll(filepath.Join(d.Path(), ".hostler-half-file", "in"), 0o700))
	write()
	check(t, os.RemoveAll(filepath.Join(d.Path(), ".hostler-half-file")))
	check(t, os.Symlink("/etc/passwd", filepath.Join(d.Path(), ".hostler-half-file")))
	write()
	if got := names(); got != "dir file link " {
		t.Errorf("there is %s", got)
	}
}

// TestWritersAtOnce has many write one file: each time it is read it is whole.
func TestWritersAtOnce(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				if err := d.Write("file", []byte(strings.Repeat(string(rune('a'+i)), 10000)), 0o600); err != nil {
					t.Error(err)
				}
				if got, err := d.Read("file", 20000); err != nil || len(got) != 10000 || strings.Trim(string(got), string(got[:1])) != "" {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// TestDeep removes directories in each other of which there are more than files may be open, and
// keeps few open meanwhile.
func TestDeep(t *testing.T) {
	var limit syscall.Rlimit
	check(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	d := open(t)
	const deep = 3000
	dir, err := os.OpenRoot(d.Path())
	check(t, err)
	for range deep {
		check(t, dir.Mkdir("d", 0o755))
		next, err := dir.OpenRoot("d")
		check(t, err)
		check(t, dir.Close())
		dir = next
	}
	check(t, dir.WriteFile("file", nil, 0o644))
	check(t, dir.Close())
	check(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 600, Max: limit.Max}))
	err = d.Remove("d")
	check(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	check(t, err)
	if names, err := d.List(".", 10); err != nil || len(names) > 0 {
		t.Errorf("left are %q, %v", names, err)
	}
}

// TestOurs says of a file whether it is ours, and not somebody else's who has put it there.
func TestOurs(t *testing.T) {
	d := open(t)
	check(t, d.WriteOur("ours", []byte("1"), 0o644))
	check(t, d.Link("ours", "link"))
	if data, ours, err := d.ReadOur("ours", 10); string(data) != "1" || !ours || err != nil {
		t.Errorf(`data = %q, ours = %t, err = %v; want string(data) == "1" and ours and no error`, data, ours, err)
	}
	if _, ours, err := d.ReadOur("link", 10); ours || err != nil {
		t.Error("a link is ours", err)
	}
	check(t, os.Link(filepath.Join(d.Path(), "ours"), filepath.Join(d.Path(), "twice")))
	if _, ours, err := d.ReadOur("ours", 10); ours || err != nil {
		t.Error("what has two names is ours", err)
	}
	if os.Getuid() == 0 {
		check(t, d.Write("theirs", []byte("1"), 0o644))
		if _, ours, err := d.ReadOur("theirs", 10); ours || err != nil {
			t.Error("what is the owner's is ours", err)
		}
	}
}
