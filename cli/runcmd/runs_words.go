package runcmd

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/remote/shell"
	"github.com/hostler-project/hostler/run/runlog"
)

// testWords sums up tests.
func testWords(t *runlog.Tests) string {
	words := []string{term.Counted(t.Tests, "test")}
	if n := t.Failures + t.Errors; n > 0 {
		words = append(words, fmt.Sprintf("%d failed", n))
	} else if t.Tests > 0 {
		words = append(words, "none failed")
	}
	if t.Skipped > 0 {
		words = append(words, fmt.Sprintf("%d skipped", t.Skipped))
	}
	return strings.Join(words, ", ")
}

// commandLine formats the command as a line for a shell.
func commandLine(r runlog.Record) string {
	if len(r.Args) == 0 {
		return "(a shell)"
	}
	return shellWords(r.Args)
}

// shellWords quotes words for a shell.
func shellWords(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = shell.Word(w)
	}
	return term.Line(strings.Join(out, " "))
}
