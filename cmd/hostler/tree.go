package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/workspace/scan"
)

// treeOptions are what run can be told of the working tree that goes along.
type treeOptions struct {
	sync  string // "": none; "yes"; "dir": as a plain directory
	root  string
	large bool
	plan  bool
}

func (o *treeOptions) flags(cmd *cobra.Command) {
	o.shape(cmd)
	cmd.Flags().BoolVar(&o.plan, "plan", false, "show what --sync would send, and to which computer; do nothing")
}

// shape are those that say what is sent, and that it is.
func (o *treeOptions) shape(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.root, "root", "", "send `DIR`, and not all of the git work tree")
	f.BoolVar(&o.large, "large", false, "send more than 200,000 files or 20G")
	f.StringVar(&o.sync, "sync", "", "send the working tree first; `HOW`=dir: all that is in the directory, whatever git says")
	f.Lookup("sync").NoOptDefVal = "yes"
	_ = cmd.MarkFlagDirname("root")
	_ = cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions([]string{"dir"}, cobra.ShellCompDirectiveNoFileComp))
}

// syncing is the section [sync] of hostler.conf.
type syncing struct {
	Exclude []string `conf:"exclude"` // patterns of what is not sent, after those of .hostlerignore
	Include []string `conf:"include"` // patterns of what is sent though git ignores it
	Modes   string   `conf:"modes"`   // "x", the default: 0644 or 0755; "full": all permissions
}

// readSyncing reads it.
func (a *app) readSyncing() (s syncing, err error) {
	cfg, err := a.configuration()
	if err != nil {
		return s, err
	}
	section := cfg.Sections["sync"]
	settings := map[string]string{}
	for key, v := range section {
		settings[key] = v.Text
	}
	err = config.Decode(settings, func(key string) (string, int) { v := section[key]; return v.File, v.Line }, &s)
	if err == nil && !slices.Contains([]string{"", "x", "full"}, s.Modes) {
		v := section["modes"]
		err = &config.Error{File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is neither x nor full", v.Text)}
	}
	return s, configError(err)
}

// scanOptions are what a scan of the tree around the current directory is told.
func (a *app) scanOptions(o *treeOptions) (scan.Options, error) {
	s, err := a.readSyncing()
	if err != nil {
		return scan.Options{}, err
	}
	if o.sync != "" && o.sync != "yes" && o.sync != "dir" {
		return scan.Options{}, invalid("", "--sync=%s: not dir", o.sync)
	}
	opt := scan.Options{Root: o.root, Plain: o.sync == "dir", Large: o.large, Exclude: s.Exclude, Include: s.Include, FullModes: s.Modes == "full"}
	if dir, err := cacheDir(); err == nil {
		opt.Cache = filepath.Join(dir, "trees")
	}
	return opt, nil
}

// treePlan is what run --sync would do, in `run --plan --json`.
type treePlan struct {
	Root         string      `json:"root"`
	Directory    string      `json:"directory"`
	Mode         string      `json:"mode"`
	Files        int         `json:"files"`
	Links        int         `json:"links"`
	Bytes        int64       `json:"bytes"`
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

// heavyView is a file or directory of it.
type heavyView struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// biggest is how many of the largest files a plan names.
const biggest = 5

// planTree shows what would be sent, and to whom.
func (a *app) planTree(ctx context.Context, o *runOptions, name string) error {
	opt, err := a.scanOptions(&o.tree)
	if err != nil {
		return err
	}
	opt.Unread = true
	tree, err := scan.Scan(ctx, opt)
	if err != nil {
		return err
	}
	p := viewTree(tree, o.tree.large)
	if err := a.planTarget(ctx, &p, cmp.Or(name, o.want.name), name); err != nil {
		return err
	}
	if a.flags.json {
		return a.printJSON(p)
	}
	return a.printPlan(&p)
}

// planTarget finds the instance that would be used, and takes nothing.
func (a *app) planTarget(ctx context.Context, p *treePlan, name, named string) error {
	engine, err := a.engine(ctx)
	if err != nil {
		return err
	}
	if name != "" {
		i, lease, err := engine.Resolve(ctx, name)
		if err == nil {
			p.Instance, p.Source = string(i.ID), i.Source
			if lease != nil {
				p.Lease = cmp.Or(lease.Name, string(lease.ID))
			}
			return nil
		}
		if !errors.Is(err, compute.ErrNotFound) {
			return err
		}
	}
	if p.Source = named; named == "" {
		p.Source, err = a.sourceName()
		return err
	}
	if !a.isSource(named) {
		return a.unknownName(ctx, named)
	}
	return nil
}

// viewTree is a tree as a plan shows it.
func viewTree(tree *scan.Tree, large bool) treePlan {
	p := treePlan{Root: tree.Root, Directory: cmp.Or(tree.Sub, "."), Mode: "dir", Bytes: tree.Bytes, Hidden: listed(tree.Hidden), Special: listed(tree.Special),
		Outside: listed(tree.Outside), BiggestFiles: []heavyView{}, BiggestDirs: []heavyView{}}
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
	weight := scan.Weigh(tree.Entries)
	for _, d := range weight.Dirs {
		p.BiggestDirs = append(p.BiggestDirs, heavyView{Path: d.Path, Files: d.Files, Bytes: d.Bytes})
	}
	var err error
	if p.Warning, err = weight.Check(large); err != nil {
		p.Refused, p.Hint = err.Error(), compute.Hint(err)
	}
	return p
}

// heaviest adds a file to the largest so far, the largest first, if it is one of them.
func heaviest(list []heavyView, f heavyView) []heavyView {
	i, _ := slices.BinarySearchFunc(list, f, func(a, b heavyView) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path)) })
	if i >= biggest {
		return list
	}
	list = slices.Insert(list, i, f)
	return list[:min(len(list), biggest)]
}

// printPlan writes it for people.
func (a *app) printPlan(p *treePlan) error {
	rows := [][]string{
		{"root", p.Root + " (" + p.Mode + ")"},
		{"directory", p.Directory},
		{"tree", fmt.Sprintf("%d files, %s; %d links", p.Files, shortSize(p.Bytes), p.Links)},
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
		rows = append(rows, []string{"file", fmt.Sprintf("%-8s %s", shortSize(f.Bytes), f.Path)})
	}
	for _, d := range p.BiggestDirs {
		rows = append(rows, []string{"below", fmt.Sprintf("%-8s %s, %d files", shortSize(d.Bytes), d.Path, d.Files)})
	}
	for what, text := range map[string]string{"warning": p.Warning, "refused": p.Refused} {
		if text != "" {
			rows = append(rows, []string{what, text})
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
		if err := fprintf(a.out, "%-9s  %s\n", r[0], printable(r[1])); err != nil {
			return err
		}
	}
	return nil
}

// quoted are some paths in a line, the first of them.
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
