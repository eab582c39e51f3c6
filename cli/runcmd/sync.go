package runcmd

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/worktree"
)

// addTree sends the working tree along, or mounts it, if that is wanted. configured is the default
// for sending it.
func (o *runOptions) addTree(a *cli.App, opt *run.Options, configured bool) error {
	ok, err := o.syncs(configured)
	if err != nil || !ok {
		return err
	}
	mode, err := o.bindMode()
	switch {
	case err != nil:
		return err
	case mode != "":
		opt.Name, opt.Bound, err = bindTree(a, o, opt.Name, mode)
	default:
		opt.Tree, err = newTree(a, &o.sync)
	}
	return err
}

// syncs reports whether a tree goes along with a run. configured is the default.
func (o *runOptions) syncs(configured bool) (bool, error) {
	s := &o.sync
	switch {
	case s.no:
		return false, nil
	case s.how == "" && !configured:
		if s.SyncOptions != (workspace.SyncOptions{}) || s.bind != "" || len(s.write) > 0 || s.root != "" ||
			s.large || s.git != "" {
			return false, fault.Invalid(
				"say --sync too",
				"--root, --large, --git, --clean, --fresh, --own-workspace, --bind, --writable and --allow-mass-delete are about the tree that --sync sends",
			)
		}
		return false, nil
	}
	return true, nil
}

// bindMode returns how the tree is mounted; "" if it is not.
func (o *runOptions) bindMode() (string, error) {
	s := &o.sync
	switch {
	case s.bind == "" && len(s.write) > 0:
		return "", fault.Invalid("say --bind too", "--writable is about the tree that --bind shows")
	case s.bind == "":
		return "", nil
	case s.bind != "yes" && s.bind != "rw" && s.bind != "ro":
		return "", fault.Invalid("", "--bind=%s: neither rw nor ro", s.bind)
	case s.SyncOptions != (workspace.SyncOptions{}) || s.large || s.git != "":
		return "", fault.Invalid(
			"",
			"--bind makes no copy of the tree: --clean, --fresh, --own-workspace, --allow-mass-delete, --large and --git are about one",
		)
	case o.keep || o.keepFailed || o.detach || o.acquire.Name != "" || o.many.wanted() || s.plan:
		return "", fault.Invalid(
			"",
			"--bind is for a computer that goes with the run: not with --keep, --keep-on-failure, --name, --detach, --on, --shards and --plan",
		)
	}
	return s.bind, nil
}

// newTree finds the working tree.
func newTree(a *cli.App, o *syncFlags) (*worktree.Tree, error) {
	s, err := readSync(a)
	if err != nil {
		return nil, err
	}
	scan.SpareFirstCollection()
	opt := worktree.Options{Limits: s.limits()}
	if opt.Scan, opt.Git, err = s.scanOptions(o); err != nil {
		return nil, err
	}
	if opt.Cache, err = host.CacheDir(); err != nil {
		return nil, err
	}
	return worktree.New(opt)
}

// histories are the values for how much of a repository goes along.
var histories = []string{"", string(scan.HeadOnly), string(scan.FullHistory)}

// scanOptions returns the options of a scan around the current directory, and how much of its
// repository goes along.
func (s *syncSection) scanOptions(o *syncFlags) (opt scan.Options, git scan.History, err error) {
	if o.how != "" && o.how != "yes" && o.how != "dir" {
		return opt, "", fault.Invalid("", "--sync=%s: not dir", o.how)
	}
	if !slices.Contains(histories, o.git) {
		return opt, "", fault.Invalid("", "--git=%s: neither head nor full", o.git)
	}
	opt = scan.Options{
		Root: o.root, Plain: o.how == "dir", Large: o.large, Exclude: s.Exclude, Include: s.Include,
		FullModes: s.Modes == "full",
	}
	if dir, err := host.CacheDir(); err == nil {
		opt.Cache = filepath.Join(dir, "trees")
	}
	return opt, scan.History(cmp.Or(o.git, s.Git)), nil
}
