package leasecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

func NewRelease(a *cli.App) *cobra.Command {
	var force, wait, anyones bool
	var every Scope
	cmd := &cobra.Command{
		Use:   "release [INSTANCE | LEASE]...",
		Short: "Give instances back: kept as far as the source wants them, else discarded",
		Long: `Give instances back. Of the names given, as many as the source wants are cleaned and kept, the first ones first; the others are discarded.
Either all names are good or nothing is changed. What takes long goes on in the background, unless --wait is given.

With --all nodes stay: the computers that deploy made are there until somebody names them, here or to destroy, or says --deployed.`,
		Example: "  hostler release web-3\n  hostler release --all --wait",
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Host.Now = wait
			return Release(a, cmd.Context(), args, every, anyones, compute.ReleaseOptions{Force: force})
		},
		ValidArgsFunction: a.CompleteLeased,
	}
	f := cmd.Flags()
	f.BoolVar(&every.all, "all", false, "everything that is yours, but nodes")
	f.BoolVar(&every.nodes, "deployed", false, "with --all: nodes too")
	f.BoolVarP(&force, "force", "f", false, "discard them, whatever the source wants to keep")
	f.BoolVar(&wait, "wait", false, "come back when they are clean or gone")
	f.BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

func NewDiscard(a *cli.App) *cobra.Command {
	var force, anyones bool
	cmd := &cobra.Command{
		Use:   "discard INSTANCE...",
		Short: "Unmake instances: leased by you, cached, failed, held, or of a source that is gone",
		Long: `Unmake instances and come back when they are gone. Instances under a lease of yours are given back first; those that nobody has (cached, failed, held,
orphaned) may be discarded too.`,
		Example: "  hostler discard web-3\n  hostler discard $(hostler status --json | jq -r '.instances[] | select(.state == \"held\").name')",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Host.Now = true
			return Release(a, cmd.Context(), args, Scope{}, anyones, compute.ReleaseOptions{Force: force, Discard: true})
		},
		ValidArgsFunction: a.CompleteInstances,
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "as release -f; discard does so in any case")
	_ = cmd.Flags().MarkHidden("force")
	cmd.Flags().BoolVar(&anyones, "any", false, "whoever has the lease; for administrators")
	return cmd
}

// Scope says what to release if no instance is named.
type Scope struct {
	all   bool // the caller's leases
	nodes bool // deploy's nodes too
}

// Release releases the named instances, or those of the scope.
func Release(a *cli.App, ctx context.Context, names []string, every Scope, anyones bool, opt compute.ReleaseOptions) error {
	switch {
	case every.nodes && !every.all:
		return fault.Invalid("hostler release --all --deployed", "--deployed goes with --all")
	case every.all == (len(names) > 0):
		return fault.Invalid("hostler status -v lists them", "name the instances to give back, or say --all")
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	who := a.Who(ctx, engine, names...)
	who.Admin = anyones
	ids := asIDs(names)
	if every.all {
		var stay []string
		leases, err := engine.Leases(ctx, compute.LeaseQuery{Owner: who.Owner})
		if err != nil {
			return err
		}
		for _, l := range leases {
			if l.Labels[deploy.Label] != "" && !every.nodes {
				stay = append(stay, cmp.Or(l.Name, string(l.Instance)))
				continue
			}
			ids = append(ids, compute.ID(l.Handle()))
		}
		sayStay(a, stay)
		if len(ids) == 0 && !a.JSON {
			return nil
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	done := make([]ReleasedView, len(ids))
	for i, id := range ids {
		if done[i], err = before(a, ctx, engine, id, opt); err != nil {
			return err
		}
	}
	var all []compute.ID
	if a.Host.Now {
		all = withBehind(ctx, engine, ids)
	}
	err = engine.Release(ctx, who, opt, ids...)
	released := err == nil
	if released {
		err = AtRest(a, ctx, engine, all)
	}
	a.Ring(ctx)
	if released {
		err = errors.Join(err, SayReleased(a, ctx, engine, done, opt))
	}
	return a.Interrupted(err, "what was given back stays so; what is not clean or gone yet goes on later")
}

// sayStay lists the nodes that release --all keeps.
func sayStay(a *cli.App, nodes []string) {
	if len(nodes) == 0 || a.Quiet {
		return
	}
	slices.Sort(nodes)
	const most = 8 // names in the line
	words := strings.Join(nodes[:min(most, len(nodes))], ", ")
	if more := len(nodes) - most; more > 0 {
		words += fmt.Sprintf(" and %d more", more)
	}
	_ = term.Printf(
		a.Err, "%s: %s: deployed, so kept: `hostler destroy` takes nodes by name, --deployed all of yours\n", a.Program,
		term.Line(words),
	)
}

// before looks up what a name means before it is released. It refuses a held instance unless opt
// discards it.
func before(a *cli.App, ctx context.Context, engine cli.Engine, name compute.ID, opt compute.ReleaseOptions) (ReleasedView, error) {
	i, l, err := engine.Resolve(ctx, string(name))
	v := ReleasedView{Name: string(name), Instance: string(name), Already: l == nil && !opt.Discard}
	switch {
	case errors.Is(err, compute.ErrNotFound):
		v.Already = true // or it never was; releasing it tells
	case err != nil:
		return v, err
	default:
		v.Instance = string(i.ID)
		if i.State == compute.Held && !opt.Discard {
			return v, &compute.Error{
				ID: i.ID, Kind: compute.ErrConflict, Err: errors.New("it is held"),
				Hint: "`hostler discard " + v.Instance + "` ends that",
			}
		}
	}
	return v, nil
}

// SayReleased reports what became of each name, unless that is just what was asked for.
func SayReleased(a *cli.App, ctx context.Context, engine cli.Engine, done []ReleasedView, opt compute.ReleaseOptions) error {
	for n, v := range done {
		done[n].State = "gone"
		if i, _, err := engine.Resolve(context.WithoutCancel(ctx), v.Instance); err == nil {
			done[n].State = string(i.State)
		}
		if v.Already && !a.Quiet && !a.JSON && !a.Compat {
			word := "released already"
			if opt.Discard {
				word = "gone already"
			}
			_ = term.Printf(a.Err, "%s: %s: %s\n", a.Program, v.Name, word)
		}
	}
	if a.JSON {
		return a.PrintJSON(done)
	}
	return nil
}

// withBehind adds the instances behind those of pools.
func withBehind(ctx context.Context, engine cli.Engine, names []compute.ID) []compute.ID {
	var out []compute.ID
	for _, name := range names {
		for name != "" {
			i, _, err := engine.Resolve(ctx, string(name))
			if err != nil {
				break // if this is an error, releasing reports it
			}
			out = append(out, i.ID)
			name = i.Child
		}
	}
	return out
}

// AtRest waits for instances that other processes are cleaning or discarding. It returns an error
// for each that is then neither clean nor gone.
func AtRest(a *cli.App, ctx context.Context, engine cli.Engine, ids []compute.ID) error {
	var errs []error
	for _, id := range ids {
		i, _, err := engine.Resolve(ctx, string(id))
		for err == nil && a.Moving(i) {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			i, _, err = engine.Resolve(ctx, string(id))
		}
		switch {
		case errors.Is(err, compute.ErrNotFound):
		case err != nil:
			errs = append(errs, err)
		case i.State == compute.Cleaning || i.State == compute.Discarding || i.State == compute.Failed:
			errs = append(errs, unrest(i))
		}
	}
	return errors.Join(errs...)
}

// unrest is the error for an instance that is neither clean nor gone.
func unrest(i compute.Instance) error {
	e := &compute.Error{
		ID: i.ID, Kind: compute.ErrFailed, Err: fmt.Errorf("it is %s still", i.State),
		Hint: "it is tried again; `hostler status -v` shows how it stands",
	}
	if i.Reason != "" {
		e.Err = fmt.Errorf("it is %s still: %s", i.State, i.Reason)
	}
	if wait := time.Until(i.Retry); wait > 0 {
		e.Hint = fmt.Sprintf(
			"it is tried again, in %s or later; `hostler discard %s` tries it at once",
			term.ShortDuration(wait.Round(time.Second)), i.ID,
		)
	}
	return e
}

func asIDs(names []string) []compute.ID {
	ids := make([]compute.ID, len(names))
	for i, n := range names {
		ids[i] = compute.ID(n)
	}
	return ids
}
