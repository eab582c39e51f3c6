package junit

import (
	"slices"
	"strings"
	"time"
)

// Status is how a test ended.
type Status string

// The ways in which a test ends.
const (
	Passed  Status = "passed"
	Failed  Status = "failed"  // a check was not true
	Errored Status = "errored" // the test could not be done
	Skipped Status = "skipped"
)

// Totals counts tests. Tests includes Failures, Errors and Skipped.
type Totals struct {
	Tests, Failures, Errors, Skipped int
	Time                             time.Duration
}

// OK reports whether no test failed. There may be no tests.
func (t Totals) OK() bool { return t.Failures == 0 && t.Errors == 0 }

func (t *Totals) add(o Totals) {
	t.Tests, t.Failures, t.Errors, t.Skipped = t.Tests+o.Tests, t.Failures+o.Failures, t.Errors+o.Errors, t.Skipped+o.Skipped
	t.Time += o.Time
}

// Case is one test.
type Case struct {
	Suite, Class, Name, File string
	Time                     time.Duration
	Status                   Status
	Message                  string // of a test that did not pass
	Text                     string // details, up to a limit
}

// FullName returns the name that users know: with the class's name, unless the test's name has it.
func (c *Case) FullName() string {
	where := c.Class
	if where == "" {
		where = c.Suite
	}
	if where == "" || strings.HasPrefix(c.Name, where) {
		return c.Name
	}
	return where + "." + c.Name
}

// FirstLine returns the first line of a failed test's message, at most 300 letters.
func (c *Case) FirstLine() string {
	for _, text := range []string{c.Message, c.Text} {
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				return cutRunes(line, 300)
			}
		}
	}
	return ""
}

// Suite is a named set of tests. Nested suites are listed beside it, with combined names: "outer /
// inner".
type Suite struct {
	Name   string
	Totals // of its own tests, also of those that the file does not list
	Cases  []Case
}

// Report has the suites of one or several files.
type Report struct {
	Totals
	Suites []Suite
	// how many tests are counted but not among the suites' Cases, since they are too many
	Cut int
}

// Add adds another report. prefix goes before the names of its suites, and may be empty.
func (r *Report) Add(o *Report, prefix string) {
	r.Totals.add(o.Totals)
	r.Cut += o.Cut
	for _, s := range o.Suites {
		if s.Name = prefix + s.Name; prefix != "" {
			s.Cases = slices.Clone(s.Cases)
			for i := range s.Cases {
				s.Cases[i].Suite = s.Name
			}
		}
		r.Suites = append(r.Suites, s)
	}
}

// Rewrite replaces each text of the report by f's result.
func (r *Report) Rewrite(f func(string) string) {
	for i := range r.Suites {
		s := &r.Suites[i]
		s.Name = f(s.Name)
		for k := range s.Cases {
			c := &s.Cases[k]
			c.Suite, c.Class, c.Name, c.File, c.Message, c.Text = f(c.Suite), f(c.Class), f(c.Name), f(c.File), f(c.Message), f(c.Text)
		}
	}
}

// Failed returns the first failed tests, at most max.
func (r *Report) Failed(max int) (out []Case) {
	for _, s := range r.Suites {
		for _, c := range s.Cases {
			if c.Status == Failed || c.Status == Errored {
				if len(out) == max {
					return out
				}
				out = append(out, c)
			}
		}
	}
	return out
}

// cutRunes returns a copy of the first n letters.
func cutRunes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return strings.Clone(s[:i])
		}
		n--
	}
	return s
}

// cutBytes returns a copy of the first n bytes or a little fewer.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:n]), "")
}
