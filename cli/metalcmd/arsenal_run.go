package metalcmd

import (
	"context"
	"os"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	loop "github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/director/arsenal"
	"github.com/hostler-project/hostler/director/imagecache"
)

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
