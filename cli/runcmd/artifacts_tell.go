package runcmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
)

// landing returns the local file of a copy: in a directory it keeps its remote name.
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

// tellCollected prints what was brought back, the failed tests and what is missing of what was
// asked for.
func tellCollected(a *cli.App, r *run.Runner, c *artifacts.Result, asked []string) {
	for _, w := range c.Warnings {
		r.Printer.Warn("%s: %s", r.Session.Instance.ID, w)
	}
	if a.Quiet {
		return
	}
	if t := c.Tests(); t != nil && t.Files > 0 {
		var b strings.Builder
		for _, f := range t.Failed {
			fmt.Fprintf(&b, "FAILED %s\n", term.Line(strings.TrimSuffix(f.Name+": "+f.Message, ": ")))
		}
		if n := t.Failures + t.Errors - len(t.Failed); n > 0 {
			fmt.Fprintf(&b, "FAILED %d more\n", n)
		}
		fmt.Fprintf(&b, "%s: %s\n", a.Program, testWords(t))
		_, _ = io.WriteString(r.Stderr, b.String())
	}
	for _, glob := range asked {
		p, err := newfiles.Parse(glob)
		if err == nil && !slices.ContainsFunc(c.Kept, func(k runlog.Artifact) bool { return p.Match(k.Path) }) {
			r.Printer.Warn("--artifact %s: the command wrote no such file", term.Line(glob))
		}
	}
	if n := len(c.Kept) - len(r.Options.Artifacts.Copies); n > 0 && r.Recording().Artifacts() != "" {
		r.Printer.Warn("%s in %s", term.Counted(n, "file"), r.Recording().Artifacts())
	}
}
