package runcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/workspace/send"
	"github.com/hostler-project/hostler/run/worktree"
)

// treePlan is what run --sync would do, in `run --plan --json`.
type treePlan struct {
	Root         string      `json:"root"`
	Directory    string      `json:"directory"`
	Mode         string      `json:"mode"`
	Files        int         `json:"files"`
	Links        int         `json:"links"`
	Bytes        int64       `json:"bytes"`
	SendFiles    int         `json:"send_files"`
	SendBytes    int64       `json:"send_bytes"`
	Deletes      int         `json:"deletes"`
	Hidden       []string    `json:"hidden"`
	Special      []string    `json:"special"`
	Outside      []string    `json:"outside"`
	BiggestFiles []heavyView `json:"biggest_files"`
	BiggestDirs  []heavyView `json:"biggest_dirs"`
	Warning      string      `json:"warning,omitempty"`
	Refused      string      `json:"refused,omitempty"`
	Hint         string      `json:"hint,omitempty"`
	Instance     string      `json:"instance,omitempty"`
	Lease        string      `json:"lease,omitempty"`
	Source       string      `json:"source"`
}

// heavyView is a large file or directory of a plan.
type heavyView struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// biggest is how many of the largest files a plan names.
const biggest = 5

// planTree shows what would be sent, and to which instance.
func planTree(a *cli.App, ctx context.Context, o *runOptions, name string) error {
	along, err := newTree(a, &o.sync)
	if err != nil {
		return err
	}
	along.Options.Scan.Unread = true
	defer along.Close()
	found, err := along.See(ctx, nil)
	if err != nil {
		return err
	}
	tree := found.Tree
	p := viewTree(tree)
	lease, err := planTarget(a, ctx, &p, cmp.Or(name, o.acquire.Name), name)
	if err != nil {
		return err
	}
	var last []scan.Entry
	if p.Instance != "" && !o.sync.Fresh {
		last, _ = send.Last(worktree.State(along.Cache, compute.ID(p.Instance), lease, worktree.Key(tree.Root, o.user)))
	}
	p.changes(tree, last, o)
	if a.JSON {
		return a.PrintJSON(p)
	}
	return printPlan(a, &p)
}

// planTarget finds the instance that would be used, and acquires nothing.
func planTarget(a *cli.App, ctx context.Context, p *treePlan, name, named string) (lease string, err error) {
	engine, err := a.Engine(ctx)
	if err != nil {
		return "", err
	}
	if name != "" {
		i, l, err := engine.Resolve(ctx, name)
		if err == nil {
			p.Instance, p.Source = string(i.ID), i.Source
			if l != nil {
				p.Lease, lease = cmp.Or(l.Name, l.ID), l.ID
			}
			return lease, nil
		}
		if !errors.Is(err, compute.ErrNotFound) {
			return "", err
		}
	}
	if p.Source = named; named == "" {
		p.Source, err = a.SourceName()
		return "", err
	}
	if !a.IsSource(named) {
		return "", a.UnknownName(ctx, named)
	}
	return "", nil
}

// changes fills in what would be sent and removed, by the copy's last list, and what the guards say
// of that.
func (p *treePlan) changes(tree *scan.Tree, last []scan.Entry, o *runOptions) {
	changed, gone := tree.Changes(last)
	weight := scan.Weigh(changed)
	p.SendFiles, p.SendBytes, p.Deletes = weight.Files, weight.Bytes, gone
	var err error
	if p.Warning, err = weight.Check(o.sync.large); err == nil {
		err = scan.CheckDeletes(len(last), gone, o.sync.Delete)
	}
	if err != nil {
		p.Refused, p.Hint = term.ErrorText(err), compute.Hint(err)
	}
}

// viewTree describes a tree for a plan.
func viewTree(tree *scan.Tree) treePlan {
	p := treePlan{Root: tree.Root, Directory: cmp.Or(tree.Sub, "."), Mode: "dir", Bytes: tree.Bytes,
		Hidden: term.Listed(tree.Hidden), Special: term.Listed(tree.Special),
		Outside: term.Listed(tree.Outside), BiggestFiles: []heavyView{}, BiggestDirs: []heavyView{}}
	if tree.Git {
		p.Mode = "git"
	}
	for i := range tree.Entries {
		switch e := &tree.Entries[i]; e.Kind {
		case scan.Link:
			p.Links++
		case scan.File:
			p.Files++
			p.BiggestFiles = heaviest(p.BiggestFiles, heavyView{Path: e.Path, Files: 1, Bytes: e.Size})
		}
	}
	for _, d := range scan.Weigh(tree.Entries).Dirs {
		p.BiggestDirs = append(p.BiggestDirs, heavyView{Path: d.Path, Files: d.Files, Bytes: d.Bytes})
	}
	return p
}

// heaviest adds a file to the list of the largest, if it is one of them.
func heaviest(list []heavyView, f heavyView) []heavyView {
	i, _ := slices.BinarySearchFunc(
		list, f, func(a, b heavyView) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path)) },
	)
	if i >= biggest {
		return list
	}
	list = slices.Insert(list, i, f)
	return list[:min(len(list), biggest)]
}

// printPlan prints a plan for the user.
func printPlan(a *cli.App, p *treePlan) error {
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
