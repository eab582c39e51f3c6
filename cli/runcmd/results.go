package runcmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/junit"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/collect"
)

const (
	maxReports      = 200      // files of test reports that are read of a run
	maxReportBytes  = 64 << 20 // of them together
	maxArtifacts    = 10_000   // files that are brought back
	shownFailures   = 100
	artifactDefault = 1 << 30          // bytes of a run's, unless hostler.conf says otherwise
	collectTime     = 10 * time.Minute // for all of it
)

// resultOptions say what is brought back from a run.
type resultOptions struct {
	junit, artifacts, onFailure, require []string
	get                                  []string
	failTests                            bool
}

func (o *resultOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(
		&o.junit, "junit", nil,
		"read the reports of tests that match `GLOB` and that the command wrote, and show what failed; may be repeated",
	)
	f.BoolVar(&o.failTests, "fail-on-test-failures", false, "exit with 1 if a test failed, though the command went well")
	f.StringArrayVar(&o.artifacts, "artifact", nil, "bring back the files that match `GLOB` and that the command wrote; may be repeated")
	f.StringArrayVar(
		&o.onFailure, "artifact-on-failure", nil,
		"bring back the files that match `GLOB`, if the command failed or its time had passed; may be repeated",
	)
	f.StringArrayVar(
		&o.require, "require", nil,
		"bring back the files that match `GLOB`, and exit with 122 if there is none though the command went well; may be repeated",
	)
	f.StringArrayVar(&o.get, "get", nil, "copy a file there to one here, `REMOTE=LOCAL`, whoever wrote it; may be repeated")
}

// got is one --get.
type got struct {
	remote, local string
	there         collect.Pattern
}

// results is what a run brings back, checked before anything is asked of anybody.
type results struct {
	junit, artifacts, onFailure, require []collect.Pattern
	get                                  []got
	failTests                            bool
	most                                 int64 // bytes of all artifacts
}

// any tells whether there is something to do.
func (w *results) any() bool {
	return len(w.junit)+len(w.artifacts)+len(w.onFailure)+len(w.require)+len(w.get) > 0
}

// newResults checks the options, and what hostler.conf adds to them.
func newResults(o resultOptions, s resultsSection) (w results, err error) {
	w.failTests, w.most = o.failTests, cmp.Or(s.ArtifactSize, artifactDefault)
	for _, list := range []struct {
		to     *[]collect.Pattern
		option string
		globs  []string
	}{
		{&w.junit, "--junit", o.junit}, {&w.junit, "[results] junit", s.JUnit},
		{&w.artifacts, "--artifact", o.artifacts}, {&w.artifacts, "[results] artifacts", s.Artifacts},
		{&w.onFailure, "--artifact-on-failure", o.onFailure}, {&w.require, "--require", o.require},
	} {
		for _, g := range list.globs {
			p, err := collect.Parse(g)
			if err != nil {
				return w, fault.Invalid("", "%s %v", list.option, err)
			}
			*list.to = append(*list.to, p)
		}
	}
	if w.failTests && len(w.junit) == 0 {
		return w, fault.Invalid("--junit 'reports/*.xml'", "--fail-on-test-failures: no --junit says where the reports are")
	}
	taken := map[string]string{}
	for _, g := range o.get {
		remote, local, ok := strings.Cut(g, "=")
		if !ok || remote == "" || local == "" {
			return w, fault.Invalid("--get build/app=app", "--get %s: not REMOTE=LOCAL", g)
		}
		there, err := collect.Literal(remote)
		if err != nil {
			return w, fault.Invalid("", "--get %v", err)
		}
		if local, err = landing(local, remote); err != nil {
			return w, fault.Invalid("", "--get %s: %v", g, err)
		}
		if other, ok := taken[local]; ok {
			return w, fault.Invalid("", "--get %s: %s would be written to the same file, %s", g, other, local)
		}
		taken[local] = remote
		w.get = append(w.get, got{path.Clean(remote), local, there})
	}
	return w, nil
}

// landing is the file that something is copied to: in a directory it has the name that it has
// there.
func landing(local, remote string) (string, error) {
	info, err := os.Stat(local)
	if err == nil && info.IsDir() || strings.HasSuffix(local, "/") {
		local = filepath.Join(local, path.Base(remote))
		info, err = os.Stat(local)
	}
	if local, aerr := filepath.Abs(local); aerr == nil && errors.Is(err, fs.ErrNotExist) {
		dir, err := os.Stat(filepath.Dir(local))
		if err == nil && !dir.IsDir() {
			err = errors.New("is not a directory")
		}
		if err != nil {
			return "", fmt.Errorf("%s: there is no such directory here", filepath.Dir(local))
		}
		return local, nil
	}
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is here and not a regular file", local)
	}
	if err != nil {
		return "", err
	}
	return filepath.Abs(local)
}

// harvest is what a run brings back.
type harvest struct {
	want results
	// what there was before the command, of that which it may make; nil: nobody asks
	before  *collect.Listing
	report  *junit.Report // what the reports of tests say; nil: none was asked for
	reports int           // so many
}

// look notes which files are there before the command, so that what it wrote is told from what was
// there.
func (r *runner) look(ctx context.Context, conn compute.Conn, cmd *compute.Command) (*collect.Listing, error) {
	patterns := slices.Concat(r.back.want.junit, r.back.want.artifacts, r.back.want.onFailure, r.back.want.require)
	if len(patterns) == 0 {
		return nil, nil
	}
	defer phase(&r.phases.Collect)()
	l, err := collect.List(ctx, conn, collect.Place{Dir: cmd.Dir, User: cmd.User}, patterns)
	if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrLost) && !errors.Is(err, compute.ErrCannotStart) {
		err = &compute.Error{ID: r.Instance.ID, Kind: compute.ErrFailed, Err: err}
	}
	return l, err
}

// collect brings back what the command made, and says how the run ended with that. A problem here
// is a warning, unless something was required.
func (r *runner) collect(ctx context.Context, conn compute.Conn, cmd *compute.Command, err error) error {
	var own term.Exit
	if !r.back.want.any() || r.Begun.IsZero() || err != nil && !errors.As(err, &own) {
		return err // it has not run, or nobody knows whether it still does
	}
	defer phase(&r.phases.Collect)()
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, collectTime)
	defer cancel()
	c := &collection{harvest: &r.back, app: r.App, rec: r.rec, instance: r.Instance.ID, conn: conn, left: r.back.want.most}
	var found []collect.File
	patterns := slices.Concat(r.back.want.junit, r.back.want.artifacts, r.back.want.require)
	if err != nil {
		patterns = slices.Concat(patterns, r.back.want.onFailure)
	}
	for _, g := range r.back.want.get {
		patterns = append(patterns, g.there)
	}
	there, lerr := collect.List(ctx, conn, collect.Place{Dir: cmd.Dir, User: cmd.User}, patterns)
	if lerr != nil {
		c.warn("the files that it made are not known: %s", term.ErrorText(lerr))
		there = &collect.Listing{}
	}
	found, c.dir = there.Since(r.back.before), there.Dir
	c.read(ctx, match(found, r.back.want.junit))
	keep := slices.Concat(r.back.want.artifacts, r.back.want.require)
	if err != nil {
		keep = slices.Concat(keep, r.back.want.onFailure)
	}
	c.keep(ctx, match(found, keep))
	for _, g := range r.back.want.get {
		c.get(ctx, g, len(match(there.Files, []collect.Pattern{g.there})) > 0)
	}
	for _, p := range r.back.want.require {
		if wanted := match(found, []collect.Pattern{p}); len(wanted) == 0 || !c.has(wanted) {
			c.missing = append(c.missing, p.String())
		}
	}
	r.rec.Note(func(rec *runlog.Record) {
		rec.Artifacts, rec.Warnings, rec.Bytes.Collected = c.kept, c.warnings, c.bytes
	})
	if c.report != nil {
		r.keepReport(c.report, recordedTests(c.report, c.reports))
	}
	c.tell()
	switch {
	case err == nil && whole.Err() != nil:
		return whole.Err()
	case err == nil && len(c.missing) > 0:
		_ = term.Printf(
			r.App.Err, "%s: %s: the command went well, and this is missing: %s\n", r.App.Program, r.Instance.ID,
			term.Line(strings.Join(c.missing, ", ")),
		)
		return term.Exit(term.ExitMissing)
	case err == nil && r.back.want.failTests && c.report != nil && !c.report.OK():
		return term.Exit(1)
	}
	return err
}

func match(files []collect.File, patterns []collect.Pattern) (out []collect.File) {
	for _, f := range files {
		if slices.ContainsFunc(patterns, func(p collect.Pattern) bool { return p.Match(f.Path) }) {
			out = append(out, f)
		}
	}
	return out
}

// collection is what was brought back so far.
type collection struct {
	*harvest
	app      *cli.App
	rec      *recording
	instance compute.ID
	conn     compute.Conn
	dir      string // there
	left     int64  // bytes that may still come
	bytes    int64
	kept     []runlog.Artifact
	missing  []string
	warnings []string
}

// warn tells of what could not be had, and of the first of these only, where there are many.
func (c *collection) warn(format string, args ...any) {
	if text := term.Line(fmt.Sprintf(format, args...)); len(c.warnings) < 20 {
		c.warnings = append(c.warnings, text)
	} else if len(c.warnings) == 20 {
		c.warnings = append(c.warnings, "and more that is not named")
	}
}

// reports reads the reports of tests.
func (c *collection) read(ctx context.Context, files []collect.File) {
	if len(c.want.junit) == 0 {
		return
	}
	c.report = &junit.Report{}
	if len(files) > maxReports {
		c.warn("%d reports of tests: only %d of them are read", len(files), maxReports)
		files = files[:maxReports]
	}
	left := int64(maxReportBytes)
	for _, f := range files {
		if left -= f.Size; left < 0 {
			c.warn(
				"%s and what comes after it is not read: the reports of tests have more than %d MiB together", f.Path,
				maxReportBytes>>20,
			)
			return
		}
		var text bytes.Buffer
		n, err := collect.Fetch(ctx, c.conn, c.dir, f.Path, junit.MaxFile, &text)
		c.bytes += n
		var one *junit.Report
		if err == nil {
			one, err = junit.Read(&text)
		}
		if err != nil {
			c.warn("%s: %s", f.Path, term.ErrorText(err))
			continue
		}
		if hidden := c.rec.hidden; len(hidden) > 0 { // a test that fails likes to say what it got
			one.Rewrite(func(s string) string { return redact.String(s, hidden) })
		}
		c.reports++
		c.report.Add(one, "")
	}
	if c.reports == 0 && len(c.warnings) == 0 {
		c.warn("the command wrote no report of tests that matches --junit")
	}
}

// recordedTests is what is recorded of reports of tests.
func recordedTests(r *junit.Report, files int) *runlog.Tests {
	t := &runlog.Tests{Files: files, Tests: r.Tests, Failures: r.Failures, Errors: r.Errors, Skipped: r.Skipped, Seconds: r.Time.Seconds()}
	for _, f := range r.Failed(shownFailures) {
		t.Failed = append(t.Failed, runlog.Failure{Name: f.FullName(), Message: f.FirstLine()})
	}
	return t
}

// keepReport puts it into the record, and all of it as one file beside that.
func (r *runner) keepReport(report *junit.Report, t *runlog.Tests) {
	r.rec.Note(func(rec *runlog.Record) { rec.Tests = t })
	file := r.rec.File("junit.xml")
	if t.Files == 0 || file == "" {
		return
	}
	var text bytes.Buffer
	err := junit.Write(&text, report)
	if err == nil {
		err = os.WriteFile(file, text.Bytes(), 0o600)
	}
	if err != nil {
		r.rec.Note(func(rec *runlog.Record) {
			rec.Warnings = append(rec.Warnings, "the merged report of tests is not kept: "+err.Error())
		})
	}
}

// keep brings files back into the record.
func (c *collection) keep(ctx context.Context, files []collect.File) {
	dir := c.rec.Artifacts()
	if len(files) == 0 {
		return
	}
	if dir == "" {
		c.warn("%s not brought back: the run has no record", term.Counted(len(files), "file"))
		return
	}
	err := os.MkdirAll(dir, 0o700)
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(dir)
	}
	if err != nil {
		c.warn("%s not brought back: %v", term.Counted(len(files), "file"), err)
		return
	}
	defer root.Close()
	for i, f := range files {
		if i == maxArtifacts || f.Size > c.left {
			c.warn("%s and what comes after it is not brought back: %s", f.Path, map[bool]string{
				true: "there are too many files", false: "all together are more than " + term.ShortSize(c.want.most)}[i == maxArtifacts])
			return
		}
		if err := c.keepOne(ctx, root, f.Path); err != nil {
			c.warn("%s: %s", f.Path, term.ErrorText(err))
			continue
		}
	}
}

// has reports whether all of these were brought back.
func (c *collection) has(files []collect.File) bool {
	kept := map[string]bool{}
	for _, a := range c.kept {
		kept[a.Path] = true
	}
	return !slices.ContainsFunc(files, func(f collect.File) bool { return !kept[f.Path] })
}

func (c *collection) keepOne(ctx context.Context, root *os.Root, name string) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := collect.Fetch(ctx, c.conn, c.dir, name, c.left, file)
	c.left, c.bytes = c.left-n, c.bytes+n
	if err = errors.Join(err, file.Close()); err != nil {
		_ = root.Remove(name)
		return err
	}
	c.kept = append(c.kept, runlog.Artifact{Path: name, File: filepath.Join(root.Name(), name), Bytes: n})
	return nil
}

// get copies one file to its place here, as a whole or not at all.
func (c *collection) get(ctx context.Context, g got, there bool) {
	if !there {
		c.warn("--get %s: there is no regular file of this name", g.remote)
		c.missing = append(c.missing, g.remote)
		return
	}
	file, err := renameio.NewPendingFile(g.local, renameio.WithPermissions(0o600), renameio.WithExistingPermissions())
	if err == nil {
		var n int64
		n, err = collect.Fetch(ctx, c.conn, c.dir, g.remote, c.left, file)
		c.left, c.bytes = c.left-n, c.bytes+n
		if err == nil {
			if err = file.CloseAtomicallyReplace(); err == nil {
				c.kept = append(c.kept, runlog.Artifact{Path: g.remote, File: g.local, Bytes: n})
				return
			}
		}
		_ = file.Cleanup()
	}
	c.warn("--get %s: %s", g.remote, term.ErrorText(err))
	c.missing = append(c.missing, g.remote)
}

// tell shows what came of it: which tests failed, and what could not be had.
func (c *collection) tell() {
	a := c.app
	for _, w := range c.warnings {
		_ = term.Printf(a.Err, "%s: %s: %s\n", a.Program, c.instance, w)
	}
	if a.Quiet {
		return
	}
	if t := c.rec.Record().Tests; t != nil && t.Files > 0 {
		var b strings.Builder
		for _, f := range t.Failed {
			fmt.Fprintf(&b, "FAILED %s\n", term.Line(strings.TrimSuffix(f.Name+": "+f.Message, ": ")))
		}
		if n := t.Failures + t.Errors - len(t.Failed); n > 0 {
			fmt.Fprintf(&b, "FAILED %d more\n", n)
		}
		fmt.Fprintf(&b, "%s: %s\n", a.Program, testWords(t))
		_, _ = io.WriteString(a.Err, b.String())
	}
	if n := len(c.kept) - len(c.want.get); n > 0 && c.rec.Artifacts() != "" {
		_ = term.Printf(a.Err, "%s: %s in %s\n", a.Program, term.Counted(n, "file"), c.rec.Artifacts())
	}
}
