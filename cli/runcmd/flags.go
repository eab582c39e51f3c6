package runcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/run/workspace"
)

// runOptions are the options of run and shell. The flags of its groups are in env.go, artifacts.go
// and multi_flags.go, and those of the instance in leasecmd.AcquireFlags.
type runOptions struct {
	acquire leasecmd.AcquireFlags
	envFlags
	many      manyFlags
	sync      syncFlags
	artifacts artifactFlags

	script                             string // -c
	shell                              bool   // -c was given
	scriptFile                         string
	dir, user, stdin, key, report      string
	timeout                            term.DurationFlag
	tty, forward, verbose, any, detach bool
	keep, keepFailed                   bool

	stop  <-chan struct{} // closing it acts like TERM
	verb  string          // of the record; "": run
	given []string        // the options, for the record
}

// flags declares the options that run, shell and watch have.
func (o *runOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.dir, "cwd", "", "start in `DIR` on the instance")
	o.envFlags.flags(cmd)
	f.Var(&o.timeout, "timeout", "kill the command after so long")
	f.StringVar(&o.user, "user", "", "run as the user `NAME`")
	f.StringVar(&o.stdin, "stdin", "", "read standard input from `FILE`; none: there is none")
	f.BoolVarP(&o.tty, "tty", "t", false, "run in a terminal, even if standard input and output are none")
	f.BoolVarP(&o.forward, "interactive", "i", false, "send standard input, though it is a terminal and the command has none")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say at the end how long each part took")
	f.BoolVar(&o.any, "any", false, "use the instance whoever has the lease; for administrators")
	f.StringVar(&o.report, "report", "", "write a JSON record of the run to `FILE`")
	_ = cmd.MarkFlagFilename("report")
	_ = cmd.MarkFlagFilename("stdin")
}

// allFlags declares all options of run.
func (o *runOptions) allFlags(a *cli.App, cmd *cobra.Command) {
	f := cmd.Flags()
	o.acquire.Declare(a, cmd)
	o.flags(cmd)
	f.StringVarP(&o.script, "command", "c", "", "run `STRING` by sh -c on the instance")
	o.sync.flags(cmd)
	o.sync.runFlags(cmd)
	f.StringVar(&o.scriptFile, "script", "", "run a copy of `FILE` on the instance; COMMAND's words are its arguments")
	_ = cmd.MarkFlagFilename("script")
	o.artifacts.flags(cmd)
	f.BoolVar(&o.keep, "keep", false, "do not give the instance back: the lease lasts 2 hours, and 30 minutes unused")
	o.many.flags(cmd)
	f.BoolVar(&o.keepFailed, "keep-on-failure", false, "keep the instance if the command fails, and say what to do with it")
	f.BoolVar(
		&o.detach, "detach", false,
		"start the command, print the id of the run, and do not wait; hostler attach goes on with it",
	)
	f.StringVar(
		&o.key, "key", "",
		"run this once, however often it is asked for with `KEY`: the same again is told what came of it, or waits for that; another run with that key is refused. Until a day after its end",
	)
}

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
