package hostler_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSpecification makes sure that the commands which SPECIFICATION.md names check something: in
// each package that they name there is a test that they run.
func TestSpecification(t *testing.T) {
	text, err := os.ReadFile("SPECIFICATION.md")
	if err != nil {
		t.Fatal(err)
	}
	promises := regexp.MustCompile(`(?m)^\d+\. .*$`).FindAllString(string(text), -1)
	if len(promises) == 0 || len(promises) > 12 {
		t.Errorf("%d promises; a dozen at most", len(promises))
	}
	// their parts
	promises = append(promises, regexp.MustCompile(`(?m)^ +\* .*$`).FindAllString(string(text), -1)...)
	goTest := regexp.MustCompile("`go test ([^`]+?) -run '?([^'`]+)'?`")
	for _, p := range promises {
		m := goTest.FindStringSubmatch(p)
		if m == nil {
			if !strings.Contains(p, "`make ") {
				t.Errorf("no command checks: %s", p)
			}
			continue
		}
		for _, name := range strings.Split(m[2], "|") {
			if script, is := strings.CutPrefix(name, "Scripts/"); is {
				if found, _ := filepath.Glob("cmd/hostlerd/testdata/script/" + script + "*.txtar"); len(found) == 0 {
					t.Errorf("cmd/hostlerd has no script %s: %s", script, p)
				}
			}
		}
		for _, pkg := range strings.Fields(m[1]) {
			if !tested(t, pkg, strings.Split(m[2], "|")) {
				t.Errorf("%s has no test named %s: %s", pkg, m[2], p)
			}
		}
	}
}

// TestSecurity does so for the commands that docs/security.md names.
func TestSecurity(t *testing.T) {
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile("`go test ([^`]+?) -run '?([^'`]+)'?`").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 20 {
		t.Errorf("only %d commands", len(commands))
	}
	for _, m := range commands {
		names := strings.Split(strings.ReplaceAll(m[2], `\|`, "|"), "|")
		for _, name := range names {
			if script, is := strings.CutPrefix(name, "Scripts/"); is {
				if found, _ := filepath.Glob("cmd/hostlerd/testdata/script/" + script + "*.txtar"); len(found) == 0 {
					t.Errorf("cmd/hostlerd has no script %s", script)
				}
			}
		}
		for _, pkg := range strings.Fields(m[1]) {
			if !tested(t, pkg, names) {
				t.Errorf("%s has no test named %s", pkg, names)
			}
		}
	}
}

// tested reports whether a package, or one below it, has a test that one of the names fits.
func tested(t *testing.T, pkg string, names []string) (found bool) {
	dir, below := strings.CutSuffix(pkg, "/...")
	tests := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)`)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != dir && !below {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(file)
		for _, m := range tests.FindAllStringSubmatch(string(text), -1) {
			for _, name := range names {
				name, _, _ = strings.Cut(name, "/")
				found = found || strings.Contains(m[1], name)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}
