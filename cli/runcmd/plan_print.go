package runcmd

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/worktree"
)

// printPlan prints a plan for the user.
func printPlan(a *cli.App, p *worktree.Plan) error {
	rows := [][]string{
		{"root", p.Root + " (" + p.Mode + ")"},
		{"directory", p.Directory},
		{"tree", fmt.Sprintf("%d files, %s; %d links", p.Files, term.ShortSize(p.Bytes), p.Links)},
		{"to send", fmt.Sprintf("%d files, %s; %d to be removed", p.SendFiles, term.ShortSize(p.SendBytes), p.Deletes)},
	}
	some := func(what string, paths []string) {
		if len(paths) > 0 {
			rows = append(rows, []string{what, fmt.Sprintf("%d: %s", len(paths), quoted(paths))})
		}
	}
	some("not here", p.Hidden)
	some("left out", p.Special)
	some("lead out", p.Outside)
	for _, f := range p.BiggestFiles {
		rows = append(rows, []string{"file", fmt.Sprintf("%-8s %s", term.ShortSize(f.Bytes), f.Path)})
	}
	for _, d := range p.BiggestDirs {
		rows = append(rows, []string{"below", fmt.Sprintf("%-8s %s, %d files", term.ShortSize(d.Bytes), d.Path, d.Files)})
	}
	for _, r := range [][]string{{"warning", p.Warning}, {"refused", p.Refused}, {"hint", p.Hint}} {
		if r[1] != "" {
			rows = append(rows, r)
		}
	}
	target := "one of " + p.Source + ", for this run"
	if p.Instance != "" {
		target = p.Instance
		if p.Lease != "" {
			target += " (" + p.Lease + ")"
		}
	}
	rows = append(rows, []string{"computer", target})
	for _, r := range rows {
		if err := term.Printf(a.Out, "%-9s  %s\n", r[0], term.Line(r[1])); err != nil {
			return err
		}
	}
	return nil
}

// quoted formats the first of some paths on a line.
func quoted(paths []string) string {
	const few = 5
	words := make([]string, min(len(paths), few))
	for i := range words {
		words[i] = fmt.Sprintf("%q", paths[i])
	}
	if len(paths) > few {
		words = append(words, "...")
	}
	return strings.Join(words, " ")
}
