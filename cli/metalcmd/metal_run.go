package metalcmd

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/controller"
	loop "github.com/hostler-project/hostler/controller/imagecache"
	"github.com/hostler-project/hostler/director/imagecache"
)

// newMetalRun returns the command director run.
func newMetalRun(a *cli.App) *cobra.Command {
	var once, dry bool
	var wait term.DurationFlag
	var telemetry controller.Telemetry
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Keep images ready on bare-metal nodes",
		Long: `Look which bare-metal nodes and images there are, decide which images go on which nodes, and have it done, again and again, until it is told to end. A controller
(hostler serve) does it by itself where hostler.conf says so. What is under way is remembered: whoever goes on begins nothing twice. See docs/director-metal.md.

--dry-run says what would be done, and does nothing. --once does one round and prints it, waits until the images that are being written are there, and ends. --wait says for how long at most;
what is not there by then the next run goes on with. With --wait 0, which is for cron, each run takes what is under way a step further. The exit status is 1 where something failed at a node, or was
found to have failed there since the last run.`,
		Example: "  hostler director run --dry-run --once\n  hostler director run --once --wait 0\n  hostler director run --log-format json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wait.Given && !once {
				return fault.Invalid("hostler director run --once --wait 20m", "--wait is for --once")
			}
			return metalRun(a, cmd.Context(), once, dry, wait, telemetry)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&once, "once", false, "look, decide and have it done once, print what came of it, and end")
	f.BoolVar(&dry, "dry-run", false, "do nothing, and say what would be done")
	f.Var(&wait, "wait", "with --once: wait so long at most for the images that are being written; the deadline unless it is said")
	servercmd.TelemetryFlags(cmd, &telemetry)
	return cmd
}

// metalRun runs the loop, or one round of it.
func metalRun(a *cli.App, ctx context.Context, once, dry bool, wait term.DurationFlag, telemetry controller.Telemetry) (err error) {
	if !once || a.Debug {
		if a.Log, err = telemetry.Logger(a.Err, a.Debug); err != nil {
			return err
		}
	} else {
		logWarnings(a)
	}
	a.Host.Log = a.Log
	ctx, stop := untilTold(a, ctx, once)
	defer stop()
	cfg, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	opt, said, closer, err := metalSetup(a).Options(ctx, cfg, store)
	defer closer()
	if err != nil {
		return err
	}
	opt.DryRun = opt.DryRun || dry
	if once && !a.Debug {
		opt.Log = nil // it is printed instead
	}
	if err := loop.RequireExclusive(a.Host, opt.DryRun); err != nil {
		return err
	}
	if once {
		most := cmp.Or(opt.Deadline, time.Hour)
		if wait.Given {
			most = wait.Value
		}
		return metalOnce(a, ctx, opt, most)
	}
	gauges := controller.NewMetrics()
	a.Host.Meters = gauges
	m := loop.NewMetrics(gauges.Reg)
	var failed error
	opt.Told = func(r *imagecache.Report) {
		m.Round(r)
		if said.LogStatistics {
			loop.LogStatistics(a.Log, r)
		}
		if a.JSON {
			failed = errors.Join(failed, a.PrintLine(r))
		}
	}
	l, err := imagecache.New(opt)
	if err != nil {
		return err
	}
	scraped, err := telemetry.Listen()
	if err != nil {
		return err
	}
	if scraped != nil {
		ended := make(chan struct{})
		go func() { defer close(ended); controller.ServeMetrics(ctx, a.Log, gauges, scraped) }()
		defer func() { stop(); <-ended }()
	}
	a.Log.Info("keeping images ready", "scout", said.Scout, "commander", said.Commander, "dry_run", opt.DryRun)
	return errors.Join(l.Run(ctx), failed)
}
