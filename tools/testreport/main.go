// Testreport reads the events of `go test -json` from standard input and says what people want to
// know: a line for each package, the whole output of what failed, and at the end the tests that
// took longest, and those that were skipped, by name and with their reason. It exits with 1 when
// anything failed, or when there was nothing at all.
//
// Its arguments are a command that runs tests. Up to three tests that failed are run by it again,
// three times each, and where they pass each time they are listed as unsteady and fail nothing: a
// slow machine is no fault of the change that is looked at. A race, a panic, or a package that does
// not build is not asked again.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// event is a line of test2json's output; see `go doc test2json` and, for the build's, `go help
// buildjson`.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// slowest is how many of the tests that took longest are named: where the time of CI goes.
const slowest = 40

func main() {
	f, packages, err := report(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
	}
	if err != nil || packages == 0 || again(f, os.Args[1:], os.Stdout) {
		os.Exit(1)
	}
}

// report tells of all events. Output of a test is kept until it has ended and thrown away if it
// passed.
func report(r io.Reader, w io.Writer) (f failures, packages int, err error) {
	f.tests = map[string][]string{}
	output := map[string][]string{} // by package and test
	var skips []string
	var whole []event // tests, not their parts
	tests := 0
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(w, line) // of the go command itself
				continue
			}
			key := e.Package + " " + e.Test
			switch e.Action {
			case "output":
				output[key] = append(output[key], e.Output)
			case "build-output":
				fmt.Fprint(w, e.Output)
			case "build-fail":
				f.whole = true
			case "fail":
				text := strings.Join(output[key], "")
				f.whole = f.whole || final.MatchString(text)
				if e.Test == "" {
					f.whole = f.whole || len(f.tests[e.Package]) == 0
				} else if !strings.Contains(e.Test, "/") {
					f.tests[e.Package] = append(f.tests[e.Package], e.Test)
				}
				fmt.Fprintf(w, "FAIL  %s\n%s", strings.TrimSpace(key), text)
				delete(output, key)
				if e.Test == "" {
					packages++
					unfinished(w, e.Package, output)
				}
			case "skip":
				if e.Test != "" {
					skips = append(skips, fmt.Sprintf("%s: %s", strings.TrimSpace(key), reason(output[key])))
				}
			case "pass":
				if e.Test == "" {
					fmt.Fprintf(w, "ok    %-60s %6.1fs\n", e.Package, e.Elapsed)
					packages++
				}
				tests += one(e.Test != "")
				if e.Test != "" && !strings.Contains(e.Test, "/") {
					whole = append(whole, e)
				}
			}
			if e.Action == "pass" || e.Action == "skip" {
				delete(output, key)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return f, packages, err
		}
	}
	slices.SortFunc(whole, func(a, b event) int { return cmp.Compare(b.Elapsed, a.Elapsed) })
	for _, e := range whole[:min(slowest, len(whole))] {
		fmt.Fprintf(w, "SLOW  %s %s %.1fs\n", e.Package, e.Test, e.Elapsed)
	}
	slices.Sort(skips)
	for _, s := range skips {
		fmt.Fprintln(w, "SKIP ", s)
	}
	fmt.Fprintf(w, "%d packages, %d tests passed, %d skipped\n", packages, tests, len(skips))
	return f, packages, nil
}

// unfinished prints what the tests of a package that failed had said when it ended under them: where
// the time-out was, go test names no test, and the goroutines are in the output of the one that
// began last.
func unfinished(w io.Writer, of string, output map[string][]string) {
	for _, key := range slices.Sorted(maps.Keys(output)) {
		test, ok := strings.CutPrefix(key, of+" ")
		if !ok || test == "" {
			continue
		}
		fmt.Fprintf(w, "UNFINISHED  %s\n%s", key, strings.Join(output[key], ""))
		delete(output, key)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// reason finds what a test gave to t.Skip in its output.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		said = append(said, line)
	}
	return strings.Join(said, " ")
}
