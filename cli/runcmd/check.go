package runcmd

import (
	"io"
	"os"
	"strings"

	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// check refuses options that do not go together, first of all.
func (o *runOptions) check(words []string) error {
	if o.report == "-" {
		return fault.Invalid("a file, or fd:3 with 3>file", "--report -: it would stand between what the command prints")
	}
	if !strings.HasPrefix(o.report, "fd:") {
		if err := term.CheckPlace("--report", o.report); err != nil {
			return err
		}
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
