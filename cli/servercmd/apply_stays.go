package servercmd

import (
	"context"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/controller"
)

// sayStays says which applied things --prune leaves, as they have not the labels of the set.
func sayStays(a *cli.App, ctx context.Context, set api.ApplySet) error {
	var all api.AppliedSet
	var err error
	if a.Remote != nil {
		all, err = a.Remote.Applied().List(ctx, nil)
	} else {
		all, err = controller.OfflineApplied(a.Host).List(ctx, nil)
	}
	if err != nil {
		return err
	}
	mine := map[string]bool{}
	for _, t := range set.Things {
		mine[t.Kind+" "+t.Name] = true
	}
	var stay []string
	for _, t := range all.Things {
		name := t.Kind + " " + t.Name
		has := true
		for key, value := range set.Labels {
			has = has && t.Labels[key] == value
		}
		if !mine[name] && !has {
			stay = append(stay, name)
		}
	}
	if len(stay) > 0 {
		a.Say("not pruned, as these labels are not theirs: %s", term.Line(strings.Join(stay, ", ")))
	}
	return nil
}
