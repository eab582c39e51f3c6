package deploy

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxLine is how much of a line is read.
const maxLine = 1 << 20

// eachLine calls f for each line, with at most maxLine bytes of it.
func eachLine(in *bufio.Reader, f func(line string) error) error {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part[:min(len(part), maxLine-len(line))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(line) > 0 {
			if e := f(strings.TrimRight(string(line), "\r\n")); e != nil {
				return e
			}
		}
		if line = line[:0]; err != nil {
			return nil
		}
	}
}

var (
	tapLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(TAP version \d+|1\.\.\d+|(not )?ok\b|Bail out!)`) })
	tapPlan = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^1\.\.(\d+)\s*(#.*)?$`) })
	tapTest = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(not )?ok\b\s*(\d+)?\s*-?\s*([^#]*)(#\s*(?i:(skip|todo))\b.*)?`)
	})
)

// readTAP reads the Test Anything Protocol. A number of tests other than planned counts as one
// failure; a test marked TODO does not. The indented lines of subtests are skipped, as their test
// has a line.
func readTAP(in *bufio.Reader) (t tally, err error) {
	plan := -1
	err = eachLine(in, func(line string) error {
		if m := tapPlan().FindStringSubmatch(line); m != nil {
			if plan >= 0 {
				return errors.New("it has two plans")
			}
			plan, err = strconv.Atoi(m[1])
			return err
		}
		if strings.HasPrefix(line, "Bail out!") {
			t.fail(line)
			return nil
		}
		if m := tapTest().FindStringSubmatch(line); m != nil {
			t.Tests++
			switch mark := strings.ToLower(m[5]); {
			case mark != "":
				t.Skipped++
			case m[1] != "":
				t.fail(strings.TrimSpace("test " + strconv.Itoa(t.Tests) + " " + m[3]))
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return t, err
	case plan < 0 && t.Bad == 0:
		return t, errors.New("it has no plan, so it may be cut short")
	case plan >= 0 && plan != t.Tests:
		t.fail(fmt.Sprintf("%d tests are planned, and %d are there", plan, t.Tests))
	}
	return t, nil
}

// goEvent is a line of `go test -json`.
type goEvent struct{ Action, Package, ImportPath, Test string }

// readGoTest reads the output of `go test -json`. A package that does not build, or a test without
// an end, counts as a failed test.
func readGoTest(in *bufio.Reader) (t tally, err error) {
	type key struct{ pkg, test string }
	open := map[key]bool{}
	failed := map[string]bool{} // packages with a failed test
	ends := 0
	err = eachLine(in, func(line string) error {
		if !strings.HasPrefix(line, "{") {
			return nil // other output of a program
		}
		var e goEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return err
		}
		k := key{e.Package, e.Test}
		switch e.Action {
		case "start", "run":
			open[k] = true
		case "build-fail":
			failed[e.ImportPath] = true
			t.Tests++
			t.fail(e.ImportPath + " (build)")
		case "pass", "fail", "skip":
			delete(open, k)
			ends++
			if e.Test != "" {
				t.Tests++
			}
			switch {
			case e.Action == "skip" && e.Test != "":
				t.Skipped++
			case e.Action == "fail" && e.Test != "":
				failed[e.Package] = true
				t.fail(e.Package + "." + e.Test)
			case e.Action == "fail" && !failed[e.Package]: // TestMain, a panic, or the build
				t.fail(e.Package)
			}
		}
		return nil
	})
	if err == nil && ends == 0 && t.Bad == 0 {
		err = errors.New("it has no results of go test -json")
	}
	left := make([]string, 0, len(open))
	for k := range open {
		left = append(left, strings.TrimSuffix(k.pkg+"."+k.test, ".")+" (did not end)")
	}
	slices.Sort(left)
	for _, name := range left {
		t.fail(name)
	}
	return t, err
}
