package deploy

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/junit"
)

// Gate lets nodes be destroyed only after tests have passed.
type Gate struct {
	Files []string // files or patterns of filepath.Match; each must match a file
	// accept no tests, and suites that do not count failures
	AllowEmpty bool
}

// tally is the result of tests. Failed has the names of the first failed ones.
type tally struct {
	Tests, Bad, Skipped int
	Failed              []string
	Silent              string // a suite that does not say how many failed; "": none
}

// shownTests is how many failed tests an error names.
const shownTests = 5

func (t *tally) fail(name string) {
	t.Bad++
	if len(t.Failed) < shownTests {
		t.Failed = append(t.Failed, name)
	}
}

// Check reads all files. It returns nil when there were tests and all passed; else an error that is
// ErrUnreadable (kind ErrInvalid) or ErrTests (kind ErrConflict).
func (g Gate) Check() error {
	var all tally
	for _, pattern := range g.Files {
		files, err := expand(pattern)
		if err != nil {
			return unreadable(pattern, err)
		}
		for _, file := range files {
			t, err := readFile(file)
			if err != nil {
				return unreadable(file, err)
			}
			all.Tests, all.Bad, all.Skipped = all.Tests+t.Tests, all.Bad+t.Bad, all.Skipped+t.Skipped
			all.Failed = append(all.Failed, t.Failed...)
			if t.Silent != "" && !g.AllowEmpty {
				return refused(
					fmt.Errorf("%s: the suite %q does not say how many tests failed", file, t.Silent),
					"--allow-empty takes that for none",
				)
			}
			if t.Tests == 0 && t.Bad == 0 && !g.AllowEmpty {
				return refused(fmt.Errorf("%s: it has no tests", file), "--allow-empty takes that for passed")
			}
		}
	}
	if all.Bad == 0 {
		return nil
	}
	names := strings.Join(all.Failed[:min(shownTests, len(all.Failed))], ", ")
	if names != "" {
		names = ": " + names
	}
	if len(all.Failed) < all.Bad && len(all.Failed) > 0 || len(all.Failed) > shownTests {
		names += ", ..."
	}
	return refused(fmt.Errorf("%d of %d failed%s", all.Bad, all.Tests, names), "")
}

func unreadable(file string, err error) error {
	return &compute.Error{
		Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w: %w", file, errUnreadable, err),
		Hint: "JUnit's XML, TAP and what go test -json prints can be read",
	}
}

func refused(err error, hint string) error {
	return &compute.Error{Kind: compute.ErrConflict, Err: fmt.Errorf("%w: %w", ErrTests, err), Hint: hint}
}

// expand returns the files of a pattern. An existing file's name is that file.
func expand(pattern string) ([]string, error) {
	if _, err := os.Stat(pattern); err == nil || !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}, nil
	}
	files, err := filepath.Glob(pattern)
	if err == nil && len(files) == 0 {
		err = errors.New("no file is like this")
	}
	return files, err
}

// readFile reads one file of results. It refuses pipes and devices, and its error does not
// repeat the name.
func readFile(name string) (tally, error) {
	// this does not wait for the other end of a pipe
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		if bare := (*fs.PathError)(nil); errors.As(err, &bare) {
			err = bare.Err
		}
		return tally{}, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return tally{}, errors.New("it is no regular file")
	}
	return readResults(f)
}

// readResults reads test results: JUnit's XML, TAP, or the output of `go test -json`. It tells them
// apart by their beginning.
func readResults(r io.Reader) (tally, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, _ := in.Peek(4096)
	head = bytes.TrimLeft(head, "\ufeff\xff\xfe\x00 \t\r\n")
	switch {
	case len(head) == 0:
		return tally{}, errors.New("it is empty")
	case head[0] == '<':
		return readJUnit(in)
	case head[0] == '{':
		return readGoTest(in)
	case tapLine().Match(head):
		return readTAP(in)
	}
	return tally{}, errors.New("it is neither XML nor TAP nor JSON")
}

// readJUnit names at most shownTests of the tests that failed. Errors count as failures.
func readJUnit(in io.Reader) (t tally, err error) {
	data, err := io.ReadAll(io.LimitReader(in, junit.MaxFile+1))
	if err != nil {
		return t, err
	}
	report, err := junit.Read(bytes.NewReader(data))
	if err != nil {
		return t, err
	}
	t = tally{Tests: report.Tests, Bad: report.Failures + report.Errors, Skipped: report.Skipped, Silent: silentSuite(data)}
	for _, c := range report.Failed(shownTests) {
		t.Failed = append(t.Failed, c.FullName())
	}
	return t, nil
}

// silentSuite finds a suite that neither counts its failures nor lists its tests. It finds none
// in files that are not UTF-8.
func silentSuite(data []byte) string {
	type suite struct {
		name  string
		tells bool
	}
	var open []suite
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	d.Strict = false
	for {
		token, err := d.Token()
		if err != nil {
			return ""
		}
		switch e := token.(type) {
		case xml.StartElement:
			has := func(name string) bool {
				return slices.ContainsFunc(e.Attr, func(a xml.Attr) bool { return a.Name.Local == name })
			}
			switch e.Name.Local {
			case "testsuite":
				for i := range open {
					open[i].tells = true // by what is in it
				}
				s := suite{tells: has("errors") && has("failures")}
				for _, a := range e.Attr {
					if a.Name.Local == "name" {
						s.name = a.Value
					}
				}
				open = append(open, s)
			case "testcase":
				if len(open) > 0 {
					open[len(open)-1].tells = true
				}
			}
		case xml.EndElement:
			if e.Name.Local != "testsuite" || len(open) == 0 {
				continue
			}
			last := open[len(open)-1]
			if open = open[:len(open)-1]; !last.tells {
				return cmp.Or(last.name, "testsuite")
			}
		}
	}
}
