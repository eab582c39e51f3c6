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
