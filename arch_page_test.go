package hostler_test

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// rooms reads the list of directories in ARCHITECTURE.md: those at the top, and those below them. A
// line has a name, two blanks or more, and a sentence; a line that is indented further goes on with
// the sentence.
func rooms(page string) (names map[string]string, wrong []string) {
	_, page, _ = strings.Cut(page, "\n## The rooms\n")
	page, _, _ = strings.Cut(page, "\n## ")
	names = map[string]string{}
	top := ""
	for line := range strings.Lines(page) {
		rest := strings.TrimLeft(line, " ")
		name, about, _ := strings.Cut(strings.TrimSpace(rest), "  ")
		name = strings.TrimSuffix(name, "/")
		switch len(line) - len(rest) {
		case 4:
			top = name
		case 6:
			name = path.Join(top, name)
		default:
			continue
		}
		if _, twice := names[name]; twice {
			wrong = append(wrong, name+" stands there twice")
		}
		names[name] = strings.TrimSpace(about)
		if names[name] == "" {
			wrong = append(wrong, name+" has no sentence")
		}
	}
	return names, wrong
}

// TestArchitecturePage holds ARCHITECTURE.md to the tree: it names every directory with code at the
// top and just below, and none that is not there.
func TestArchitecturePage(t *testing.T) {
	page, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named, wrong := rooms(string(page))
	for _, w := range wrong {
		t.Errorf("ARCHITECTURE.md, The rooms: %s", w)
	}
	dirs := map[string]bool{}
	for _, s := range sources(t, ".") {
		parts := strings.Split(s.dir, "/")
		if s.test || s.dir == "." || parts[0] == "tools" {
			continue
		}
		for n := range min(len(parts), 2) {
			dirs[strings.Join(parts[:n+1], "/")] = true
		}
	}
	for dir := range dirs {
		if _, ok := named[dir]; !ok {
			t.Errorf("ARCHITECTURE.md, The rooms: no line for %s", dir)
		}
	}
	for name := range named {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			t.Errorf("ARCHITECTURE.md, The rooms: there is no directory %s", name)
		}
	}
}

// TestLawNamesWhatIs: IMPORTS has no line for a directory that is not there, and allows none.
func TestLawNamesWhatIs(t *testing.T) {
	law, complaints := readLaw(lawFile)
	for _, c := range complaints {
		t.Error(c)
	}
	for room, allowed := range law {
		for _, name := range append([]string{room}, allowed...) {
			dir := strings.TrimSuffix(name, "/...")
			if info, err := os.Stat(dir); name != everything && (err != nil || !info.IsDir()) {
				t.Errorf("%s, the line of %s: there is no directory %s", lawFile, room, dir)
			}
		}
	}
}

// TestPageIsRead: the list is understood as a reader does.
func TestPageIsRead(t *testing.T) {
	got, wrong := rooms("x\n## The rooms\n\n    a/   what a is\n      b   what b is,\n               and more of it\n" +
		"    d/\n    a  again\n\nText.\n\n## Next\n\n    f/   no\n")
	for name, want := range map[string]string{"a": "again", "a/b": "what b is,", "d": ""} {
		if about, ok := got[name]; !ok || about != want {
			t.Errorf("%s: got %q (there: %v), want %q", name, about, ok, want)
		}
	}
	if len(got) != 3 || !slices.Equal(wrong, []string{"d has no sentence", "a stands there twice"}) {
		t.Errorf("got %d names and the complaints %q, want 3, one for d and one for a", len(got), wrong)
	}
}
