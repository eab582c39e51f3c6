package sourcecmd

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
)

// trustList prints all approvals of the user.
func trustList(a *cli.App) error {
	store, err := trustStore()
	if err != nil {
		return err
	}
	all, err := store.List()
	if err != nil {
		a.Log.Warn("an approval", "err", err)
	}
	views, rows := []approvalView{}, [][]string{}
	for _, was := range all {
		v := approvalView{was.Root, was.Time, []string{}}
		for _, it := range was.Items {
			v.Items = append(v.Items, it.Name)
		}
		views = append(views, v)
		rows = append(rows, []string{term.Line(v.Root), v.Time.Local().Format(time.DateTime), term.Line(strings.Join(v.Items, ", "))})
	}
	if a.JSON {
		return a.PrintJSON(views)
	}
	return a.Table([]string{"root", "approved", "what"}, rows)
}

// danger finds the root of a tree that a user means: its path, or the only one.
func danger(dangers []config.Danger, path string) (config.Danger, error) {
	for _, d := range dangers {
		if d.Root == path || path == "" && len(dangers) == 1 {
			return d, nil
		}
	}
	if path == "" && len(dangers) > 1 {
		return config.Danger{}, fault.Invalid(
			"name one: hostler trust show lists them", "%d roots of trees wait for your word", len(dangers),
		)
	}
	if path == "" {
		return config.Danger{}, fault.Invalid("", "no root of a tree here has anything that needs trust")
	}
	return config.Danger{}, fault.Invalid(
		"go into the tree: hostler -C DIR trust; its root is DIR/.hostler",
		"%s: it is no root that waits for approval and that is read from here", path,
	)
}
