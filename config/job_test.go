package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSplitWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                         nil,
		"  a  b\tc ":               {"a", "b", "c"},
		`go test -run 'A|B' ./...`: {"go", "test", "-run", "A|B", "./..."},
		`a "b c" d\ e ''`:          {"a", "b c", "d e", ""},
		`"\"\$x\\ \n" '\'`:         {`"$x\ \n`, `\`},
		`a'b'"c"d`:                 {"abcd"},
		`{{index}} of={{total}}`:   {"{{index}}", "of={{total}}"},
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{"a'b", `a"b`, `a\`, "a | b", "a; b", "echo $HOME", `echo "$HOME"`, "a > b", "a*", "`a`"} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%s: got %q", line, got)
		}
	}
}

func FuzzSplitWords(f *testing.F) {
	f.Add(`a "b c" 'd' \e`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		if again, err := splitWords(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, and quoted %q %v", line, words, again, err)
		}
	})
}

// A tree's jobs wait for approval, which is of their content.
func TestJobs(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := errors.Join(
			os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755),
			os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644),
		); err != nil {
			t.Fatal(err)
		}
	}
	write("home/.config/hostler/jobs/own.conf", "shell = make | tail\nshards = 4\ntimeout = 10m\nkeep = yes\n[sync]\nsync = no\n")
	write("tree/.hostler/jobs/unit.conf", "run = go test ./...\nenv = CI, A=b\njunit = *.xml\n")
	write("tree/.hostler/jobs/bad.conf", "run = true\n\nartefacts = x\n")
	write("tree/.hostler/jobs/both.conf", "run = true\nshell = true\n")
	load := func() *Config {
		t.Helper()
		c, err := Load(LoadOptions{Dir: filepath.Join(dir, "tree"), Home: filepath.Join(dir, "home"), System: filepath.Join(dir, "etc"),
			Env: func(string) string { return "" }, Trust: TrustStore{Dir: filepath.Join(dir, "trust")}})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := load()
	if j, err := c.Job("own"); err != nil || j.Shell != "make | tail" || j.Shards != 4 || !j.Keep || j.Sync != "no" {
		t.Errorf("own: %+v %v", j, err)
	}
	if _, err := c.Job("unit"); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a tree's: %v", err)
	}
	approve := func() {
		t.Helper()
		all := load().NeedsTrust()
		if len(all) != 1 {
			t.Fatalf("needs trust: %+v", all)
		}
		if err := (TrustStore{Dir: filepath.Join(dir, "trust")}).Approve(all[0]); err != nil {
			t.Fatal(err)
		}
	}
	approve()
	c = load()
	j, err := c.Job("unit")
	if err != nil || !slices.Equal(j.Words, []string{"go", "test", "./..."}) ||
		!slices.Equal(j.Env, []string{"CI", "A=b"}) || j.Sync != "yes" {
		t.Errorf("unit: %+v %v", j, err)
	}
	if _, err := c.Job("bad"); err == nil || !strings.Contains(err.Error(), "bad.conf:3") || !strings.Contains(err.Error(), "artifacts") {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := c.Job("both"); err == nil || !strings.Contains(err.Error(), "both.conf:2") {
		t.Errorf("run and shell: %v", err)
	}
	if _, err := c.Job("unti"); err == nil || !strings.Contains(err.Error(), "unit") {
		t.Errorf("no such job: %v", err)
	}
	write("tree/.hostler/jobs/unit.conf", "run = curl example.org\n")
	if _, err := load().Job("unit"); !errors.Is(err, ErrUntrusted) {
		t.Errorf("one that has changed: %v", err)
	}
}
