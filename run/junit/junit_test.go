package junit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/hostler-project/hostler/run/junit"
)

func read(t *testing.T, text string) *junit.Report {
	t.Helper()
	r, err := junit.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%.500s", err, text)
	}
	return r
}

func TestTotals(t *testing.T) {
	for _, test := range []struct {
		name, text                       string
		tests, failures, errors, skipped int
	}{
		{"one suite", `<testsuite tests="2"><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>`, 2, 1, 0, 0},
		{"only attributes", `<testsuite tests="4" errors="0" failures="0"/>`, 4, 0, 0, 0},
		{"only attributes, one failed", `<testsuite failures="2"/>`, 2, 2, 0, 0},
		{"no test", `<testsuites/>`, 0, 0, 0, 0},
		{
			"several suites",
			`<testsuites><testsuite><testcase name="a"/></testsuite><testsuite errors="1" tests="1"/></testsuites>`, 2,
			0, 1, 0,
		},
		{
			"the second suite",
			`<testsuites><testsuite tests="1" failures="0" errors="0"/><testsuite tests="1" failures="1" errors="0"/></testsuites>`,
			2, 1, 0, 0,
		},
		{"nested", `<testsuites><testsuite name="o" tests="3" failures="1"><testcase name="a"/><testsuite name="i" tests="2" failures="1"><testcase name="b"/>
			<testcase name="c"><failure>x</failure></testcase></testsuite></testsuite></testsuites>`, 3, 1, 0, 0},
		{
			"nested, the outer counts its own",
			`<testsuite name="o" tests="1" failures="0"><testcase name="a"/><testsuite name="i" tests="2" failures="2"/></testsuite>`,
			3, 2, 0, 0,
		},
		{"the root alone says so", `<testsuites tests="3" errors="1"><testsuite><testcase name="a"/></testsuite></testsuites>`, 3, 0, 1, 0},
		{
			"skipped in several ways",
			`<testsuite skipped="2"><testcase><skipped/></testcase><testcase status="notrun"/><testcase result="skipped"/></testsuite>`,
			3, 0, 0, 3,
		},
		{"error and failure", `<testsuite><testcase><failure/><error/></testcase></testsuite>`, 1, 0, 1, 0},
		{"flaky passes", `<testsuite><testcase><flakyFailure message="x"/></testcase></testsuite>`, 1, 0, 0, 0},
		{
			"properties and output",
			`<testsuite><properties><property ` +
				`name="failure"/></properties><system-out><![CDATA[<failure/>]]></system-out><testcase><system-err>x</system-err></testcase></testsuite>`,
			1, 0, 0, 0,
		},
		{"what is no test's is none", `<testsuite><properties><testcase><failure/></testcase></properties></testsuite>`, 0, 0, 0, 0},
		{
			"a plain doctype",
			`<!DOCTYPE testsuites SYSTEM "http://127.0.0.1:1/x.dtd"><testsuites><testsuite tests="1"/></testsuites>`, 1,
			0, 0, 0,
		},
		{"byte order mark", "\ufeff<testsuite tests=\"1\"/>\n", 1, 0, 0, 0},
		{"a name space", `<testsuite xmlns="urn:x" xmlns:a="urn:a" a:tests="7" tests="1"/>`, 1, 0, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := read(t, test.text)
			want := junit.Totals{Tests: test.tests, Failures: test.failures, Errors: test.errors, Skipped: test.skipped}
			if r.Totals != want || r.OK() != (test.failures+test.errors == 0) {
				t.Errorf("%+v, want %+v", r.Totals, want)
			}
		})
	}
}

func TestFailed(t *testing.T) {
	r := read(t, `<?xml version="1.0"?>
<testsuites>
 <testsuite name="outer"><testsuite name="inner">
  <testcase classname="pkg.Class" name="one" time="1,001.5"><failure message="&#10;  want 1 &lt; 2&#10;more" type="T">trace</failure><failure message="second"/></testcase>
  <testcase name="two"><error type="Boom"><![CDATA[
at x]]></error></testcase>
  <testcase classname="C" name="C.three"><failure>only text
here</failure></testcase>
  <testcase name="four"><failure/></testcase>
 </testsuite></testsuite>
</testsuites>`)
	var got []string
	for _, c := range r.Failed(100) {
		got = append(got, fmt.Sprintf("%s %s: %s", c.Status, c.FullName(), c.FirstLine()))
	}
	want := []string{
		"failed pkg.Class.one: want 1 < 2", "errored outer / inner.two: Boom", "failed C.three: only text",
		"failed outer / inner.four: ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(r.Failed(2)); n != 2 {
		t.Errorf("%d of at most 2", n)
	}
	if r.Time != 1001500*time.Millisecond {
		t.Errorf("took %v", r.Time)
	}
}

func TestBadFiles(t *testing.T) {
	junit.Limit(t, 10_000, 100)
	deep := strings.Repeat("<testsuite>", 300) + strings.Repeat("</testsuite>", 300)
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "is empty"},
		{"blank", "  \n", "has no report in it"},
		{"only a declaration", `<?xml version="1.0"?>`, "has no report in it"},
		{"cut between tests", `<testsuite><testcase/>`, "was it cut short"},
		{"cut in a tag", `<testsuite><testcase na`, "was it cut short"},
		{"cut in a failure", `<testsuite><testcase><failure>x`, "was it cut short"},
		{"no XML", "ok 1 - a\n<", "was it cut short"},
		{"HTML", "<html><body></body></html>", "begins with <html>"},
		{"other XML", `<coverage tests="1"/>`, "begins with <coverage>"},
		{"two reports", `<testsuite/><testsuite failures="1"/>`, "behind its report"},
		{"crossed", "<testsuite>\n<testcase></testsuite></testcase>", "line 2: closes <testsuite>"},
		{
			"entities",
			`<!DOCTYPE a [<!ENTITY x "boom"><!ENTITY y "&x;&x;">]><testsuite><testcase name="&y;"/></testsuite>`,
			"declares entities",
		},
		{"an outside entity", `<!DOCTYPE a [<!entity x SYSTEM "file:///etc/passwd">]><testsuite/>`, "declares entities"},
		{"an unknown entity", "<testsuite>\n\n<testcase name=\"&xxe;\"/></testsuite>", "line 3: is not XML: invalid character entity"},
		{"too deep", deep, "in each other"},
		{"a count that is none", `<testsuite failures="many"/>`, `failures="many" is not a number`},
		{"a negative count", `<testsuite failures="-1"/>`, `failures="-1" is not a number`},
		{"a count beyond all", `<testsuite tests="99999999999999999999"/>`, "is not a number"},
		{"an unknown encoding", `<?xml version="1.0" encoding="EBCDIC-CP-US"?><testsuite/>`, "ebcdic"},
		{"too large", "<testsuite>" + strings.Repeat(" ", 10_000) + "</testsuite>", "larger than 16 MiB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := junit.Read(strings.NewReader(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, %v; want an error with %q", r, err, test.want)
			}
		})
	}
	broken := errors.New("the disk is gone")
	if _, err := junit.Read(io.MultiReader(strings.NewReader("<testsuite>"), errorReader{broken})); !errors.Is(err, broken) {
		t.Errorf("a read that fails: %v", err)
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

func TestEncodings(t *testing.T) {
	const text = `<testsuite><testcase name="zürich €"/></testsuite>`
	sixteen := func(order binary.AppendByteOrder, mark bool) string {
		runes := []rune(text)
		if mark {
			runes = append([]rune{0xfeff}, runes...)
		}
		var b []byte
		for _, u := range utf16.Encode(runes) {
			b = order.AppendUint16(b, u)
		}
		return string(b)
	}
	for name, data := range map[string]string{
		"utf-8":                  `<?xml version="1.0" encoding="utf-8"?>` + text,
		"utf-16, little, marked": sixteen(binary.LittleEndian, true),
		"utf-16, big, marked":    sixteen(binary.BigEndian, true),
		"utf-16, little":         sixteen(binary.LittleEndian, false),
		"utf-16, big":            sixteen(binary.BigEndian, false),
		"windows-1252":           `<?xml version='1.0' encoding='Windows-1252'?>` + strings.NewReplacer("ü", "\xfc", "€", "\x80").Replace(text),
		"iso-8859-15":            `<?xml version="1.0" encoding="ISO-8859-15"?>` + strings.NewReplacer("ü", "\xfc", "€", "\xa4").Replace(text),
	} {
		if got := read(t, data).Suites[0].Cases[0].Name; got != "zürich €" {
			t.Errorf(`%s: got = %q; want got == "zürich €"`, name, got)
		}
	}
	r := read(t, "<testsuite><testcase name='a\x1b[31m\xff'><failure message='\x00'>\x07</failure></testcase></testsuite>")
	if got := r.Suites[0].Cases[0].Name; got != "a\ufffd[31m\ufffd" {
		t.Errorf("forbidden letters: %q", got)
	}
}

// TestSize: a file of just the size that may be is read.
func TestSize(t *testing.T) {
	junit.Limit(t, 1000, 100)
	whole := "<testsuite tests='1'>"
	whole += strings.Repeat(" ", 1000-len(whole)-len("</testsuite>")) + "</testsuite>"
	if r := read(t, whole); r.Tests != 1 {
		t.Errorf("r.Totals = %+v; want r.Tests == 1", r.Totals)
	}
	if _, err := junit.Read(strings.NewReader(whole + " ")); !errors.Is(err, junit.ErrTooLarge) {
		t.Errorf("a byte more: %v", err)
	}
}

func TestMergeAndWrite(t *testing.T) {
	a := read(t, `<testsuite name="s" time="2"><testcase name="a" classname="C" time="0.5" file="a.c"/><testcase name="&lt;b&gt; &amp; &quot;&#9;"><failure message="m&#10;n">t]]&gt;
u</failure></testcase></testsuite>`)
	b := read(t, `<testsuite name="s" tests="5" errors="1"><testcase name="a"><skipped message="not today"/></testcase></testsuite>`)
	var sum junit.Report
	sum.Add(a, "[1/2] ")
	sum.Add(b, "[2/2] ")
	if want := (junit.Totals{Tests: 7, Failures: 1, Errors: 1, Skipped: 1, Time: 2 * time.Second}); sum.Totals != want {
		t.Errorf("%+v, want %+v", sum.Totals, want)
	}
	var out bytes.Buffer
	if err := junit.Write(&out, &sum); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&sum, read(t, out.String())); diff != "" {
		t.Errorf("read again: %s\n%s", diff, &out)
	}
	if sum.Suites[0].Name != "[1/2] s" || a.Suites[0].Name != "s" {
		t.Errorf("names %q, %q", sum.Suites[0].Name, a.Suites[0].Name)
	}
	if err := junit.Write(brokenWriter{}, &sum); err == nil {
		t.Error("a writer that fails is not told")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

// TestBounds: what is kept of a file does not grow with it.
func TestBounds(t *testing.T) {
	const n = 1100
	junit.Limit(t, junit.MaxFile, 1000)
	r := read(t, "<testsuite>"+strings.Repeat("<testcase/>", n)+"</testsuite>")
	if r.Tests != n || r.Cut != n-len(r.Suites[0].Cases) || r.Cut != 100 {
		t.Errorf("%d tests, %d kept, %d cut", r.Tests, len(r.Suites[0].Cases), r.Cut)
	}
	long := strings.Repeat("é", 1<<17)
	r = read(
		t,
		`<testsuite name="`+long+`"><testcase name="`+long+`"><failure message="`+long+`">`+long+`</failure></testcase></testsuite>`,
	)
	c := r.Suites[0].Cases[0]
	if len(c.Name) > 1024 || len(c.Message)+len(c.Text) > 64<<10 || len([]rune(c.FirstLine())) != 300 ||
		strings.Contains(c.Text, "\ufffd") {
		t.Errorf("kept: %d, %d, %d, %d", len(c.Name), len(c.Message), len(c.Text), len(c.FirstLine()))
	}
}

// TestNamesWithin: suites within one of a long name do not each keep that name, where they are
// many; their tests count all the same.
func TestNamesWithin(t *testing.T) {
	const n = 10_000
	outer := strings.Repeat("x", 1000)
	kept := func(r *junit.Report) (sum int) {
		for _, s := range r.Suites {
			sum += len(s.Name)
		}
		return sum
	}
	r := read(t, `<testsuite name="`+outer+`">`+strings.Repeat(`<testsuite name="y" tests="1"/>`, n)+`</testsuite>`)
	if r.Tests != n || len(r.Suites) != n || kept(r) > 1<<20+n+2000 {
		t.Errorf("%d tests in %d suites, with %d bytes of names", r.Tests, len(r.Suites), kept(r))
	}
	if first, last := r.Suites[0].Name, r.Suites[n-1].Name; first != outer+" / y" || last != "y" {
		t.Errorf("the first is %.20q..., the last %.20q...", first, last)
	}
	r = read(t, `<testsuite name="`+outer+`">`+strings.Repeat(`<testsuite name="y"/>`, n)+`<testsuite name="z" tests="1"/></testsuite>`)
	if r.Tests != 1 || len(r.Suites) != 1 || r.Suites[0].Name != outer+" / z" {
		t.Errorf("after many that are empty: %d tests, %d suites", r.Tests, len(r.Suites))
	}
}

// TestRewrite: no text of a report is left as it was.
func TestRewrite(t *testing.T) {
	r := read(t, `<testsuite name="s"><testcase name="s" classname="s" file="s"><failure message="s">s</failure></testcase></testsuite>`)
	r.Rewrite(func(s string) string { return strings.ReplaceAll(s, "s", "***") })
	const w = "***"
	want := []junit.Suite{{
		Name: w, Totals: junit.Totals{Tests: 1, Failures: 1},
		Cases: []junit.Case{{Suite: w, Class: w, Name: w, File: w, Status: junit.Failed, Message: w, Text: w}},
	}}
	if diff := cmp.Diff(want, r.Suites); diff != "" {
		t.Error(diff)
	}
}

// FuzzRead: whatever a file has, it is an error or a report that is written and read as the same.
func FuzzRead(f *testing.F) {
	f.Add(
		[]byte(
			`<testsuites tests="1"><testsuite name="a"><testcase name="x" time="1"><failure ` +
				`message="m">t</failure></testcase></testsuite></testsuites>`,
		),
	)
	f.Add([]byte("<?xml version='1.0' encoding='latin1'?><testsuite failures='1'><testsuite/></testsuite>"))
	f.Add([]byte("\xff\xfe<\x00a\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := junit.Read(bytes.NewReader(data))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := junit.Write(&out, r); err != nil {
			t.Fatal(err)
		}
		again, err := junit.Read(&out)
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, &out)
		}
		if again.Tests != r.Tests || again.Failures != r.Failures || again.Errors != r.Errors ||
			again.Skipped != r.Skipped || len(again.Failed(1<<30)) != len(r.Failed(1<<30)) {
			t.Errorf("%+v, and read again %+v\n%s", r.Totals, again.Totals, &out)
		}
	})
}
