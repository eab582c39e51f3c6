package metalcmd

import (
	"context"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	loop "github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/director/arsenal"
	"github.com/hostler-project/hostler/director/imagecache"
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

// arsenalDirector runs the loop by an arsenal.conf. hostler's state remembers what is under way.
func arsenalDirector(a *cli.App, ctx context.Context, file, logFile string, debug, once bool, wait term.DurationFlag) error {
	ctx, stop := untilTold(a, ctx, once)
	defer stop()
	if file == "" {
		var err error
		if file, err = arsenal.Find(); err != nil {
			return err
		}
	}
	c, err := arsenal.Read(file)
	if err != nil {
		return err
	}
	out := a.Err
	if logFile != "" {
		f, err := os.OpenFile(logFile, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
		if err != nil {
			return fault.Invalid("", "--log-file: %v", err)
		}
		defer f.Close()
		out = f
	}
	if a.Log, err = (controller.Telemetry{}).Logger(out, debug); err != nil {
		return err
	}
	a.Host.Log = a.Log
	for _, w := range c.Warnings {
		a.Log.Warn(w, "file", file)
	}
	if _, err := a.Host.OpenStore(ctx, &config.Config{}); err != nil {
		return err
	}
	opt, closer, err := loop.ArsenalOptions(a.Log, c, a.Host.Store().Installation())
	if err != nil {
		return err
	}
	defer closer()
	opt.Store = a.Host.Store()
	if err := loop.RequireExclusive(a.Host, opt.DryRun); err != nil {
		return err
	}
	if once {
		most := time.Hour
		if wait.Given {
			most = wait.Value
		}
		return metalOnce(a, ctx, opt, most)
	}
	l, err := imagecache.New(opt)
	if err != nil {
		return err
	}
	a.Log.Info("keeping images ready", "config", file, "scout", c.Scout, "dry_run", opt.DryRun)
	return l.Run(ctx)
}
