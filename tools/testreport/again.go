package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// unsteady is how many tests may be asked again: more than these at once is no bad luck.
const unsteady = 3

// final is what no second go makes good: a race that was seen was there, in a program under test
// too, and a program that broke off has told of one test only.
var final = regexp.MustCompile(`(?m)WARNING: DATA RACE|^(panic: |fatal error: |SIG[A-Z]+: )`)

// again runs the tests that failed by the command, three times over, and says of those that passed
// then that they are unsteady. It says whether anything failed for good: in a second go, or because
// a failure is not one to ask again about.
func again(f failures, command []string, w io.Writer) (failed bool) {
	switch {
	case f.whole:
		return true
	case f.count() == 0:
		return false
	case len(command) == 0 || f.count() > unsteady:
		return true
	}
	for _, pkg := range f.packages() {
		tests := f.tests[pkg]
		args := append(slices.Clone(command[1:]), "-count=3", "-json", "-run", "^("+strings.Join(tests, "|")+")$", pkg)
		fmt.Fprintf(w, "AGAIN %s %s\n", pkg, strings.Join(tests, " "))
		cmd := exec.Command(command[0], args...)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			fmt.Fprintln(w, "testreport:", err)
			return true
		}
		second, _, err := report(out, w)
		if ended := cmd.Wait(); err != nil || ended != nil || second.whole || second.count() > 0 {
			failed = true
			continue
		}
		for _, t := range tests {
			fmt.Fprintf(w, "UNSTEADY %s %s: failed once, then passed three times\n", pkg, t)
		}
	}
	return failed
}

// failures are the tests that failed, by package: those of the first level, which hold what is
// below them. whole is what is no test's alone.
type failures struct {
	tests map[string][]string
	whole bool
}

func (f failures) count() (n int) {
	for _, t := range f.tests {
		n += len(t)
	}
	return n
}

func (f failures) packages() (names []string) {
	for p := range f.tests {
		names = append(names, p)
	}
	slices.Sort(names)
	return names
}
