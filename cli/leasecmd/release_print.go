package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

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
