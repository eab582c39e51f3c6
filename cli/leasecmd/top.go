package leasecmd

import (
	"context"
	"os"
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

// top shows the view once, or on the whole terminal again and again.
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

// viewTop converts a view to its document.
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
