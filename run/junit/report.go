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
	Failed  Status = "failed"  // what it checks is not so
	Errored Status = "errored" // it could not check it
	Skipped Status = "skipped"
)

// Totals counts tests. Failures, Errors and Skipped are among Tests.
type Totals struct {
	Tests, Failures, Errors, Skipped int
	Time                             time.Duration
}

// OK reports whether no test failed. There may have been none.
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
	Message                  string // of a test that did not pass: in short
	Text                     string // and at length, as far as that is kept
}

// FullName is the name by which people find a test: the class's too, where it does not stand in the
// name already.
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

// FirstLine is the first line of what is said of a test that did not pass, at most 300 letters of
// it.
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

// Suite is a named set of tests. Suites within suites stand beside them, by their names together:
// "outer / inner".
type Suite struct {
	Name   string
	Totals // of its own tests; they may be more than Cases, where the file does not name them all
	Cases  []Case
}

// Report is what a file, or several together, say.
type Report struct {
	Totals
	Suites []Suite
	// so many tests are counted and not among the suites' Cases, as they would be too many to keep
	Cut int
}

// Add counts another report's tests too. prefix, which may be empty, goes before the names of its
// suites.
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

// Rewrite puts what f makes of it in the place of each text that the report has.
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

// Failed returns the first tests that failed, max at most.
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

// cutRunes returns the first n letters, in memory of their own.
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

// cutBytes returns the first n bytes or a little fewer, in memory of their own.
func cutBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:n]), "")
}
