package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/text/visible"
)

// The rules of leases where neither an option nor the source says otherwise.
const (
	idleAcquired = 24 * time.Hour   // a lease of acquire ends when unused for so long
	ttlKept      = 2 * time.Hour    // one of run --keep or --name ends after that
	idleKept     = 30 * time.Minute // and when unused for so long
	waitDefault  = 10 * time.Minute // in the queue
)

// want are the options of acquire and run that say what to take and for how long.
type want struct {
	ttl, idle, wait term.DurationFlag
	memory, disk    term.SizeFlag
	cores           term.CoresFlag
	gpus, priority  int
	maxPrice        float64
	labels          []string
	name, purpose   string
	made            choice      // of what it is to be made
	start           string      // the directory that commands start in; "": the current one
	key             string      // of acquire; "": none
	priced          func() bool // --max-price was given
	first           func() int  // the priority, by who asks where no other is said
}

func (w *want) flags(a *app, cmd *cobra.Command) {
	a.withSource(cmd)
	f := cmd.Flags()
	w.common(a, f)
	f.Var(&w.idle, "idle", "the lease ends when unused for so long (0: it does not)")
	f.StringVar(&w.name, "name", "", "give the lease a `NAME`")
	w.made.flags(a, cmd, "")
}

// choice is of what an instance is to be made, where that is not as its source says.
type choice struct{ image, flavor, location string }

// flags declares the options of a choice. short is the letter of --image; "": it has none.
func (c *choice) flags(a *app, cmd *cobra.Command, short string) {
	f := cmd.Flags()
	f.StringVarP(&c.image, "image", short, "", "make it of the image `NAME`: an id, a name, or the beginning of one")
	f.StringVar(&c.flavor, "flavor", "", "make it of the size `NAME`: an id, a name, or the beginning of one")
	f.StringVar(&c.location, "location", "", "make it at `NAME`: an id, a name, or the beginning of one")
	_ = cmd.RegisterFlagCompletionFunc("image", a.completeImages)
	_ = cmd.RegisterFlagCompletionFunc("flavor", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("location", cobra.NoFileCompletions)
}

// common are those that deploy takes too.
func (w *want) common(a *app, f *pflag.FlagSet) {
	f.Var(&w.cores, "cores", "at least `N` processors; book so many (1; 0.5 is half a one) where the source shares its instances")
	f.Var(&w.memory, "memory", "at least so much memory, or book it: 512M, 4G")
	f.Var(&w.disk, "disk", "at least so much disk, or book it")
	f.IntVar(&w.gpus, "gpus", 0, "at least `N` GPUs, or book them")
	f.Float64Var(
		&w.maxPrice, "max-price", 0,
		"take nothing that costs more than `PRICE` for an hour, in the money of the sources' prices, or whose price nobody knows",
	)
	f.Var(&w.ttl, "ttl", "the lease ends after so long: 90m, 2d (0: it does not)")
	f.Var(&w.wait, "wait", "wait in the queue for so long (0: not at all)")
	f.IntVar(
		&w.priority, "priority", 0,
		"go before requests in the queue with less than `N`, -100 to 100 (unless it is said 10 at a terminal, else 0)",
	)
	w.priced = func() bool { return f.Changed("max-price") }
	w.first = func() int {
		// with a key the same is asked for, at a terminal and without
		if f.Changed("priority") || w.key != "" || !term.IsTerminal(a.Err) {
			return w.priority
		}
		return compute.PersonPriority
	}
	f.StringVar(&w.purpose, "purpose", "", "say what for, in `WORDS` that status and events show")
	f.StringArrayVarP(&w.labels, "label", "l", nil, "keep `KEY=VALUE` with the lease; may be repeated")
}

// request makes a request of the options and of what the configuration says.
func (a *app) request(w *want, source string) (compute.Request, error) {
	req := compute.Request{
		Source: source, Count: 1, Owner: a.owner(), Own: true, Purpose: w.purpose, Name: w.name, Wait: waitDefault,
		TTL: w.ttl.OrNone(), Idle: w.idle.OrNone(), Cores: w.cores.OrNone(), Memory: w.memory.Bytes, Disk: w.disk.Bytes,
		GPUs: w.gpus, MaxPrice: w.maxPrice,
		Image: w.made.image, Flavor: w.made.flavor, Location: w.made.location,
	}
	if name := a.project(); name != nil {
		req.Project = *name
	}
	if w.first != nil {
		req.Priority = w.first()
	}
	if req.Priority < compute.MinPriority || req.Priority > compute.MaxPriority {
		return req, fault.Invalid("", "--priority %d: not from %d to %d", req.Priority, compute.MinPriority, compute.MaxPriority)
	}
	if w.gpus < 0 {
		return req, fault.Invalid("", "--gpus %d: less than none", w.gpus)
	}
	if w.priced != nil && w.priced() && !(w.maxPrice > 0) {
		return req, fault.Invalid("", "--max-price %v: it must be more than nothing", w.maxPrice)
	}
	if math.IsInf(w.maxPrice, 0) {
		return req, fault.Invalid("without --max-price anything will do", "--max-price %v: it is no price", w.maxPrice)
	}
	for _, l := range w.labels {
		key, value, ok := strings.Cut(l, "=")
		if !ok || key == "" {
			return req, fault.Invalid("", "--label %s: not KEY=VALUE", l)
		}
		if req.Labels == nil {
			req.Labels = map[string]string{}
		}
		req.Labels[key] = value
	}
	if err := api.CheckRequest(req); err != nil {
		return req, err
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return req, err
	}
	if d := cfg.Defaults.Wait; d != nil {
		req.Wait = *d
	}
	if w.wait.Given {
		req.Wait = w.wait.Value
	}
	a.showTree(&req, w.start)
	return req, nil
}

// checkName refuses a name for a lease that could not be told from other names.
func (a *app) checkName(ctx context.Context, engine engine, name string) error {
	if a.remote != nil { // a controller does so itself
		return nil
	}
	return api.CheckFree(ctx, name, a.isSource, engine.Resolve)
}

// processOf finds the process that --for names; "": none is.
func processOf(pid string) (compute.Process, error) {
	if pid == "" {
		return compute.Process{}, nil
	}
	n, err := strconv.ParseUint(pid, 10, 31)
	if err != nil || n == 0 {
		return compute.Process{}, fault.Invalid("in a shell $$ is its own", "--for %q: not the number of a process", pid)
	}
	p, err := pool.ProcessOf(int(n))
	if errors.Is(err, compute.ErrNotFound) {
		return p, fault.Invalid("", "--for %s: no such process", pid)
	}
	return p, err
}

func newAcquire(a *app) *cobra.Command {
	var w want
	var pid, token string
	cmd := &cobra.Command{
		Use:   "acquire [COUNT]",
		Short: "Take instances, or parts of them; prints their names, sorted, on one line",
		Long: `Take COUNT instances (one, if not said otherwise) of a source: all of them or none. What stands ready is taken first, the rest is made.
Where the source's maximum is reached the request waits in the queue. The lease ends with release; when its ttl has passed; or when
unused for 24 hours, unless --idle or the source says otherwise.

Of a source with ` + "`share = yes`" + ` each lease books a part of an instance: --cores (1, unless it is said), --memory, --disk and --gpus; several lie beside each other
as long as there is room. Printed are the leases' names or ids then, which stand wherever an instance's name may.

With --image, --flavor or --location the instances are made for this request, and go when they are given back. Through a
controller of others you may choose what the source lets you choose: docs/controller.md.`,
		Example: "  hostler acquire -s web\n  hostler acquire -s pool --ttl 2h --name build 1\n  NAMES=$(hostler acquire -s pool --for $$ 3)\n  hostler acquire -s big --cores 0.5 --memory 2G\n  hostler acquire -s lab --image debian:13\n  hostler acquire -s pool --key job-1204 2",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			count := 1
			if len(args) == 1 {
				n, err := strconv.ParseUint(args[0], 10, 31)
				if err != nil {
					hint := "hostler acquire -s SOURCE COUNT"
					if a.isSource(args[0]) {
						hint = "hostler acquire -s " + args[0]
					}
					return fault.Invalid(hint, "COUNT %q is not a number of instances", args[0])
				}
				if count = int(n); count == 0 {
					return fault.Invalid(
						"hostler acquire -s SOURCE 1; hostler status shows what there is",
						"COUNT 0: at least one is to be asked for",
					)
				}
			}
			if token == "-" && a.JSON {
				return fault.Invalid("--token=FILE writes it there", "--token and --json both say what is printed")
			}
			if token != "" {
				if engine, err := a.engine(cmd.Context()); err != nil || engine != a.remote {
					return cmp.Or(
						err,
						fault.Invalid(
							"hostler serve starts one; --controller names one elsewhere",
							"--token: a lease's own token needs a controller, and this command works by itself",
						),
					)
				}
			}
			leases, err := a.acquire(cmd.Context(), &w, count, pid)
			if err != nil {
				return err
			}
			var secrets string
			if token != "" {
				if secrets, err = a.handTokens(cmd.Context(), leases, token); err != nil {
					return err
				}
			}
			if err := a.hand(cmd.Context(), leases, w.key != ""); err != nil || secrets == "" {
				return err
			}
			return term.Printf(a.Out, "%s\n", visible.Block(secrets))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	w.flags(a, cmd)
	cmd.Flags().StringVar(
		&token, "token", "",
		"print the lease's own token on a line of its own, or write it to `FILE`: who has it may use and give back that lease, and nothing else",
	)
	cmd.Flags().Lookup("token").NoOptDefVal = "-"
	cmd.Flags().StringVar(
		&w.key, "key", "",
		"take this once, however often it is asked for with `KEY`: the same again is given the same leases, and another request with that key is refused. Until a day after their end",
	)
	cmd.Flags().StringVar(&pid, "for", "", "the lease ends with the process `PID`")
	return cmd
}

func (a *app) acquire(ctx context.Context, w *want, count int, pid string) ([]compute.Lease, error) {
	source, err := a.sourceName()
	if err != nil {
		return nil, err
	}
	req, err := a.request(w, source)
	if err != nil {
		return nil, err
	}
	req.Count = count
	if err := checkKey(w.key); err != nil {
		return nil, err
	}
	if w.name != "" && count != 1 {
		return nil, fault.Invalid("", "--name %s: a name is for one instance, not %d", w.name, count)
	}
	bound, err := processOf(pid)
	if err != nil {
		return nil, err
	}
	a.Host.LeaseIdle = idleAcquired
	engine, err := a.engine(ctx)
	if err != nil {
		return nil, err
	}
	if w.key == "" { // else who is asked does so, if the name is not that of the key's own
		err = a.checkName(ctx, engine, w.name)
	}
	if err != nil {
		return nil, err
	}
	if bound.PID != 0 {
		if err := a.bind(&req, bound.PID); err != nil {
			return nil, err
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	acquire := engine.Acquire
	if w.key != "" {
		acquire = a.keyed(engine, w.key)
	}
	leases, _, err := a.takeTimed(ctx, engine, req, acquire)
	err = a.unread(source, err)
	a.ring(ctx)
	if err == nil && bound.PID != 0 && req.For.PID == 0 {
		err = a.standFor(bound, leases)
	}
	became := "nothing is acquired"
	if w.key != "" {
		became = "the same with --key " + term.Line(w.key) + " tells what is acquired"
	}
	return leases, a.Interrupted(err, became)
}

// hand tells the caller what he got. Where that cannot be told it is given back, unless he can ask
// again: nobody else would do so.
func (a *app) hand(ctx context.Context, leases []compute.Lease, again bool) error {
	gone := make(chan os.Signal, 1)
	// so that a reader who has gone makes the write fail, and not us end
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	var err error
	if a.JSON {
		views := make([]leaseView, len(leases))
		for i, l := range leases {
			views[i] = viewLease(l)
		}
		err = a.PrintJSON(views)
	} else {
		err = term.Printf(a.Out, "%s\n", strings.Join(leaseNames(leases), " "))
	}
	if err == nil || len(leases) == 0 || again {
		return err
	}
	engine, e := a.engine(ctx)
	for _, l := range leases {
		if engine != nil {
			e = errors.Join(e, engine.Release(ctx, compute.Who{Owner: l.Owner, Lease: l.ID}, compute.ReleaseOptions{}, l.Instance))
		}
	}
	a.ring(ctx)
	names := strings.Join(leaseNames(leases), " ")
	if e != nil {
		return errors.Join(fmt.Errorf("the names cannot be printed: %w", err), fmt.Errorf("%s: not given back: %w", names, e))
	}
	return fmt.Errorf("the names cannot be printed: %w; %s: given back", err, names)
}

func leaseNames(leases []compute.Lease) []string {
	names := make([]string, len(leases))
	for i, l := range leases {
		names[i] = handle(l)
	}
	return names
}

// handle is what a user calls what he got: the instance's name or, where he has a part of it beside
// others, that lease's own name or id.
func handle(l compute.Lease) string {
	if l.Share == nil {
		return string(l.Instance)
	}
	return cmp.Or(l.Name, l.ID)
}

// sourceName is the source meant when none is named: -s, else that of hostler.conf, else local.
func (a *app) sourceName() (string, error) {
	if a.flags.source != "" {
		return a.flags.source, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return "", err
	}
	if cfg.Defaults.Err != nil {
		return "", host.ConfigError(cfg.Defaults.Err)
	}
	return cmp.Or(cfg.Defaults.Source, defaultSource), nil
}

// progressText says on a terminal what is being done for a request.
func progressText(p compute.Progress) string {
	switch p.Phase {
	case "create":
		return fmt.Sprintf("making %s", p.Instance)
	case "connect":
		if p.Reason != "" {
			return fmt.Sprintf("%s: waiting until it answers: %s", p.Instance, term.Line(p.Reason))
		}
		return fmt.Sprintf("%s: waiting until it answers", p.Instance)
	case "set-up":
		return fmt.Sprintf("%s: setting up", p.Instance)
	}
	return ""
}
