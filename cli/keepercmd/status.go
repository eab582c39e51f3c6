package keepercmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/keeper"
)

// keeperStatus shows the keeper and its connections. That no keeper runs is no error, as it starts
// when it is needed.
func keeperStatus(ctx context.Context, a *cli.App) error {
	socket, err := cli.KeeperSocket()
	if err != nil {
		return err
	}
	st, err := keeper.Ask(ctx, socket)
	none := errors.Is(err, keeper.ErrNone)
	switch {
	case none && a.JSON:
		return a.PrintJSON(nil)
	case none:
		return term.Printf(a.Out, "no keeper is running\n")
	case err != nil:
		return err
	case a.JSON:
		return a.PrintJSON(st)
	}
	now := time.Now()
	line := fmt.Sprintf("process %d, for %s", st.PID, term.ShortDuration(now.Sub(st.Started)))
	switch {
	case st.Ending:
		line += ", ending"
	case st.Busy:
		line += ", at work"
	case !st.Due.IsZero():
		line += ", looks for work in " + term.ShortDuration(st.Due.Sub(now))
	}
	if st.Error != "" {
		line += "; its last work: " + term.Line(st.Error)
	}
	if err := term.Printf(a.Out, "%s\n", line); err != nil || len(st.Kept) == 0 {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, k := range st.Kept {
		source := ""
		if i, _, err := engine.Resolve(ctx, string(k.Instance)); err == nil {
			source = i.Source
		}
		rows = append(
			rows,
			[]string{
				source, string(k.Instance), fmt.Sprint(k.Users), term.ShortDuration(now.Sub(k.Since)),
				term.ShortDuration(now.Sub(k.Used)),
			},
		)
	}
	if err := term.Printf(a.Out, "\n"); err != nil {
		return err
	}
	return term.Table(a.Out, []string{"source", "instance", "users", "open for", "used before"}, rows)
}
