package hook_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/hostler-project/hostler/host/hook"
)

func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestListRules(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "B", "10-x", "9", "_z", "foo.sh", "foo~", "foo.dpkg-old", ".hidden", "a b", "é"} {
		script(t, dir, name, "")
	}
	script(t, dir, "plain", "")
	os.Chmod(filepath.Join(dir, "plain"), 0o644)
	os.Mkdir(filepath.Join(dir, "directory"), 0o755)
	os.Symlink("nowhere", filepath.Join(dir, "broken"))
	os.Symlink("foo.sh", filepath.Join(dir, "link"))
	os.Symlink("directory", filepath.Join(dir, "linkdir"))

	names, skipped, err := hook.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"10-x", "9", "B", "_z", "b", "link"}; !slices.Equal(names, want) {
		t.Errorf("names = %q, want %q", names, want)
	}
	warn := map[string]string{}
	for _, s := range skipped {
		if s.Why == "" {
			t.Errorf("%s is skipped without a reason", s.Name)
		}
		if s.Warn {
			warn[s.Name] = s.Why
		}
	}
	if len(skipped) != 10 || len(warn) != 2 || warn["plain"] != "not executable" || warn["broken"] != "a broken link" {
		t.Errorf("skipped = %+v", skipped)
	}
}

func TestListOfNothing(t *testing.T) {
	if names, skipped, err := hook.List(filepath.Join(t.TempDir(), "none")); len(names)+len(skipped) > 0 || err != nil {
		t.Errorf("a missing directory: %v %v %v", names, skipped, err)
	}
	file := script(t, t.TempDir(), "file", "")
	if _, _, err := hook.List(file); err == nil {
		t.Error("a file as directory is no error")
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "a", "10-x", "foo.sh", "a/b", "..", "é", "a\x00", "-", "foo~"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		want := name != ""
		for _, r := range name {
			if !slices.Contains([]rune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"), r) {
				want = false
			}
		}
		if got := hook.ValidName(name); got != want {
			t.Errorf("ValidName(%q) = %v", name, got)
		}
		if hook.ValidName(name) && filepath.Base(filepath.Join("d", name)) != name {
			t.Errorf("%q leaves its directory", name)
		}
	})
}
