package newfiles_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/remote/process"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
)

func parse(t *testing.T, globs ...string) (out []newfiles.Pattern) {
	t.Helper()
	for _, g := range globs {
		p, err := newfiles.Parse(g)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, file string
		want          bool
	}{
		{"a.xml", "a.xml", true}, {"a.xml", "b/a.xml", false}, {"*.xml", "a.xml", true}, {"*.xml", "a/b.xml", false},
		{"*", ".hidden", true},
		{"**/*.xml", "a.xml", true}, {"**/*.xml", "a/b/c.xml", true}, {"a/**/c", "a/c", true},
		{"a/**/c", "a/b/b/c", true}, {"a/**/c", "b/a/c", false},
		{"a/**", "a/b", true}, {"a/**", "a/b/c", true}, {"a/**", "a", false}, {"**", "a", true},
		{"**/a/**/b", "x/a/y/a/z/b", true}, {"**/a/*/b", "a/a/x/b", true},
		{"a[0-9]?.log", "a5x.log", true}, {`a\*`, "a*", true}, {`a\*`, "ab", false}, {"./a", "a", true},
		{"a//b", "a/b", true}, {"**/a", "ba", false},
		{"**/**/a", "a", true}, {"**/**", "a", true}, {"a/**/**", "a", false},
	} {
		if got := parse(t, test.pattern)[0].Match(test.file); got != test.want {
			t.Errorf("%s and %s: %v", test.pattern, test.file, got)
		}
	}
	for _, name := range []string{"a*b", `a\b`, "[", "a?/[x]"} {
		p, err := newfiles.Literal(name)
		if err != nil || !p.Match(name) || p.Match(strings.NewReplacer("*", "x", "?", "x", `\`, "").Replace(name)+"x") {
			t.Errorf("%s, literally: %v", name, err)
		}
	}
	slow := strings.Repeat("**/a/", 30) + "b"
	if parse(t, slow)[0].Match(strings.Repeat("a/", 200) + "c") {
		t.Error("no end")
	}
	for _, bad := range []string{"", "/etc/passwd", "..", "a/../../b", ".", "a[", "a\x00"} {
		if _, err := newfiles.Parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func list(t *testing.T, dir string, globs ...string) *newfiles.Listing {
	t.Helper()
	conn := process.New(process.Options{})
	defer conn.Close()
	l, err := newfiles.List(context.Background(), conn, newfiles.Place{Dir: dir}, parse(t, globs...))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		at := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(f), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func paths(files []newfiles.File) (out []string) {
	for _, f := range files {
		out = append(out, f.Path)
	}
	return out
}

func TestList(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	odd := []string{
		"-rf/x.xml", "a b/new\nline.xml", "a b/\xff.xml", "a*/star.xml", "ab/no.xml", "deep/1/2/3.xml", "plain.xml",
		"plain.txt",
	}
	write(t, dir, odd...)
	write(t, outside, "secret.xml")
	for link, to := range map[string]string{"link.xml": "plain.xml", "away.xml": filepath.Join(outside, "secret.xml"), "linked": outside} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.xml"), 0o644); err != nil {
		t.Fatal(err)
	}
	l := list(t, dir, "**/*.xml")
	if diff := cmp.Diff(
		[]string{"-rf/x.xml", "a b/new\nline.xml", "a b/\xff.xml", "a*/star.xml", "ab/no.xml", "deep/1/2/3.xml", "plain.xml"},
		paths(l.Files),
	); diff != "" {
		t.Error(diff)
	}
	if l.Files[6].Size != int64(len("plain.xml")) {
		t.Errorf("its size is %d", l.Files[6].Size)
	}
	for _, test := range []struct{ globs, want []string }{
		{[]string{`a\*/*.xml`}, []string{"a*/star.xml"}},
		{[]string{"linked/*.xml", "link.xml"}, nil},
		{[]string{"deep/1/**/*.xml", "plain.*"}, []string{"deep/1/2/3.xml", "plain.txt", "plain.xml"}},
		{[]string{"deep/1/2/3.xml"}, []string{"deep/1/2/3.xml"}},
		{[]string{"nowhere/**"}, nil},
	} {
		if diff := cmp.Diff(test.want, paths(list(t, dir, test.globs...).Files)); diff != "" {
			t.Errorf(`%v: diff = %s; want diff == ""`, test.globs, diff)
		}
	}
	conn := process.New(process.Options{})
	defer conn.Close()
	if _, err := newfiles.List(context.Background(), conn, newfiles.Place{Dir: filepath.Join(dir, "nowhere")}, parse(t, "*")); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

// TestSince: old is what is the same file as before. Times are set, not waited for.
func TestSince(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "old.xml", "replaced.xml", "grown.xml", "gone.xml")
	before := list(t, dir, "*.xml")
	write(t, dir, "new.xml", "replacement")
	if err := os.Rename(filepath.Join(dir, "replacement"), filepath.Join(dir, "replaced.xml")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "grown.xml"), []byte("more than there was before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "gone.xml")); err != nil {
		t.Fatal(err)
	}
	after := list(t, dir, "*.xml")
	if diff := cmp.Diff([]string{"grown.xml", "new.xml", "replaced.xml"}, paths(after.Since(before))); diff != "" {
		t.Error(diff)
	}
	if n := len(after.Since(nil)); n != 4 {
		t.Errorf("%d files since nothing", n)
	}
}

func TestFetch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/file")
	if err := os.Symlink("a/file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	conn := process.New(process.Options{})
	defer conn.Close()
	fetch := func(name string, limit int64) (string, error) {
		var b bytes.Buffer
		_, err := newfiles.Fetch(context.Background(), conn, dir, name, limit, &b)
		return b.String(), err
	}
	if text, err := fetch("a/file", 6); text != "a/file" || err != nil {
		t.Errorf(`text = %q, err = %v; want text == "a/file" and no error`, text, err)
	}
	if text, err := fetch("large", 3<<20); len(text) != 3<<20 || err != nil {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if _, err := fetch("large", 3<<20-1); !errors.Is(err, newfiles.ErrTooLarge) {
		t.Errorf("a byte too many: %v", err)
	}
	for _, name := range []string{"link", "a", "nowhere"} {
		if text, err := fetch(name, 100); err == nil || text != "" {
			t.Errorf(`%s: text = %q, err = %v; want an error and text == ""`, name, text, err)
		}
	}
}
