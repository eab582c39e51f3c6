package sourcecmd

import (
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

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
