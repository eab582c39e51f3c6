package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme plays the sessions of README.md and docs/: each line after "$ " is run by a shell, and
// what stands below it is what it prints. With HOSTLER_UPDATE set the files are written anew with
// what it printed.
func TestReadme(t *testing.T) {
	files, _ := filepath.Glob("../../docs/*.md")
	for _, file := range append(files, "../../README.md") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := exec.LookPath("make"); err != nil {
				t.Skip("readme: no make here")
			}
			if strings.Contains(string(text), "hostler run sandbox") {
				sandboxes(t)
			}
			played := playSessions(t, string(text))
			switch {
			case played == string(text):
			case os.Getenv("HOSTLER_UPDATE") != "":
				if err := os.WriteFile(file, []byte(played), 0o644); err != nil {
					t.Fatal(err)
				}
			default:
				t.Errorf("the sessions of %s print\n%s", file, difference(string(text), played))
			}
		})
	}
}

// playSessions runs the blocks marked console, each in a home of its own, and returns the text with
// what they printed.
func playSessions(t *testing.T, text string) string {
	var out strings.Builder
	var m *machine
	inBlock := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "```console"):
			inBlock, m = true, shownMachine(t)
			out.WriteString(line)
		case strings.HasPrefix(line, "```"):
			inBlock = false
			out.WriteString(line)
		case !inBlock:
			out.WriteString(line)
		case strings.HasPrefix(line, "$ "):
			out.WriteString(line)
			cmd := exec.Command("sh", "-c", strings.TrimPrefix(line, "$ "))
			cmd.Dir, cmd.Env = m.work, m.env
			printed, err := cmd.CombinedOutput()
			if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
				t.Fatal(err)
			}
			out.WriteString(strings.ReplaceAll(string(printed), m.home, "/home/you"))
		}
	}
	return out.String()
}

// difference shows the lines that are in one of two texts alone.
func difference(a, b string) string {
	var out strings.Builder
	in := map[string]int{}
	for line := range strings.Lines(a) {
		in[line]++
	}
	for line := range strings.Lines(b) {
		if in[line]--; in[line] < 0 {
			out.WriteString("+ " + line)
		}
	}
	for line := range strings.Lines(a) {
		if in[line] > 0 {
			in[line]--
			out.WriteString("- " + line)
		}
	}
	return out.String()
}
