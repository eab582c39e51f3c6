// Package artifacts brings back what a run's command made. Reports of tests are read and summed up.
// Files go into the run's record, or where the caller wants them.
package artifacts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/junit"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	maxReports     = 200      // report files of one run
	maxReportBytes = 64 << 20 // bytes of all these together
	maxFiles       = 10_000   // files to bring back
	shownFailures  = 100
	collectTime    = 10 * time.Minute // for everything together
)

// Options say what to bring back.
type Options struct {
	JUnit     []newfiles.Pattern // reports of tests
	Files     []newfiles.Pattern // other files
	OnFailure []newfiles.Pattern // files, if the command failed
	Require   []newfiles.Pattern // files; each pattern must match one
	Copies    []Copy
	FailTests bool  // a failed test fails the run
	Most      int64 // the bytes of all files together
}

// Copy is a remote file that is copied to a local one, even if the command did not write it.
type Copy struct {
	Remote, Local string
	Pattern       newfiles.Pattern // matches Remote
}

// Any reports whether there is anything to bring back.
func (o *Options) Any() bool {
	return len(o.JUnit)+len(o.Files)+len(o.OnFailure)+len(o.Require)+len(o.Copies) > 0
}

// kept returns the patterns of the files that go into the record.
func (o *Options) kept(failed bool) []newfiles.Pattern {
	all := slices.Concat(o.Files, o.Require)
	if failed {
		all = append(all, o.OnFailure...)
	}
	return all
}

// Result says what was brought back.
type Result struct {
	Report   *junit.Report // the sum of the reports; nil: none was wanted
	Reports  int           // how many files were read for it
	Kept     []runlog.Artifact
	Missing  []string // required patterns that match no file
	Warnings []string
	Bytes    int64
}

// Tests returns the summary of the tests for the record; nil if there are no reports.
func (r *Result) Tests() *runlog.Tests {
	if r.Report == nil {
		return nil
	}
	return Summary(r.Report, r.Reports)
}

// Summary returns the summary of a report, which was read from so many files.
func Summary(r *junit.Report, files int) *runlog.Tests {
	t := &runlog.Tests{Files: files, Tests: r.Tests, Failures: r.Failures, Errors: r.Errors, Skipped: r.Skipped, Seconds: r.Time.Seconds()}
	for _, f := range r.Failed(shownFailures) {
		t.Failed = append(t.Failed, runlog.Failure{Name: f.FullName(), Message: f.FirstLine()})
	}
	return t
}

// Collector brings back what one command makes.
type Collector struct {
	Options
	Record *runlog.Run
	Hidden []string // values to mask in reports

	before *newfiles.Listing // the files before the command; nil: not needed
}

// ListBefore lists the files that exist before the command, so that Collect can tell the new ones.
func (c *Collector) ListBefore(ctx context.Context, conn compute.Conn, at newfiles.Place) (err error) {
	patterns := slices.Concat(c.JUnit, c.Files, c.OnFailure, c.Require)
	if len(patterns) == 0 {
		return nil
	}
	c.before, err = newfiles.List(ctx, conn, at, patterns)
	if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrLost) && !errors.Is(err, compute.ErrCannotStart) {
		err = &compute.Error{Kind: compute.ErrFailed, Err: err}
	}
	return err
}

// Collect brings back what the command made. Problems become warnings.
func (c *Collector) Collect(ctx context.Context, conn compute.Conn, at newfiles.Place, failed bool) *Result {
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()
	b := &collection{Collector: c, conn: conn, left: c.Most}
	patterns := append(slices.Clone(c.JUnit), c.kept(failed)...)
	for _, one := range c.Copies {
		patterns = append(patterns, one.Pattern)
	}
	there, err := newfiles.List(ctx, conn, at, patterns)
	if err != nil {
		b.warn("the files that it made are not known: %s", api.Text(err))
		there = &newfiles.Listing{}
	}
	var made []newfiles.File
	made, b.dir = there.Since(c.before), there.Dir
	b.readReports(ctx, match(made, c.JUnit))
	b.keep(ctx, match(made, c.kept(failed)))
	for _, one := range c.Copies {
		b.copy(ctx, one, len(match(there.Files, []newfiles.Pattern{one.Pattern})) > 0)
	}
	for _, p := range c.Require {
		if wanted := match(made, []newfiles.Pattern{p}); len(wanted) == 0 || !b.has(wanted) {
			b.result.Missing = append(b.result.Missing, p.String())
		}
	}
	r := &b.result
	c.Record.Note(func(rec *runlog.Record) {
		rec.Artifacts, rec.Warnings, rec.Bytes.Collected = r.Kept, r.Warnings, r.Bytes
	})
	if r.Report != nil {
		KeepReport(c.Record, r.Report, r.Tests())
	}
	return r
}

func match(files []newfiles.File, patterns []newfiles.Pattern) (out []newfiles.File) {
	for _, f := range files {
		if slices.ContainsFunc(patterns, func(p newfiles.Pattern) bool { return p.Match(f.Path) }) {
			out = append(out, f)
		}
	}
	return out
}

// KeepReport puts the summary of a report into the record, and the whole report into a file beside
// it.
func KeepReport(rec *runlog.Run, report *junit.Report, t *runlog.Tests) {
	rec.Note(func(rec *runlog.Record) { rec.Tests = t })
	file := rec.File("junit.xml")
	if t.Files == 0 || file == "" {
		return
	}
	var text bytes.Buffer
	err := junit.Write(&text, report)
	if err == nil {
		err = os.WriteFile(file, text.Bytes(), 0o600)
	}
	if err != nil {
		rec.Note(func(rec *runlog.Record) {
			rec.Warnings = append(rec.Warnings, "the merged report of tests is not kept: "+err.Error())
		})
	}
}

// warn adds a warning. It drops all but the first ones.
func (b *collection) warn(format string, args ...any) {
	r := &b.result
	if text := visible.Line(fmt.Sprintf(format, args...)); len(r.Warnings) < 20 {
		r.Warnings = append(r.Warnings, text)
	} else if len(r.Warnings) == 20 {
		r.Warnings = append(r.Warnings, "and more that is not named")
	}
}
