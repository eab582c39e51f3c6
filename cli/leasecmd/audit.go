package leasecmd

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/client"
	"github.com/hostler-project/hostler/compute/fault"
)

// showAudit prints the controller's audit log, oldest first.
func showAudit(a *cli.App, ctx context.Context, newest int, follow bool, args []string) error {
	switch {
	case follow:
		return fault.Invalid("hostler events --follow shows what happens", "--audit and --follow do not go together")
	case len(args) > 0:
		return fault.Invalid("", "--audit takes no name: it shows all")
	case newest < 0:
		return fault.Invalid("", "--newest %d: less than none", newest)
	case newest == 0:
		newest = 100
	}
	c, err := a.TheController(ctx, "an audit log")
	if err != nil {
		return err
	}
	acts, err := c.Audit(ctx, client.AuditQuery{Limit: newest})
	if err != nil {
		return err
	}
	var rows [][]string
	for _, one := range slices.Backward(acts) {
		if a.JSON {
			text, err := json.Marshal(one)
			if err == nil {
				err = term.Printf(a.Out, "%s\n", text)
			}
			if err != nil {
				return err
			}
			continue
		}
		note := one.Detail
		if one.Reason != "" {
			note = strings.TrimPrefix(note+"; "+one.Reason, "; ")
		}
		from := one.From
		if from == "" {
			from = "this machine"
		}
		rows = append(
			rows,
			[]string{
				one.Time.Local().Format(time.DateTime), term.Line(one.Who), term.Line(one.Via), term.Line(from), one.Project,
				one.Act, term.Line(one.Thing), one.Outcome, term.Line(note),
			},
		)
	}
	if a.JSON {
		return nil
	}
	return a.Table([]string{"time", "who", "via", "from", "project", "act", "on", "outcome", "note"}, rows)
}
