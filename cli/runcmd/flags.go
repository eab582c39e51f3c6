package runcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
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
