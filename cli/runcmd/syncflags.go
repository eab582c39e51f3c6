package runcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
)

// syncFlags are run's options for the copy of the working tree.
type syncFlags struct {
	no     bool
	clean  bool
	fresh  bool
	own    bool
	delete bool
	bind   string // "": a copy; "yes" or "rw"; "ro"
	// names at the tree's top that may be written, although local programs run what is in them
	write []string
}

func (o *syncFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.no, "no-sync", false, "send no working tree, whatever the configuration says")
	f.BoolVar(&o.clean, "clean", false, "with --sync: remove what commands have left in the copy")
	f.BoolVar(&o.fresh, "fresh", false, "with --sync: begin with an empty copy")
	f.BoolVar(&o.own, "own-workspace", false, "with --sync: where another run has the copy, make one for this run alone")
	f.BoolVar(&o.delete, "allow-mass-delete", false, "with --sync: delete there however many files are gone here")
}

// bindFlag declares an option of run alone.
func (o *syncFlags) bindFlag(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(
		&o.bind, "bind", "",
		"with --sync: mount the tree itself, and no copy, into a sandbox or container that is made for the run; `HOW`=ro: to be read only",
	)
	f.Lookup("bind").NoOptDefVal = "yes"
	f.StringSliceVar(
		&o.write, "writable", nil,
		"with --bind: let the sandbox write `NAME`, such as .git, which programs of this machine run what they find in",
	)
	_ = cmd.RegisterFlagCompletionFunc("bind", cobra.FixedCompletions([]string{"ro", "rw"}, cobra.ShellCompDirectiveNoFileComp))
}

// syncs reports whether a tree goes along with a run. configured is the default.
func (o *runOptions) syncs(configured bool) (bool, error) {
	s := &o.sync
	switch {
	case s.no:
		return false, nil
	case o.tree.sync == "" && !configured:
		if s.clean || s.fresh || s.own || s.delete || s.bind != "" || len(s.write) > 0 || o.tree.root != "" ||
			o.tree.large || o.tree.git != "" {
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
	case s.clean || s.fresh || s.own || s.delete || o.tree.large || o.tree.git != "":
		return "", fault.Invalid(
			"",
			"--bind makes no copy of the tree: --clean, --fresh, --own-workspace, --allow-mass-delete, --large and --git are about one",
		)
	case o.keep || o.keepFailed || o.detach || o.want.Name != "" || o.many.wanted() || o.tree.plan:
		return "", fault.Invalid(
			"",
			"--bind is for a computer that goes with the run: not with --keep, --keep-on-failure, --name, --detach, --on, --shards and --plan",
		)
	}
	return s.bind, nil
}
