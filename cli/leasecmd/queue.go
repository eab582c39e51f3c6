package leasecmd

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/inventory"
)

func NewQueue(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "List the requests that wait, in the order of their turns",
		Long: `List the requests that wait: whose they are, for what, since when, at which place, and how long that may take. The order is by priority; then the project
goes first that has least for its weight; then the older request. Of eight instances that come free one goes to the oldest request, whatever else.`,
		Example: "  hostler queue\n  hostler queue cancel 17",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return queue(a, cmd.Context())
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "cancel REQUEST...",
		Short:   "Take requests out of the queue, by their numbers",
		Long:    "Take requests out of the queue, by the numbers that `hostler queue` lists. Whoever waits for them is told by whom, and ends with an error.",
		Example: "  hostler queue cancel 17",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return cancelRequests(a, cmd.Context(), args)
		},
		ValidArgsFunction: func(cmd *cobra.Command, p1 []string, p2 string) (cli.Candidates, cobra.ShellCompDirective) {
			return completeRequests(a, cmd, p1, p2)
		},
	})
	return cmd
}

// queue prints the requests that wait.
func queue(a *cli.App, ctx context.Context) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	all, err := engine.Queue(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		views := []api.Waiter{}
		for _, q := range all {
			views = append(views, api.NewWaiter(q))
		}
		return a.PrintJSON(views)
	}
	return a.Table(queueHeads, queueRows(all, time.Now()))
}

var queueHeads = []string{"request", "source", "place", "count", "owner", "project", "priority", "since", "about", "note"}

// queueRows returns the table rows of waiting requests.
func queueRows(all []inventory.Queued, now time.Time) [][]string {
	rows := make([][]string, len(all))
	for i, q := range all {
		rows[i] = []string{strconv.FormatInt(q.ID, 10), q.Source, strconv.Itoa(q.Position), strconv.Itoa(q.Count),
			term.Line(q.Owner), term.Line(q.Project),
			strconv.Itoa(q.Priority), max(0, now.Sub(q.Since)).Round(time.Second).String(),
			cmp.Or(term.AboutDuration(q.Estimate), term.UnknownYet), term.Line(cmp.Or(q.Reason, q.Purpose))}
	}
	return rows
}
