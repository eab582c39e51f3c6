package leasecmd

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	topLeases = 500 // the most leases that are read
	topEvents = 1000
)

func NewTop(a *cli.App) *cobra.Command {
	var once bool
	every := term.DurationFlag{Value: time.Second}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch sources, instances, leases and events on the whole terminal",
		Long: `Show how the sources stand, which instances are being made, cleaned or discarded, the leases, what happened last and how often, and again at each interval.
Keys: q ends it, the space bar pauses, s sorts the leases otherwise, / filters by words, h explains. Where standard output is no terminal it is shown once.`,
		Example: "  hostler top\n  hostler top --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every.Value < 100*time.Millisecond {
				return fault.Invalid("", "--interval %v: less than 100ms", every.Value)
			}
			return top(a, cmd.Context(), once, every.Value)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once, as plain text")
	cmd.Flags().Var(&every, "interval", "look so often")
	return cmd
}

// watcher gathers the data of top.
type watcher struct {
	engine cli.Engine
	where  string
	after  int64           // the newest event that was seen
	events []compute.Event // the latest events
	begun  bool
}

func top(a *cli.App, ctx context.Context, once bool, every time.Duration) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	w := &watcher{engine: engine, where: "embedded"}
	if a.Remote != nil {
		w.where = "controller"
	}
	a.Due(ctx)
	in, inOK := a.In.(*os.File)
	out, outOK := a.Out.(*os.File)
	if a.JSON {
		v, err := w.look(ctx, time.Now())
		if err != nil {
			return err
		}
		return a.PrintJSON(viewTop(v))
	}
	if once || !inOK || !outOK || !term.IsTerminal(in) || !term.IsTerminal(out) {
		v, err := w.look(ctx, time.Now())
		if err != nil {
			return err
		}
		v.Events = v.Events[max(0, len(v.Events)-10):]
		return term.Printf(a.Out, "%s\n", visible.Block(strings.Join(v.Picture(TopWish{}, 0, 0), "\n")))
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	return w.screen(ctx, in, out, every)
}

// look gathers the data anew.
func (w *watcher) look(ctx context.Context, now time.Time) (*TopView, error) {
	v := &TopView{At: now, Where: w.where}
	var err error
	if v.Sources, err = w.engine.Status(ctx); err != nil {
		return nil, err
	}
	var stirring, used, waiting int
	for _, s := range v.Sources {
		c := s.Counts
		stirring += c.Creating + c.SettingUp + c.Cleaning + c.Discarding + c.Failed + c.Held
		used += c.InUse()
		waiting += s.Waiting
	}
	if q, ok := w.engine.(interface {
		Queue(ctx context.Context) ([]compute.Queued, error)
	}); ok && waiting > 0 {
		if v.Queue, err = q.Queue(ctx); err != nil {
			return nil, err
		}
	}
	if stirring > 0 {
		if v.Moving, err = w.engine.Instances(ctx, compute.InstanceQuery{Limit: topLeases, States: []compute.State{compute.Creating,
			compute.SettingUp, compute.Cleaning,
			compute.Discarding, compute.Failed, compute.Held}}); err != nil {
			return nil, err
		}
		slices.SortStableFunc(v.Moving, func(a, b compute.Instance) int { return a.Since.Compare(b.Since) })
	}
	if used > 0 {
		if v.Leases, err = w.engine.Leases(ctx, compute.LeaseQuery{Limit: topLeases}); err != nil {
			return nil, err
		}
		v.more = len(v.Leases) >= topLeases
	}
	q := compute.EventQuery{After: w.after, Limit: topEvents}
	if !w.begun {
		q = compute.EventQuery{Newest: topEvents}
	}
	found, err := w.engine.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	w.begun = true
	for _, e := range found {
		w.after = max(w.after, e.ID)
	}
	w.events = append(w.events, found...)
	w.events = slices.Clone(w.events[max(0, len(w.events)-topEvents):])
	v.Events = w.events
	for _, e := range v.Events {
		if now.Sub(e.Time) > time.Minute {
			continue
		}
		switch e.Kind {
		case "leased":
			v.Given++
		case "released", "expired":
			v.Ended++
		case "failed", "paused", "unreachable", "discard-failed":
			v.failed++
		}
	}
	return v, nil
}

// topJSON is what `top --json` prints.
type topJSON struct {
	Time    time.Time       `json:"time"`
	Sources []api.Source    `json:"sources"`
	Moving  []api.Instance  `json:"moving"`
	Leases  []api.Lease     `json:"leases"`
	Events  []compute.Event `json:"events"`
	Given   int             `json:"given"`
	Ended   int             `json:"ended"`
	Failed  int             `json:"failed"`
}

func viewTop(v *TopView) topJSON {
	out := topJSON{
		Time: v.At, Sources: []api.Source{}, Moving: []api.Instance{}, Leases: []api.Lease{},
		Events: append([]compute.Event{}, v.Events...), Given: v.Given, Ended: v.Ended, Failed: v.failed,
	}
	for _, s := range v.Sources {
		out.Sources = append(out.Sources, source(s))
	}
	for _, i := range v.Moving {
		out.Moving = append(out.Moving, instance(i, nil))
	}
	for _, l := range v.Leases {
		out.Leases = append(out.Leases, api.NewLease(l))
	}
	return out
}
