package scan_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/run/workspace/scan"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		rules, in, out string // paths; with a slash at the end: directories
	}{
		{"*.o", "a.c", "a.o b/a.o o.o/ o.o/a"},
		{"/a", "b/a", "a a/b a/"},
		{"a/", "a b/a", "a/ a/b b/a/ b/a/c"},
		{"a/b", "c/a/b a", "a/b a/b/c"},
		{"*\n!keep", "keep", "b keepx c/keep"},
		{"/*\n!/a/\n", "a/ a/x", "b b/a"},
		{"**/a", "b", "a x/a x/y/a"},
		{"a/**", "a/ b", "a/b a/b/c"},
		{"a/**/b", "a/xb ab", "a/b a/x/b a/x/y/b"},
		{"a**b", "a/b", "ab axb axxb"},
		{"[a-c]x[!y]", "dxa axy ax", "axa bx."},
		{`\#a` + "\n" + `\!b`, "a b", "#a !b"},
		{"#a", "#a", ""},
		{"a \nb\\ ", "b", "a b\\040"},
		{"[", "[ a", ""},
		{"\ufeffa\r\nb", "", "a b"},
		{"[[:digit:]]", "a", "1 x/2"},
		{"[]-]", "a", "] -"},
		{"?", "ab", "a x/b"},
	} {
		p := scan.ParsePatterns(c.rules)
		for _, path := range strings.Fields(c.in) {
			if name, dir := strings.CutSuffix(path, "/"); p.Match(name, dir) {
				t.Errorf("%q takes %q out", c.rules, path)
			}
		}
		for _, path := range strings.Fields(c.out) {
			path = strings.ReplaceAll(path, `\040`, " ")
			if name, dir := strings.CutSuffix(path, "/"); !p.Match(name, dir) {
				t.Errorf("%q leaves %q in", c.rules, path)
			}
		}
	}
}

// A pattern can be made so that those who try one way after the other need longer than the world
// lasts.
func TestPatternsThatAreMadeToBeSlow(t *testing.T) {
	p := scan.ParsePatterns(strings.Repeat("*a", 60) + "b\n" + strings.Repeat("**/a*", 1000) + "b\n")
	if p.Match(strings.Repeat("a", 255)+"/"+strings.Repeat("a", 255), false) {
		t.Error("matched, and ends with no b")
	}
}

// What git says of any rules and any paths we say as well.
func TestPatternsAsGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here to compare with")
	}
	dir := t.TempDir()
	run := func(in string, args ...string) (string, error) {
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME="+dir)
		cmd.Stdin = strings.NewReader(in)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err := cmd.Run()
		if err != nil && cmd.ProcessState.ExitCode() != 1 { // 1: none is ignored
			return "", fmt.Errorf("git %v: %w: %s", args, err, errs.String())
		}
		return out.String(), nil
	}
	if _, err := run("", "init", "-q"); err != nil {
		t.Fatal(err)
	}
	var paths []string
	parts := []string{"a", "b", "ab", "a.b", "-", "]", "aXb", "A1", "a b", "*"}
	for i, top := range parts {
		paths = append(paths, top)
		for j, second := range parts {
			if (i+j)%2 == 0 {
				continue
			}
			paths = append(paths, top+"/"+second, top+"/"+second+"/"+parts[(i*j)%len(parts)], top+"/b/a/"+second)
		}
	}
	all := strings.Join(paths, "\x00") + "\x00"
	atom := rapid.SampledFrom([]string{
		"a", "b", "a", "b", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[!a]", "[^b-z]", "[a-]", "[]a]",
		"[[:alpha:]]", "[[:nope:]]", "[[:]", "[[:a]",
		`\`, `\*`, `\a`, `[\]]`, "[", "!", "#", " ", `\ `, ".", "-", "X", "1", "[A-Z]", "[[:digit:][:upper:]]", "***",
		`\/`, "[/]", "[a-c-e]",
	})
	line := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(atom, 1, 6).Draw(t, "atoms"), "") })
	exclude := filepath.Join(dir, ".git", "info", "exclude")
	rapid.Check(t, func(t *rapid.T) {
		rules := strings.Join(
			rapid.SliceOfN(line, 1, 4).Draw(t, "lines"), "\n",
		) + rapid.SampledFrom([]string{"", "\n", "\r\n", "  \n"}).Draw(t, "end")
		if err := os.WriteFile(exclude, []byte(rules), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := run(all, "check-ignore", "--no-index", "--stdin", "-z")
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]bool{}
		for _, path := range strings.Split(out, "\x00") {
			said[path] = true
		}
		p := scan.ParsePatterns(rules)
		for _, path := range paths {
			if got := p.Match(path, false); got != said[path] {
				t.Errorf("%q: %q: %v, and git says %v", rules, path, got, said[path])
			}
		}
	})
}
