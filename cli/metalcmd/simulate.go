package metalcmd

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

func newSimulate(a *cli.App) *cobra.Command {
	var o simulation
	cmd := &cobra.Command{
		Use:   "simulate TRACE",
		Short: "Replay a trace of requests against a strategy: waiting times, misses, idle cost",
		Long: `Replay a trace of requests against the strategies of sources, with a model in place of computers, and print how many found an instance ready, how long
the others waited, and for how long instances stood idle. Nothing is made.

TRACE is a file, or - for standard input: CSV with the columns time, source and duration, or a JSON document a line with these fields; times are RFC 3339 or
seconds, durations 90s or seconds. What hostler events --json prints is a trace too. A source of the trace that is configured has its own keys, and the
options come before them; one that is not is tried with reserve and with demand. The time to make an instance is --create.`,
		Example: "  hostler director simulate trace.csv --strategy reserve,demand --create 90s --svg plot.svg\n  hostler events -n 100000 --json | hostler director simulate - --spare 3",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return simulate(a, cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.strategies, "strategy", nil, "`NAMES` of strategies to compare, with commas between: reserve, schedule, demand")
	f.IntVar(&o.reserve, "reserve", 0, "the key reserve, `N`")
	f.IntVar(&o.spare, "spare", 0, "the key spare, `N`")
	f.IntVar(&o.maximum, "maximum", 0, "the key maximum, `N`; 0: no limit")
	f.IntVar(&o.cold, "cold", 0, "the key cold, `N`")
	f.Var(&o.idle, "idle", "the key idle")
	f.Var(&o.window, "window", "the key window, of strategy demand")
	f.Float64Var(&o.hitRate, "hit-rate", 0, "the key hit-rate, of strategy demand: a `SHARE` between 0 and 1")
	f.Float64Var(&o.price, "price", 0, "the key price: `MONEY` for an instance for an hour")
	f.Float64Var(&o.budget, "budget", 0, "the key budget: `MONEY` for all of them for an hour")
	f.Var(&o.create, "create", "it takes so long to make an instance; 1m unless it is said")
	f.Float64Var(&o.jitter, "jitter", 0.2, "and varies by this `SHARE` of it up and down")
	f.Var(&o.clean, "clean", "it takes so long to clean one")
	f.Var(&o.start, "start", "it takes so long to start one that is stopped; a tenth of --create unless it is said")
	f.BoolVar(&o.oneUse, "one-use", false, "used instances are discarded and not cleaned")
	f.Uint64Var(&o.seed, "seed", 1, "the number `N` that the jitter begins with")
	f.StringVar(&o.svg, "svg", "", "draw a plot into `FILE`")
	_ = cmd.RegisterFlagCompletionFunc("strategy", cobra.FixedCompletions(strategies, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagFilename("svg", "svg")
	return cmd
}

// simulate replays a trace and prints what came of it.
func simulate(a *cli.App, cmd *cobra.Command, file string, o simulation) error {
	if err := o.check(cmd); err != nil {
		return err
	}
	arrivals, err := readTrace(a, file)
	if err != nil {
		return err
	}
	views, charts, err := o.replay(a, cmd, arrivals)
	if err != nil {
		return err
	}
	if o.svg != "" {
		if err := writePlot(o.svg, charts); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	rows := make([][]string, len(views))
	for n, v := range views {
		rows[n] = v.row()
	}
	return term.Table(
		a.Out,
		[]string{
			"source", "strategy", "requests", "hits", "misses", "wait-p50", "p90", "p99", "max", "made", "peak", "used",
			"idle", "idle-cost",
		},
		rows,
	)
}
