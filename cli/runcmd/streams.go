package runcmd

import (
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run"
)

// streams sets the command's input, and whether it has a terminal.
func (o *runOptions) streams(a *cli.App, opt *run.Options) (err error) {
	if opt.Stdin, err = o.input(a.In); err != nil {
		return err
	}
	opt.Typed, opt.Forward = term.IsTerminal(opt.Stdin), o.forward || o.stdin != ""
	switch {
	case o.tty:
		opt.Terminal = func(cmd *compute.Command) (func(), error) { return terminal(a, cmd) }
	case o.stdin == "" && !o.detach:
		opt.Terminal = OwnTerminal(a)
	}
	return nil
}
