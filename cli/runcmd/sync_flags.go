package runcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/run/workspace"
)

// syncFlags are run's options for the working tree and its copy.
type syncFlags struct {
	how   string // "": none; "yes"; "dir": as a plain directory
	no    bool
	root  string
	large bool
	git   string // "": nothing of .git; head; full
	workspace.SyncOptions
	plan bool
	bind string // "": a copy; "yes" or "rw"; "ro"
	// names at the tree's top that may be written, although local programs run what is in them
	write []string
}

// flags declares the options that run and watch have.
func (o *syncFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.how, "sync", "", "send the working tree first; `HOW`=dir: all that is in the directory, whatever git says")
	f.Lookup("sync").NoOptDefVal = "yes"
	f.BoolVar(&o.no, "no-sync", false, "send no working tree, whatever the configuration says")
	f.StringVar(&o.root, "root", "", "send `DIR`, and not all of the git work tree")
	f.BoolVar(&o.large, "large", false, "send more than 200,000 files or 20G")
	f.StringVar(&o.git, "git", "", "send a git repository too: `HOW`=head has the commit that is checked out, full all of them")
	f.BoolVar(&o.Clean, "clean", false, "with --sync: remove what commands have left in the copy")
	f.BoolVar(&o.Fresh, "fresh", false, "with --sync: begin with an empty copy")
	f.BoolVar(&o.Own, "own-workspace", false, "with --sync: where another run has the copy, make one for this run alone")
	f.BoolVar(&o.Delete, "allow-mass-delete", false, "with --sync: delete there however many files are gone here")
	_ = cmd.RegisterFlagCompletionFunc("sync", cobra.FixedCompletions([]string{"dir"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("git", cobra.FixedCompletions([]string{"head", "full"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("root")
}

// runFlags declares the options of run alone.
func (o *syncFlags) runFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.plan, "plan", false, "show what --sync would send, and to which computer; do nothing")
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
