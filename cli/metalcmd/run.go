package metalcmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/servercmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	loop "github.com/hostler-project/hostler/controller/metal"
	"github.com/hostler-project/hostler/controller/turn"
	"github.com/hostler-project/hostler/director/caching"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
)

// metalRoundView is what a round came to, in `director run --json`.
type metalRoundView = caching.Report

// metalExplanationView is what is known of a node, in `director explain --json`.
type metalExplanationView = caching.Explanation

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

func newMetalExplain(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:   "explain [NODE...]",
		Short: "Say what is decided of bare-metal nodes, and why; without a name: which are worked on or left alone",
		Long: `Look, decide, and say of each node what its service says of it, what was done with it before, and what is decided of it now and why. Nothing is done.
Without a NODE all nodes are listed that something is under way on, or that are left alone after failures, and standard error has the alarms that stand; nobody is
asked for that.`,
		Example: "  hostler director explain node-17\n  hostler director explain --json",
		RunE:    func(cmd *cobra.Command, args []string) error { return metalExplain(a, cmd.Context(), args) },
	}
}

func newMetalConfirm(a *cli.App) *cobra.Command {
	var eject int
	var shrunk bool
	var during term.DurationFlag
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Give leave to what the guards hold back: to eject many nodes, or to work by lists that have shrunk",
		Long: `Give leave, for a time, to eject up to so many nodes in spite of max-eject-fraction, all rounds together; if more are due, so many of them go and the others wait. With
--shrunk lists of nodes, images and flavors are taken as they are though they have lost more than half of what they had. Only the last leave counts: give both options for both.`,
		Example: "  hostler director confirm --eject 40\n  hostler director confirm --shrunk --for 10m",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return metalConfirm(a, cmd.Context(), eject, shrunk, cmp.Or(during.Value, time.Hour))
		},
	}
	cmd.Flags().IntVar(&eject, "eject", 0, "eject up to `N` nodes")
	cmd.Flags().BoolVar(&shrunk, "shrunk", false, "take lists as they are that have shrunk")
	cmd.Flags().Var(&during, "for", "for so long; 1h unless it is said")
	return cmd
}

func newMetalForget(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "forget NODE...",
		Short:   "Forget failures and quarantine of bare-metal nodes, so that images are written to them again",
		Long:    "Forget what is remembered of nodes: failures, quarantine, and directives under way. Use it when you know that nothing is under way on them any more.",
		Example: "  hostler director forget node-17",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return metalForget(a, cmd.Context(), args) },
	}
}

// metalStore opens the configuration and the store.
func metalStore(a *cli.App, ctx context.Context) (*config.Config, pool.Store, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, nil, err
	}
	store, err := a.Host.OpenStore(ctx, cfg)
	return cfg, store, err
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
	if err := MetalAlone(a, opt.DryRun); err != nil {
		return err
	}
	if once {
		most := cmp.Or(opt.Deadline, time.Hour)
		if wait.Given {
			most = wait.Value
		}
		return metalOnce(a, ctx, opt, most)
	}
	gauges := controller.NewMeters()
	a.Host.Meters = gauges
	m := loop.NewMeters(gauges.Reg)
	var failed error
	opt.Told = func(r *caching.Report) {
		m.Round(r)
		if said.LogStatistics {
			loop.LogStatistics(a.Log, r)
		}
		if a.JSON {
			failed = errors.Join(failed, a.PrintLine(r))
		}
	}
	l, err := caching.New(opt)
	if err != nil {
		return err
	}
	scraped, err := telemetry.Scraped()
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

// logWarnings logs problems beside the result to standard error, such as an unreadable file of
// weights.
func logWarnings(a *cli.App) {
	if !a.Debug {
		a.Log = slog.New(slog.NewTextHandler(a.Err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
}

// untilTold ends a context at a signal. That interrupts a single round, but is the normal end of a
// loop.
func untilTold(a *cli.App, ctx context.Context, once bool) (context.Context, func()) {
	if once {
		return a.UntilSignal(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
}

// MetalAlone makes sure that no other process keeps images ready with this state or store, until
// this process ends. Two would disturb each other's steps. A dry run may go beside another process.
func MetalAlone(a *cli.App, dry bool) error {
	if dry {
		return nil
	}
	state, err := host.StateDir()
	if err != nil {
		return err
	}
	switch ok, err := a.Host.OnlyOne(filepath.Join(state, loop.Lock)); {
	case err != nil:
		return err
	case !ok:
		return fault.Conflict(
			metalBusyHint,
			"images are kept ready by another process: a controller, or a run that waits for what is being written",
		)
	}
	// several state directories may share the store
	free, ok, err := a.Host.Store().Slot(turn.Metal, 1)
	if err == nil && !ok {
		err = fault.Conflict(
			metalBusyHint,
			"images are kept ready by another process on this store, which has another state directory or is on another machine",
		)
	}
	if err == nil {
		a.Host.OnClose(free)
	}
	return err
}

const metalBusyHint = "wait for it, or stop it: what is under way goes on with the next; --dry-run goes beside it"

// metalOnce runs one round. It waits for work of several steps, up to a limit.
func metalOnce(a *cli.App, ctx context.Context, opt caching.Options, most time.Duration) error {
	l, err := caching.New(opt)
	if err != nil {
		return err
	}
	r, err := l.Round(ctx)
	if err != nil {
		return err
	}
	if err := printRound(a, r); err != nil {
		return err
	}
	c, ok := opt.Commander.(metal.Resumer)
	if !ok || opt.DryRun {
		return metalWrong(r.Wrong())
	}
	left := c.Finish(ctx, most)
	wrong := r.Wrong()
	if ctx.Err() == nil && most > 0 { // some work may have ended
		after, err := l.Settle(ctx)
		if err != nil {
			return fmt.Errorf("what became of it could not be seen: %w", err)
		}
		wrong = append(wrong, after.Wrong()...)
	}
	if err := metalWrong(wrong); len(left) == 0 || err != nil {
		return err
	}
	became := fmt.Sprintf("images are still being written to %d nodes: the next run goes on with them", len(left))
	if ctx.Err() != nil {
		return a.Interrupted(ctx.Err(), became)
	}
	return term.Printf(a.Err, "%s: %s\n", a.Program, became)
}

// metalWrong returns the error of a round that failed at some nodes, or nil.
func metalWrong(all []string) error {
	if len(all) == 0 {
		return nil
	}
	const most = 5
	text := strings.Join(all[:min(len(all), most)], "; ")
	if n := len(all) - most; n > 0 {
		text += fmt.Sprintf("; and at %d more nodes", n)
	}
	return &compute.Error{
		Kind: compute.ErrFailed, Err: errors.New(text),
		Hint: "the next runs try again, each time after a longer pause; hostler director explain lists the nodes that are left alone",
	}
}

// printRound prints the result of a round as a difference: + an image is written to a node, - a
// node is ejected.
func printRound(a *cli.App, r *caching.Report) error {
	if a.JSON {
		return a.PrintJSON(r)
	}
	var out bytes.Buffer
	for _, d := range r.Directives {
		sign, image := "+", cmp.Or(d.Title, d.Image)
		if d.Do == caching.Eject {
			sign = "-"
		}
		line := fmt.Sprintf(
			"%s %s %s (%s) %s: %s", sign, cmp.Or(d.Name, d.Node), cmp.Or(image, "unknown"), d.Flavor, d.Result,
			cmp.Or(d.Error, d.Reason),
		)
		fmt.Fprintln(&out, term.Line(line))
	}
	if len(r.Directives) == 0 {
		fmt.Fprintln(&out, "nothing is to be done")
	}
	if r.Held != "" {
		fmt.Fprintf(&out, "held back: %s: where it is meant: hostler director confirm --eject %d\n", r.Held, r.HeldBack())
	}
	if r.Unlisted > 0 {
		fmt.Fprintf(
			&out,
			"%d of the nodes are of no flavor that is kept ready: hostler director explain NODE says of which they are\n",
			r.Unlisted,
		)
	}
	fmt.Fprintf(
		&out, "nodes %d: %d not to be had, %d with an image, %d free; under way %d, left alone %d\n", r.All.Total,
		r.All.Provisioned, r.All.Cached, r.All.Available, r.UnderWay, r.Left,
	)
	_, err := out.WriteTo(a.Out)
	return err
}

// metalExplain prints what is known of nodes.
func metalExplain(a *cli.App, ctx context.Context, nodes []string) error {
	cfg, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	var all []caching.Explanation
	if len(nodes) == 0 {
		if all, err = caching.Remembered(ctx, store); err != nil {
			return err
		}
		if err := metalAlarms(a, ctx, store); err != nil {
			return err
		}
	} else {
		logWarnings(a)
		opt, _, closer, err := metalSetup(a).Options(ctx, cfg, store)
		defer closer()
		if err != nil {
			return err
		}
		l, err := caching.New(opt)
		if err != nil {
			return err
		}
		if all, err = l.Explain(ctx, nodes...); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.PrintJSON(append([]metalExplanationView{}, all...))
	}
	if len(nodes) == 0 {
		var rows [][]string
		for _, e := range all {
			rows = append(
				rows,
				[]string{
					e.Node, e.Name, e.Flavor, string(e.Flight.Do), e.Flight.State, strconv.Itoa(e.Flight.Failures),
					term.Line(e.Remembered),
				},
			)
		}
		return a.Table([]string{"node", "name", "flavor", "do", "state", "failures", "why"}, rows)
	}
	for _, e := range all {
		lines := []string{"seen: " + e.Seen}
		if e.Remembered != "" {
			lines = append(lines, "remembered: "+e.Remembered)
		}
		if e.Suspended != "" {
			lines = append(lines, "suspended: "+e.Suspended)
		}
		lines = append(lines, "decided: "+e.Decided)
		if d := e.Directive; d != nil {
			lines = append(lines, fmt.Sprintf("now: %s %s: %s", d.Do, d.Result, cmp.Or(d.Error, d.Reason)))
		}
		for _, line := range lines {
			if err := term.Printf(a.Out, "%s: %s\n", term.Line(cmp.Or(e.Name, e.Node)), term.Line(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// metalAlarms prints the current alarms beside the result.
func metalAlarms(a *cli.App, ctx context.Context, store caching.Store) error {
	all, err := caching.Alarms(ctx, store)
	for _, alarm := range all {
		err = errors.Join(
			err,
			term.Printf(
				a.Err, "%s: alarm: %s since %s: %s\n", a.Program, alarm.What, alarm.Since.Local().Format(time.DateTime),
				term.Line(alarm.Text),
			),
		)
	}
	return err
}

// metalConfirm allows what the guards hold back.
func metalConfirm(a *cli.App, ctx context.Context, eject int, shrunk bool, during time.Duration) error {
	if eject < 0 || eject == 0 && !shrunk {
		return fault.Invalid("hostler director confirm --eject 40, or --shrunk", "leave is given to what?")
	}
	_, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	return caching.Confirm(ctx, store, caching.Confirmation{Ejections: eject, Shrunk: shrunk, Until: time.Now().Add(during).UTC()})
}

// metalForget forgets nodes.
func metalForget(a *cli.App, ctx context.Context, nodes []string) error {
	_, store, err := metalStore(a, ctx)
	if err != nil {
		return err
	}
	all, err := caching.Flights(ctx, store)
	if err != nil {
		return err
	}
	var ids []string
	for _, name := range nodes {
		id := ""
		for _, f := range all {
			if f.Node == name || f.Name == name && id == "" {
				id = f.Node
			}
		}
		if id == "" {
			return &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("nothing is remembered of this node"),
				Hint: "hostler director explain lists the nodes that something is remembered of",
			}
		}
		ids = append(ids, id)
	}
	return caching.Forget(ctx, store, ids...)
}

func metalSetup(a *cli.App) *loop.Setup { return loop.NewSetup(a.Log, a.Host) }
