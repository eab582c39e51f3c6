// Package artifacts brings back what the command of a run made: reports of tests, which are read
// and added up, and files, which go into the run's record or to a place of the caller's choice.
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
	"github.com/hostler-project/hostler/run/workspace/collect"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	maxReports     = 200      // files of test reports that are read of a run
	maxReportBytes = 64 << 20 // of them together
	maxFiles       = 10_000   // that are brought back
	shownFailures  = 100
	collectTime    = 10 * time.Minute // for all of it
)

// Options say what is brought back.
type Options struct {
	JUnit     []collect.Pattern // reports of tests that the command wrote
	Files     []collect.Pattern // files that it wrote
	OnFailure []collect.Pattern // the same, where it failed
	Require   []collect.Pattern // the same, and each pattern has to match one
	Copies    []Copy
	FailTests bool  // a test that failed makes the run fail
	Most      int64 // bytes of all files together
}

// Copy is a file there that is copied to one here, whoever wrote it.
type Copy struct {
	Remote, Local string
	Pattern       collect.Pattern // that matches Remote
}

// Any reports whether there is something to do.
func (o *Options) Any() bool {
	return len(o.JUnit)+len(o.Files)+len(o.OnFailure)+len(o.Require)+len(o.Copies) > 0
}

// kept are the patterns of the files that go into the record.
func (o *Options) kept(failed bool) []collect.Pattern {
	all := slices.Concat(o.Files, o.Require)
	if failed {
		all = append(all, o.OnFailure...)
	}
	return all
}

// Result is what was brought back.
type Result struct {
	Report   *junit.Report // what the reports of tests say; nil: none was asked for
	Reports  int           // files that were read for it
	Kept     []runlog.Artifact
	Missing  []string // what was required and is not there
	Warnings []string
	Bytes    int64
}

// Tests is what is recorded of the reports of tests; nil: there were none.
func (r *Result) Tests() *runlog.Tests {
	if r.Report == nil {
		return nil
	}
	return Summary(r.Report, r.Reports)
}

// Summary is what is recorded of reports of tests that were read from so many files.
func Summary(r *junit.Report, files int) *runlog.Tests {
	t := &runlog.Tests{Files: files, Tests: r.Tests, Failures: r.Failures, Errors: r.Errors, Skipped: r.Skipped, Seconds: r.Time.Seconds()}
	for _, f := range r.Failed(shownFailures) {
		t.Failed = append(t.Failed, runlog.Failure{Name: f.FullName(), Message: f.FirstLine()})
	}
	return t
}

// Collector collects what one command makes.
type Collector struct {
	Options
	Record *runlog.Run
	Hidden []string // values that are in no report

	before *collect.Listing // what there was before the command; nil: nobody asks
}

// Look notes which files are there before the command, so that what it wrote is told from what was
// there.
func (c *Collector) Look(ctx context.Context, conn compute.Conn, at collect.Place) (err error) {
	patterns := slices.Concat(c.JUnit, c.Files, c.OnFailure, c.Require)
	if len(patterns) == 0 {
		return nil
	}
	c.before, err = collect.List(ctx, conn, at, patterns)
	if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrLost) && !errors.Is(err, compute.ErrCannotStart) {
		err = &compute.Error{Kind: compute.ErrFailed, Err: err}
	}
	return err
}

// Collect brings back what the command made. A problem is a warning.
func (c *Collector) Collect(ctx context.Context, conn compute.Conn, at collect.Place, failed bool) *Result {
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()
	b := &bringing{Collector: c, conn: conn, left: c.Most}
	patterns := append(slices.Clone(c.JUnit), c.kept(failed)...)
	for _, one := range c.Copies {
		patterns = append(patterns, one.Pattern)
	}
	there, err := collect.List(ctx, conn, at, patterns)
	if err != nil {
		b.warn("the files that it made are not known: %s", api.Text(err))
		there = &collect.Listing{}
	}
	var made []collect.File
	made, b.dir = there.Since(c.before), there.Dir
	b.readReports(ctx, match(made, c.JUnit))
	b.keep(ctx, match(made, c.kept(failed)))
	for _, one := range c.Copies {
		b.copy(ctx, one, len(match(there.Files, []collect.Pattern{one.Pattern})) > 0)
	}
	for _, p := range c.Require {
		if wanted := match(made, []collect.Pattern{p}); len(wanted) == 0 || !b.has(wanted) {
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

func match(files []collect.File, patterns []collect.Pattern) (out []collect.File) {
	for _, f := range files {
		if slices.ContainsFunc(patterns, func(p collect.Pattern) bool { return p.Match(f.Path) }) {
			out = append(out, f)
		}
	}
	return out
}

// KeepReport puts a report of tests into the record, and all of it as one file beside that.
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

// warn adds a warning. Only the first are named.
func (b *bringing) warn(format string, args ...any) {
	r := &b.result
	if text := visible.Line(fmt.Sprintf(format, args...)); len(r.Warnings) < 20 {
		r.Warnings = append(r.Warnings, text)
	} else if len(r.Warnings) == 20 {
		r.Warnings = append(r.Warnings, "and more that is not named")
	}
}
