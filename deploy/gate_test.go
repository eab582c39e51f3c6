package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

func TestGate(t *testing.T) {
	const suites = "<testsuites><testsuite tests='1' errors='0' failures='0'/><testsuite tests='1' errors='0' failures='1'/></testsuites>"
	for _, c := range []struct {
		name, text string
		want       error // nil: lets go
		empty      bool  // --allow-empty lets it go
	}{
		{"all green", "<testsuite tests='4' errors='0' failures='0'/>", nil, true},
		{"an error", "<testsuite tests='4' errors='1' failures='0'/>", deploy.ErrTests, false},
		{"failures", "<testsuite tests='4' errors='0' failures='2'/>", deploy.ErrTests, false},
		{"not xml", "hello", deploy.ErrUnreadable, false},
		{"empty", "", deploy.ErrUnreadable, false},
		{"blank", "\n \n", deploy.ErrUnreadable, false},
		{"cut short", "<testsuite tests='4' errors='0' failures='0'>", deploy.ErrUnreadable, false},
		{"another document", "<html/>", deploy.ErrUnreadable, false},
		{"the second suite", suites, deploy.ErrTests, false},
		{"no attribute", "<testsuite tests='4' failures='0'/>", deploy.ErrTests, true},
		{"no attribute, and tests", "<testsuite><testcase name='a'/></testsuite>", nil, true},
		{"no tests", "<testsuite tests='0' errors='0' failures='0'/>", deploy.ErrTests, true},
		{"no suites", "<testsuites/>", deploy.ErrTests, true},
		{"a number that is none", "<testsuite tests='4' errors='x' failures='0'/>", deploy.ErrUnreadable, false},
		{"skipped ones", "<testsuite tests='4' errors='0' failures='0' skipped='4'/>", nil, true},
		{
			"entities", "<!DOCTYPE a [<!ENTITY x 'y'>]><testsuite tests='1' errors='0' failures='0' name='&x;'/>",
			deploy.ErrUnreadable, false,
		},

		{"TAP", "TAP version 13\n1..2\nok 1 - a\nok 2 # SKIP x\n", nil, true},
		{"TAP, plan last", "ok 1\nok 2\n1..2\n", nil, true},
		{"TAP fails", "1..2\nok 1\nnot ok 2 - b\n", deploy.ErrTests, false},
		{"TAP todo", "1..1\nnot ok 1 - b # TODO later\n", nil, true},
		{"TAP todo in a name", "1..1\nnot ok 1 - do the todo\n", deploy.ErrTests, false},
		{"TAP misses one", "1..3\nok 1\nok 2\n", deploy.ErrTests, false},
		{"TAP bails out", "1..1\nok 1\nBail out! no disk\n", deploy.ErrTests, false},
		{"TAP without plan", "ok 1\n", deploy.ErrUnreadable, false},
		{"TAP subtests", "1..1\n    1..2\n    not ok 1\n    ok 2\nok 1 - outer # comment\n", nil, true},
		{"TAP of no test", "1..0 # SKIP all\n", deploy.ErrTests, true},

		{
			"go",
			`{"Action":"start","Package":"p"}` + "\n" + `{"Action":"run","Package":"p","Test":"A"}` + "\nnoise\n" + `{"Action":"pass","Package":"p","Test":"A"}` + "\n" + `{"Action":"pass","Package":"p"}` + "\n",
			nil, true,
		},
		{"go fails", `{"Action":"fail","Package":"p","Test":"A"}` + "\n" + `{"Action":"fail","Package":"p"}`, deploy.ErrTests, false},
		{"go build fails", `{"ImportPath":"p","Action":"build-fail"}` + "\n" + `{"Action":"fail","Package":"p"}`, deploy.ErrTests, false},
		{"go panics", `{"Action":"run","Package":"p","Test":"A"}` + "\n" + `{"Action":"fail","Package":"p"}`, deploy.ErrTests, false},
		{
			"go cut short",
			`{"Action":"start","Package":"p"}` + "\n" + `{"Action":"run","Package":"p","Test":"A"}` + "\n" + `{"Action":"pass","Package":"p","Test":"A"}`,
			deploy.ErrTests, false,
		},
		{"go cut within a line", `{"Action":"pass","Package":"p","Test":"A"}` + "\n" + `{"Act`, deploy.ErrUnreadable, false},
		{"go without tests", `{"Action":"skip","Package":"p"}`, deploy.ErrTests, true},
		{"other JSON", `{"a": 1}`, deploy.ErrUnreadable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "results")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := deploy.Gate{Files: []string{file}}.Check()
			if (c.want == nil) != (err == nil) || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if err := (deploy.Gate{Files: []string{file}, AllowEmpty: true}).Check(); (err == nil) != c.empty {
				t.Errorf("--allow-empty: %v", err)
			}
		})
	}
}

func TestGateFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	green := write("a.xml", "<testsuite tests='1' errors='0' failures='0'/>")
	write("b.xml", "<testsuite name='s' tests='1'><testcase name='broken'><failure/></testcase></testsuite>")
	odd := write("[x].xml", "<testsuite tests='1' errors='0' failures='0'/>")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		files []string
		want  error
	}{
		{[]string{green}, nil}, {[]string{green, green}, nil}, {[]string{odd}, nil},
		{[]string{dir + "/*.xml"}, deploy.ErrTests}, {[]string{dir + "/a*"}, nil},
		{[]string{green, dir + "/none"}, deploy.ErrUnreadable}, {[]string{dir + "/none*"}, deploy.ErrUnreadable},
		{[]string{dir}, deploy.ErrUnreadable},
		{[]string{pipe}, deploy.ErrUnreadable},
	} {
		err := deploy.Gate{Files: c.files}.Check()
		if (c.want == nil) != (err == nil) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.files, err, c.want)
		}
		kind := map[error]error{deploy.ErrTests: compute.ErrConflict, deploy.ErrUnreadable: compute.ErrInvalid}[c.want]
		if c.want != nil && !errors.Is(err, kind) {
			t.Errorf("%q: %v is not of kind %v", c.files, err, kind)
		}
		if c.want == deploy.ErrTests && !strings.Contains(err.Error(), "broken") {
			t.Errorf("the error names no test: %v", err)
		}
	}
}

// TestGateLarge reads results that are larger than anybody wants to hold.
func TestGateLarge(t *testing.T) {
	var b strings.Builder
	b.WriteString("1..20001\n")
	for i := range 20000 {
		fmt.Fprintf(&b, "ok %d - a test\n", i+1)
	}
	b.WriteString("ok 20001 - " + strings.Repeat("x", 3<<20) + "\n")
	got, err := deploy.ReadResults(strings.NewReader(b.String()))
	if err != nil || got.Tests != 20001 || got.Bad != 0 {
		t.Errorf("%d tests, %d bad, %v", got.Tests, got.Bad, err)
	}
}

func FuzzResults(f *testing.F) {
	for _, s := range []string{
		"1..1\nok 1\n", `{"Action":"pass","Package":"p","Test":"A"}`, "<testsuite tests='1' errors='0' failures='0'/>",
		"\ufeff<a>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := deploy.ReadResults(strings.NewReader(text))
		if err == nil && (got.Bad < 0 || got.Tests < 0 || len(got.Failed) > got.Bad) {
			t.Errorf("got = %+v; want an error or got.Bad >= 0 and got.Tests >= 0 and len(got.Failed) <= got.Bad", got)
		}
	})
}
