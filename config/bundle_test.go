package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

func TestBundles(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	mine := w.file("~/.config/hostler/bundles/web/bundle.conf", "include = dev\nscripts = a.sh\n[args]\nport = 80 ; usual\n")
	w.file("~/.config/hostler/bundles/web/scripts/a.sh", "id\n")
	w.file("~/.config/hostler/bundles/dev/bundle.conf", "")
	w.file("~/.config/hostler/bundles/broken/bundle.conf", "x")
	w.file("~/.config/hostler/bundles/file", "")
	theirs := w.file(".hostler/bundles/web/bundle.conf", "")
	w.file(".hostler/bundles/tree/bundle.conf", "")
	w.file("~/.config/hostler/sources/s/source.conf", "type = fake\nbundles = web\n")
	w.file("~/.config/hostler/sources/typo/source.conf", "type = fake\nbundles = webb\n")
	w.file("~/.config/hostler/sources/bad/source.conf", "type = fake\nbundles = broken\n")
	c := w.load()
	b, err := c.Bundle("web")
	if err != nil || b.Err != nil || b.File != mine || len(b.Shadowed) != 1 || b.Shadowed[0] != theirs {
		t.Fatalf(
			"b = %+v, err = %v"+
				"; want no error and no error and b.File == mine and len(b.Shadowed) == 1 and "+
				"b.Shadowed[0] == theirs",
			b, err,
		)
	}
	if e := b.Entries[2]; e.Section != "args" || e.Key != "port" || e.Text != "80" || e.Line != 4 {
		t.Errorf(`e = %+v; want e.Section == "args" and e.Key == "port" and e.Text == "80" and e.Line == 4`, e)
	}
	if b, _ := c.Bundle("tree"); !errors.Is(b.Err, config.ErrUntrusted) {
		t.Errorf("a tree's bundle works unasked: %v", b.Err)
	}
	if b, _ := c.Bundle("file"); b.Err == nil || !strings.Contains(b.Err.Error(), "not a directory with a bundle.conf") {
		t.Errorf(`b.Err = %v; want an error and b.Err.Error() with "not a directory with a bundle.conf"`, b.Err)
	}
	if _, err := c.Bundle("wbe"); err == nil || !strings.Contains(err.Error(), "did you mean web?") {
		t.Errorf(`err = %v; want an error and err.Error() with "did you mean web?"`, err)
	}
	for name, want := range map[string]string{
		"typo": "typo/source.conf:2: source typo: bundles: there is no bundle webb; did you mean web?",
		"bad":  "broken/bundle.conf:1: is not KEY = VALUE",
	} {
		if s, _ := c.Source(name); s.Err == nil || !strings.Contains(s.Err.Error(), want) {
			t.Errorf("%s: s.Err = %v; want an error and s.Err.Error() with want", name, s.Err)
		}
	}
	before := w.source("s").Digest
	script := w.file("~/.config/hostler/bundles/dev/scripts/new.sh", "id\n")
	after := w.source("s").Digest
	if after == before {
		t.Error("what an included bundle holds is not part of what the source is")
	}
	w.file("~/.config/hostler/bundles/dev/README", "nothing that counts")
	if w.source("s").Digest != after {
		t.Error("a file that is in none of the parts counts")
	}
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	if w.source("s").Digest == after {
		t.Error("a mode does not count")
	}
}

// A tree's bundle cannot have files from elsewhere put on instances.
func TestBundleStaysInItsTree(t *testing.T) {
	w := newWorld(t)
	w.opt.Trust.Dir = filepath.Join(w.home, "trust")
	w.file("~/secret", "mine")
	w.file(".hostler/bundles/b/bundle.conf", "files = /tmp/x\n")
	if err := os.MkdirAll(filepath.Join(w.dir, ".hostler/bundles/b/files"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(w.home, "secret"), filepath.Join(w.dir, ".hostler/bundles/b/files/x")); err != nil {
		t.Fatal(err)
	}
	d := w.load().NeedsTrust()[0]
	if err := w.opt.Trust.Approve(d); err != nil {
		t.Fatal(err)
	}
	b, err := w.load().Bundle("b")
	if err != nil || b.Err != nil {
		t.Fatalf("b.Err = %v, err = %v; want no error and no error", b.Err, err)
	}
	files, end, err := b.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	if data, err := fs.ReadFile(files, "files/x"); err == nil {
		t.Errorf("a link led out of the tree: %s", data)
	}
	if data, err := fs.ReadFile(files, "bundle.conf"); err != nil || len(data) == 0 {
		t.Errorf("data = %q, err = %v; want no error and len(data) != 0", data, err)
	}
}
