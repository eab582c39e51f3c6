package junit

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxFile is the largest accepted file, in bytes.
	MaxFile = 16 << 20

	maxDepth = 200       // of nested elements
	maxCount = 1_000_000 // tests that a suite may claim
	maxName  = 1 << 10   // bytes of a name that are kept
	maxText  = 32 << 10  // bytes of a message or text that are kept
	// above these bytes of names, nested suites get their own name alone
	maxNames = 1 << 20
)

// maxCases is how many cases of a file are kept. Only tests lower maxCases and maxFile.
var maxCases, maxFile = 200_000, int64(MaxFile)

// errTooLarge is the error for a file above MaxFile.
var errTooLarge = fmt.Errorf("is larger than %d MiB", MaxFile>>20)

// Read reads one whole report. The error says what is wrong and, if known, in which line.
func Read(r io.Reader) (*Report, error) {
	limited := &limit{r: r, left: maxFile}
	text, err := decode(limited)
	if err != nil {
		return nil, err
	}
	dec := xml.NewDecoder(text)
	// the text is UTF-8 already
	dec.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	p := parser{dec: dec, report: &Report{}}
	err = p.run()
	if limited.over {
		return nil, errTooLarge
	}
	if err != nil {
		return nil, err
	}
	p.report.Suites = slices.DeleteFunc(p.report.Suites, func(s Suite) bool { return s.Tests == 0 })
	return p.report, nil
}

// parser reads a file once. Of unfinished elements it keeps the stack of suites and one test.
type parser struct {
	dec    *xml.Decoder
	report *Report
	kept   int // cases kept so far
	named  int // bytes of suites' names so far

	open  []element // the open elements
	names []string  // their names in the file
	name  []string  // the names of the open suites
	at    []int     // these suites' indexes in the report
	said  []Totals  // the counts that they claim
	sub   []Totals  // the counts of suites within them

	test *Case
	text *strings.Builder // of the current element; nil: not kept
}

type element int

const (
	other element = iota
	root
	suite
	testcase
	outcome
)

// run reads the whole file. One report must be in it, with nothing behind it and without
// entities.
func (p *parser) run() error {
	found := false
	for {
		token, err := p.dec.RawToken()
		switch {
		case errors.Is(err, io.EOF) && !found && p.dec.InputOffset() == 0:
			return errors.New("is empty")
		case errors.Is(err, io.EOF) && !found:
			return errors.New("has no report in it")
		case errors.Is(err, io.EOF) && len(p.open) > 0:
			return errors.New("ends before its report does: was it cut short?")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return p.wrong(err)
		}
		switch t := token.(type) {
		case xml.Directive:
			if strings.Contains(strings.ToUpper(string(t)), "<!ENTITY") {
				return p.wrong(errors.New("declares entities, which are not expanded here"))
			}
		case xml.StartElement:
			if len(p.open) == 0 && found {
				return p.wrong(fmt.Errorf("has <%s> behind its report", cutRunes(t.Name.Local, 40)))
			}
			if len(p.open) >= maxDepth {
				return p.wrong(fmt.Errorf("has more than %d elements in each other", maxDepth))
			}
			found = true
			if err := p.start(t); err != nil {
				return p.wrong(err)
			}
			p.names = append(p.names, t.Name.Local)
		case xml.EndElement:
			if len(p.open) == 0 || p.names[len(p.names)-1] != t.Name.Local {
				return p.wrong(fmt.Errorf("closes <%s>, which is not open", cutRunes(t.Name.Local, 40)))
			}
			p.names = p.names[:len(p.names)-1]
			p.end()
		case xml.CharData:
			if p.text != nil && p.text.Len() < maxText {
				p.text.Write(t[:min(len(t), maxText-p.text.Len())])
			}
		}
	}
}

// wrong puts the line into an error of the parser.
func (p *parser) wrong(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		if syntax.Msg == "unexpected EOF" {
			return errors.New("ends before its report does: was it cut short?")
		}
		return fmt.Errorf("line %d: is not XML: %s", syntax.Line, cutRunes(syntax.Msg, 200))
	}
	line, _ := p.dec.InputPos()
	return fmt.Errorf("line %d: %w", line, err)
}

// start takes an opening element. Only the first element of a file must be one of a report;
// unknown ones inside are passed over.
func (p *parser) start(t xml.StartElement) error {
	kind := other
	inside := other
	if n := len(p.open); n > 0 {
		inside = p.open[n-1]
	}
	switch name := t.Name.Local; {
	case len(p.open) == 0 && name == "testsuites":
		kind = root
		p.push("", Totals{}) // so that its own counts matter
		said, err := counts(t)
		if err != nil {
			return err
		}
		p.said[0] = said
	case name == "testsuite" && (len(p.open) == 0 || inside == root || inside == suite):
		kind = suite
		said, err := counts(t)
		if err != nil {
			return err
		}
		p.push(cutBytes(attr(t, "name"), maxName), said)
	case len(p.open) == 0:
		return fmt.Errorf("begins with <%s>, and a JUnit report with <testsuites> or <testsuite>", cutRunes(name, 40))
	case name == "testcase" && (inside == suite || inside == root):
		kind = testcase
		p.test = &Case{
			Suite: p.name[len(p.name)-1], Class: cutBytes(attr(t, "classname"), maxName),
			Name: cutBytes(attr(t, "name"), maxName), File: cutBytes(attr(t, "file"), maxName),
			Time: seconds(attr(t, "time")), Status: Passed,
		}
		// as gtest writes them
		if s := []string{attr(t, "status"), attr(t, "result")}; slices.ContainsFunc(s, isSkipped) {
			p.test.Status = Skipped
		}
	case inside == testcase && (name == "failure" || name == "error" || name == "skipped"):
		kind = outcome
		p.happened(map[string]Status{"failure": Failed, "error": Errored, "skipped": Skipped}[name], t)
	}
	p.open = append(p.open, kind)
	return nil
}

func isSkipped(s string) bool {
	return s == "notrun" || s == "skipped" || s == "disabled" || s == "suppressed"
}

// happened records that a test did not pass. The worst status counts, and of equal ones the first.
func (p *parser) happened(s Status, t xml.StartElement) {
	rank := map[Status]int{Passed: 0, Skipped: 1, Failed: 2, Errored: 3}
	if rank[s] <= rank[p.test.Status] && (p.test.Message != "" || p.test.Text != "" || rank[s] < rank[p.test.Status]) {
		return
	}
	p.test.Status, p.test.Message, p.test.Text = s, cutBytes(attr(t, "message"), maxText), ""
	if p.test.Message == "" {
		p.test.Message = cutBytes(attr(t, "type"), maxName)
	}
	p.text = &strings.Builder{}
}

func (p *parser) end() {
	kind := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	switch kind {
	case outcome:
		if p.text != nil {
			p.test.Text, p.text = strings.ToValidUTF8(p.text.String(), ""), nil
		}
	case testcase:
		p.finish()
	case suite, root:
		p.pop()
	}
}

// finish adds a test to the counts.
func (p *parser) finish() {
	s := &p.report.Suites[p.at[len(p.at)-1]]
	s.Tests++
	s.Time += p.test.Time
	switch p.test.Status {
	case Failed:
		s.Failures++
	case Errored:
		s.Errors++
	case Skipped:
		s.Skipped++
	}
	if p.kept < maxCases {
		p.kept++
		s.Cases = append(s.Cases, *p.test)
	} else {
		p.report.Cut++
	}
	p.test = nil
}

func (p *parser) push(name string, said Totals) {
	if n := len(p.name); n > 0 && p.name[n-1] != "" && p.named < maxNames {
		name = cutBytes(p.name[n-1]+" / "+name, maxName)
	}
	p.name, p.said, p.sub, p.at = append(p.name, name), append(p.said, said), append(p.sub, Totals{}), append(p.at, len(p.report.Suites))
	p.named += len(name)
	p.report.Suites = append(p.report.Suites, Suite{Name: name})
}

// pop closes a suite. Tests that it claims but does not list are counted too, unless its nested
// suites have them. Claims of failures are believed.
func (p *parser) pop() {
	n := len(p.name) - 1
	s, said, sub := &p.report.Suites[p.at[n]], p.said[n], p.sub[n]
	s.Failures, s.Errors = max(s.Failures, said.Failures-sub.Failures), max(s.Errors, said.Errors-sub.Errors)
	s.Skipped = max(s.Skipped, said.Skipped-sub.Skipped)
	s.Tests = max(s.Tests, said.Tests-sub.Tests, s.Failures+s.Errors)
	s.Time = max(s.Time, said.Time-sub.Time)
	whole := s.Totals
	p.report.Totals.add(whole)
	whole.add(sub)
	// it would be removed in the end
	if last := len(p.report.Suites) - 1; s.Tests == 0 && p.at[n] == last {
		p.named -= len(s.Name)
		p.report.Suites[last] = Suite{}
		p.report.Suites = p.report.Suites[:last]
	}
	p.name, p.said, p.sub = p.name[:n], p.said[:n], p.sub[:n]
	if p.at = p.at[:n]; n > 0 {
		p.sub[n-1].add(whole)
	}
}

// counts reads the counts that a suite claims.
func counts(t xml.StartElement) (c Totals, err error) {
	for _, f := range []struct {
		to    *int
		names []string
	}{
		{&c.Tests, []string{"tests"}}, {&c.Failures, []string{"failures"}}, {&c.Errors, []string{"errors"}},
		{&c.Skipped, []string{"skipped", "skips", "disabled"}},
	} {
		for _, name := range f.names {
			text := strings.TrimSpace(attr(t, name))
			if text == "" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > maxCount {
				return c, fmt.Errorf("%s=%q is not a number of tests", name, cutRunes(text, 40))
			}
			*f.to = max(*f.to, n)
		}
	}
	c.Time = seconds(attr(t, "time"))
	return c, nil
}

// seconds reads a time as tools write it, perhaps with commas between thousands. Anything else is
// 0, as nothing depends on it.
func seconds(text string) time.Duration {
	s, err := strconv.ParseFloat(strings.ReplaceAll(strings.TrimSpace(text), ",", ""), 64)
	if err != nil || !(s > 0) || s > 1e8 {
		return 0
	}
	return time.Duration(math.Round(s * float64(time.Second)))
}

func attr(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// limit reads a number of bytes, and notes whether there were more.
type limit struct {
	r    io.Reader
	left int64
	over bool
}

// Read ends after the limit; over says that there was more.
func (l *limit) Read(p []byte) (int, error) {
	if l.over {
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		l.over = true
		return n - 1, io.EOF
	}
	return n, err
}
