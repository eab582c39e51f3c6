package artifacts

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/junit"
	"github.com/hostler-project/hostler/run/redact"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
	"github.com/hostler-project/hostler/text/units"
	"github.com/hostler-project/hostler/text/words"
)

// collection is one collection in progress.
type collection struct {
	*Collector
	conn   compute.Conn
	dir    string // on the instance
	left   int64  // how many bytes may still be fetched
	result Result
}

// readReports reads the reports of tests.
func (b *collection) readReports(ctx context.Context, files []newfiles.File) {
	if len(b.JUnit) == 0 {
		return
	}
	r := &b.result
	r.Report = &junit.Report{}
	if len(files) > maxReports {
		b.warn("%d reports of tests: only %d of them are read", len(files), maxReports)
		files = files[:maxReports]
	}
	left := int64(maxReportBytes)
	for _, f := range files {
		if left -= f.Size; left < 0 {
			b.warn(
				"%s and what comes after it is not read: the reports of tests have more than %d MiB together", f.Path,
				maxReportBytes>>20,
			)
			return
		}
		one, err := b.readReport(ctx, f.Path)
		if err != nil {
			b.warn("%s: %s", f.Path, api.Text(err))
			continue
		}
		r.Reports++
		r.Report.Add(one, "")
	}
	if r.Reports == 0 && len(r.Warnings) == 0 {
		b.warn("the command wrote no report of tests that matches --junit")
	}
}

// readReport fetches and reads a JUnit report; hidden values in it are redacted.
func (b *collection) readReport(ctx context.Context, path string) (*junit.Report, error) {
	var text bytes.Buffer
	n, err := newfiles.Fetch(ctx, b.conn, b.dir, path, junit.MaxFile, &text)
	b.result.Bytes += n
	if err != nil {
		return nil, err
	}
	report, err := junit.Read(&text)
	if err == nil && len(b.Hidden) > 0 { // a failed test may quote secrets
		report.Rewrite(func(s string) string { return redact.String(s, b.Hidden) })
	}
	return report, err
}

func counted(n int, thing string) string { return words.Counted(n, thing) }

// keep fetches files into the record.
func (b *collection) keep(ctx context.Context, files []newfiles.File) {
	dir := b.Record.Artifacts()
	if len(files) == 0 {
		return
	}
	if dir == "" {
		b.warn("%s not brought back: the run has no record", counted(len(files), "file"))
		return
	}
	err := os.MkdirAll(dir, 0o700)
	var root *os.Root
	if err == nil {
		root, err = os.OpenRoot(dir)
	}
	if err != nil {
		b.warn("%s not brought back: %v", counted(len(files), "file"), err)
		return
	}
	defer root.Close()
	for i, f := range files {
		why := ""
		switch {
		case i == maxFiles:
			why = "there are too many files"
		case f.Size > b.left:
			why = "all together are more than " + units.FormatSize(b.Most)
		}
		if why != "" {
			b.warn("%s and what comes after it is not brought back: %s", f.Path, why)
			return
		}
		if err := b.keepOne(ctx, root, f.Path); err != nil {
			b.warn("%s: %s", f.Path, api.Text(err))
		}
	}
}

// has reports whether all these files were brought back.
func (b *collection) has(files []newfiles.File) bool {
	kept := map[string]bool{}
	for _, a := range b.result.Kept {
		kept[a.Path] = true
	}
	return !slices.ContainsFunc(files, func(f newfiles.File) bool { return !kept[f.Path] })
}

// fetch copies a remote file to an open local one.
func (b *collection) fetch(ctx context.Context, path string, to *os.File) (int64, error) {
	n, err := newfiles.Fetch(ctx, b.conn, b.dir, path, b.left, to)
	b.left, b.result.Bytes = b.left-n, b.result.Bytes+n
	return n, err
}

// keepOne fetches one artifact into root. A file that is there already is an error, and a part
// of a file is removed.
func (b *collection) keepOne(ctx context.Context, root *os.Root, name string) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := b.fetch(ctx, name, file)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = root.Remove(name)
		return err
	}
	b.result.Kept = append(b.result.Kept, runlog.Artifact{Path: name, File: filepath.Join(root.Name(), name), Bytes: n})
	return nil
}

// copy copies one file to its local place, whole or not at all.
func (b *collection) copy(ctx context.Context, c Copy, there bool) {
	if !there {
		b.warn("--get %s: there is no regular file of this name", c.Remote)
		b.result.Missing = append(b.result.Missing, c.Remote)
		return
	}
	file, err := renameio.NewPendingFile(c.Local, renameio.WithPermissions(0o600), renameio.WithExistingPermissions())
	if err == nil {
		var n int64
		if n, err = b.fetch(ctx, c.Remote, file.File); err == nil {
			if err = file.CloseAtomicallyReplace(); err == nil {
				b.result.Kept = append(b.result.Kept, runlog.Artifact{Path: c.Remote, File: c.Local, Bytes: n})
				return
			}
		}
		_ = file.Cleanup()
	}
	b.warn("--get %s: %s", c.Remote, api.Text(err))
	b.result.Missing = append(b.result.Missing, c.Remote)
}
