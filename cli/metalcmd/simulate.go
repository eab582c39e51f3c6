package metalcmd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/host"
)

// simulationView is the result of a trace with a source and a strategy, in `director simulate
// --json`.
type simulationView struct {
	Source    string   `json:"source"`
	Strategy  string   `json:"strategy"`
	Requests  int      `json:"requests"`
	Hits      int      `json:"hits"`
	Misses    int      `json:"misses"`
	Started   int      `json:"started"`
	HitRate   float64  `json:"hit_rate"`
	Unserved  int      `json:"unserved"`
	Wait      waitView `json:"wait"`
	Made      int      `json:"made"`
	Discarded int      `json:"discarded"`
	Peak      int      `json:"peak"`
	Used      float64  `json:"used"`
	Idle      float64  `json:"idle"`
	Stopped   float64  `json:"stopped"`
	IdleCost  float64  `json:"idle_cost"`
	Cost      float64  `json:"cost"`
}

// waitView says how long requests waited, in seconds.
type waitView struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

// simulation are the options of simulate.
type simulation struct {
	strategies []string
	reserve    int
	spare      int
	maximum    int
	cold       int
	idle       term.DurationFlag
	window     term.DurationFlag
	hitRate    float64
	price      float64
	budget     float64
	create     term.DurationFlag
	clean      term.DurationFlag
	start      term.DurationFlag
	jitter     float64
	oneUse     bool
	seed       uint64
	svg        string
}

func NewDirector(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "director",
		Short:   "Keep images ready on bare metal, and try out how sources are kept filled",
		Long:    "What the director of a controller does about sources is shown by hostler plan; here its strategies are tried out, and images are kept ready on bare-metal\nnodes. See docs/director.md, and docs/director-metal.md for bare metal.",
		Example: "  hostler director simulate trace.csv --svg plot.svg\n  hostler director run --once --dry-run",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newSimulate(a), newMetalPlan(a), newDirectorImport(a), newMetalRun(a), newMetalExplain(a), newMetalConfirm(a),
		newMetalForget(a),
	)
	return cmd
}

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

var strategies = []string{"reserve", "schedule", "demand"}

func simulate(a *cli.App, cmd *cobra.Command, file string, o simulation) error {
	for _, name := range o.strategies {
		if !slices.Contains(strategies, name) {
			return fault.Invalid(term.DidYouMean(name, strategies, ""), "--strategy %s: no such strategy", name)
		}
	}
	for name, n := range map[string]float64{"reserve": float64(o.reserve), "spare": float64(o.spare),
		"maximum": float64(o.maximum), "cold": float64(o.cold), "price": o.price,
		"budget": o.budget, "jitter": o.jitter} {
		if !(n >= 0) {
			return fault.Invalid("", "--%s %v: less than none", name, n)
		}
	}
	if !(o.jitter <= 1) {
		return fault.Invalid("", "--jitter %v: more than all of it", o.jitter)
	}
	if cmd.Flags().Changed("hit-rate") && !(o.hitRate > 0 && o.hitRate < 1) {
		return fault.Invalid("", "--hit-rate %v: not a share between 0 and 1", o.hitRate)
	}
	if o.budget > 0 && o.price == 0 {
		return fault.Invalid("", "--budget needs --price")
	}
	arrivals, err := readTrace(a, file)
	if err != nil {
		return err
	}
	bySource := map[string][]director.Arrival{}
	for _, arrival := range arrivals {
		bySource[arrival.Source] = append(bySource[arrival.Source], arrival)
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return err
	}
	var views []simulationView
	var charts []director.Chart
	for _, name := range slices.Sorted(maps.Keys(bySource)) {
		source, err := cfg.Source(name)
		if err != nil {
			source = &config.Source{Name: name}
		} else if source.Err != nil {
			return host.ConfigError(source.Err)
		}
		names := o.strategies
		switch {
		case len(names) > 0:
		case source.Strategy == "":
			names = []string{"reserve", "demand"}
		default:
			names = []string{source.Strategy}
		}
		for _, strategy := range names {
			if strategy == "schedule" && len(source.Schedule) == 0 {
				return fault.Invalid(
					"write them into a section [schedule] of its source.conf",
					"source %s has no windows for strategy schedule", name,
				)
			}
			setup := o.setup(cmd, source, strategy)
			out := director.Replay(setup, bySource[name])
			v := viewOutcome(name, strategy, setup.Policy.Price, out)
			views = append(views, v)
			charts = append(charts, director.Chart{Title: name + ", strategy " + strategy, Caption: v.caption(), Outcome: out})
		}
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

// readTrace reads the arrivals of a file, or of standard input.
func readTrace(a *cli.App, file string) ([]director.Arrival, error) {
	in, name := a.In, "standard input"
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
		defer f.Close()
		in, name = f, file
	}
	arrivals, err := director.ReadTrace(in)
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", name, err),
			Hint: "hostler help director simulate says how a trace is written",
		}
	}
	return arrivals, nil
}

// setup describes the source of a trace by its configuration and the options.
func (o simulation) setup(cmd *cobra.Command, s *config.Source, strategy string) director.Setup {
	own := *s
	given := cmd.Flags().Changed
	for flag, set := range map[string]func(){
		"reserve": func() { own.Reserve = o.reserve }, "spare": func() { own.Spare = o.spare },
		"maximum": func() { own.Maximum = o.maximum },
		"cold":    func() { own.Cold = o.cold }, "idle": func() { own.Idle = &o.idle.Value },
		"window":   func() { own.Window = &o.window.Value },
		"hit-rate": func() { own.HitRate = o.hitRate }, "price": func() { own.Price = o.price }, "budget": func() { own.Budget = o.budget },
	} {
		if given(flag) {
			set()
		}
	}
	if own.Idle == nil && strategy == "demand" {
		own.Idle = new(time.Duration)
		*own.Idle = config.DemandIdle
	}
	create := time.Minute
	if o.create.Given {
		create = o.create.Value
	}
	start := create / 10
	if o.start.Given {
		start = o.start.Value
	}
	return director.Setup{
		Source: compute.SourceState{
			Name: s.Name, Reserve: own.Reserve, Spare: own.Spare, Maximum: own.Maximum, ColdMost: own.Cold,
			Idle: host.Deref(own.Idle),
		},
		Policy: director.Policy{Strategy: controller.StrategyOf(strategy, &own), Price: own.Price, Budget: own.Budget},
		Model: director.Model{
			Create: create, Jitter: o.jitter, Clean: o.clean.Value, Start: start, OneUse: o.oneUse || own.Reuse == "no",
			Seed: o.seed,
		},
		Window: cmp.Or(host.Deref(own.Window), host.DemandWindow),
	}
}

func viewOutcome(source, strategy string, price float64, o director.Outcome) simulationView {
	var sum time.Duration
	for _, w := range o.Waits {
		sum += w
	}
	mean := 0.0
	if len(o.Waits) > 0 {
		mean = sum.Seconds() / float64(len(o.Waits))
	}
	return simulationView{Source: source, Strategy: strategy, Requests: o.Requests, Hits: o.Hits,
		Misses: o.Requests - o.Hits, Started: o.Cold, HitRate: o.HitRate(),
		Unserved: o.Requests - len(o.Waits),
		Wait:     waitView{mean, o.Wait(0.5).Seconds(), o.Wait(0.9).Seconds(), o.Wait(0.99).Seconds(), o.Wait(1).Seconds()},
		Made:     o.Made, Discarded: o.Discarded, Peak: o.Peak, Used: o.Used.Seconds(), Idle: o.Idle.Seconds(),
		Stopped:  o.Stopped.Seconds(),
		IdleCost: o.Idle.Hours() * price, Cost: (o.Idle + o.Used).Hours() * price}
}

func (v simulationView) row() []string {
	seconds := func(s float64) string { return strconv.FormatFloat(s, 'f', 1, 64) + "s" }
	hours := func(s float64) string { return strconv.FormatFloat(s/3600, 'f', 1, 64) + "h" }
	return []string{v.Source, v.Strategy, strconv.Itoa(v.Requests), fmt.Sprintf("%d (%.1f%%)", v.Hits, 100*v.HitRate),
		strconv.Itoa(v.Misses),
		seconds(v.Wait.P50), seconds(v.Wait.P90), seconds(v.Wait.P99), seconds(v.Wait.Max), strconv.Itoa(v.Made), strconv.Itoa(v.Peak),
		hours(v.Used), hours(v.Idle), strconv.FormatFloat(v.IdleCost, 'f', 2, 64)}
}

// caption returns the line below a plot's title.
func (v simulationView) caption() string {
	r := v.row()
	return fmt.Sprintf("%d requests: %s found one ready; the others waited, of all p99 %s and at most %s; instances in use for %s and idle for %s",
		v.Requests, r[3], r[7], r[8], r[11], r[12])
}

// writePlot draws charts into a file.
func writePlot(path string, charts []director.Chart) error {
	f, err := os.Create(path)
	if err != nil {
		return &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	return errors.Join(director.Plot(f, charts), f.Close())
}
