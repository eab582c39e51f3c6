package runcmd

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// runOptions are the options of run and shell.
type runOptions struct {
	want leasecmd.Want
	envFlags
	many      manyFlags
	tree      treeFlags
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

// check refuses options that do not go together, first of all.
func (o *runOptions) check(words []string) error {
	if o.report == "-" {
		return fault.Invalid("a file, or fd:3 with 3>file", "--report -: it would stand between what the command prints")
	}
	if err := leasecmd.CheckKey(o.key); err != nil {
		return err
	}
	if o.key != "" && len(words) == 0 && o.scriptFile == "" {
		return fault.Invalid("-c STRING, or --script FILE, runs more than one", "--key is for a command, and without one this is a shell")
	}
	if o.key != "" && o.many.wanted() {
		return fault.Invalid("give each part a run of its own", "--key is for one run, not with --on or --shards")
	}
	return nil
}

// checkDetach refuses options that need the user to wait for the run.
func (o *runOptions) checkDetach(words []string, brings bool) error {
	switch {
	case !o.detach:
		return nil
	case brings || o.scriptFile != "":
		return fault.Invalid("", "--detach does not wait, and so brings nothing back and has no --script")
	case len(words) == 0 || o.tty || o.timeout.Given || o.stdin != "":
		return fault.Invalid("", "--detach wants a COMMAND, and takes no -t, --timeout or --stdin")
	}
	return nil
}

// input opens the command's input.
func (o *runOptions) input(in io.Reader) (io.Reader, error) {
	switch o.stdin {
	case "":
		return in, nil
	case "none":
		return nil, nil
	}
	f, err := os.Open(o.stdin)
	if err != nil {
		return nil, fault.Invalid("", "--stdin: %v", err)
	}
	return f, nil // open until this process ends
}
