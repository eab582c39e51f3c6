package metalcmd

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/text/visible"
)

// ArsenalName is the name of Arsenal's program.
const ArsenalName = "arsenal-director"

// RunArsenal runs Arsenal's command line by Arsenal's configuration alone. The exit status is 1 for
// any error, as in Arsenal.
func RunArsenal(ctx context.Context, a *cli.App, args []string) int {
	a.Program, a.Compat, a.Host.Compat = ArsenalName, true, true
	f := pflag.NewFlagSet(ArsenalName, pflag.ContinueOnError)
	f.SetOutput(a.Err)
	f.Usage = func() {}
	var file, log string
	var debug, help, asked, once bool
	var wait term.DurationFlag
	f.StringVar(
		&file, "config-file", "",
		"read `FILE` (~/.arsenal/arsenal.conf, ~/arsenal.conf, /etc/arsenal/arsenal.conf or /etc/arsenal.conf)",
	)
	f.StringVar(&log, "log-file", "", "append the log to `FILE`, not to standard error")
	f.BoolVarP(&debug, "debug", "d", false, "log more")
	f.BoolVar(&once, "once", false, "do one round, print it, wait until the images that are being written are there, and end")
	f.Var(&wait, "wait", "with --once: wait so long at most")
	f.BoolVarP(&help, "help", "h", false, "print this")
	f.BoolVar(&asked, "version", false, "print the version")
	err := f.Parse(args)
	switch {
	case err == nil && help:
		_ = term.Printf(
			a.Out,
			"usage: %s [--config-file FILE] [--log-file FILE] [--debug] [--once [--wait D]]\n\nKeep images ready on bare-metal nodes, as an arsenal.conf says. See hostler's docs/director-metal.md.\n\noptions:\n%s",
			ArsenalName, visible.Block(f.FlagUsages()),
		)
		return 0
	case err == nil && asked:
		_ = term.Printf(a.Out, "%s of hostler %s\n", ArsenalName, version.Read().Version)
		return 0
	case err == nil && f.NArg() > 0:
		err = fault.Invalid("", "it takes no words beside options: %q", f.Args())
	}
	if err == nil {
		err = arsenalDirector(a, ctx, file, log, debug, once, wait)
	}
	if err != nil {
		a.TellAs(ArsenalName, err)
		return 1
	}
	return 0
}
