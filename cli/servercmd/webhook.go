package servercmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/controller/server"
)

func NewWebhook(a *cli.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Show and try the receivers of events that a controller tells",
		Long: `A controller tells what happens to the receivers of hostler.conf's sections [webhook NAME]: see docs/watching.md. list shows how far each has come, test makes
one delivery of nothing, and skip gives up what a receiver was not told yet.`,
		Example: "  hostler webhook list\n  hostler webhook test chat",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return listWebhooks(a, cmd.Context()) },
	}
	names := func(cmd *cobra.Command, args []string, _ string) (out cli.Candidates, _ cobra.ShellCompDirective) {
		if w, err := webhooks(a, cmd.Context()); err == nil && len(args) == 0 {
			all, _ := w.List(cmd.Context())
			for _, one := range all {
				out = append(out, one.Name)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "Show the webhooks, and how far each has come", Args: cobra.NoArgs, Example: "  hostler webhook list --json",
		RunE: func(cmd *cobra.Command, _ []string) error { return listWebhooks(a, cmd.Context()) },
	}, &cobra.Command{
		Use: "test NAME", Short: "Make one delivery of nothing, and say what came of it", Args: cobra.ExactArgs(1),
		Example: "  hostler webhook test chat",
		RunE:    func(cmd *cobra.Command, args []string) error { return testWebhook(a, cmd.Context(), args[0]) }, ValidArgsFunction: names,
	}, &cobra.Command{
		Use: "skip NAME", Short: "Give up what it was not told yet, and go on with what happens from now on",
		Args: cobra.ExactArgs(1), Example: "  hostler webhook skip chat",
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := webhooks(a, cmd.Context())
			if err != nil {
				return err
			}
			return w.Skip(cmd.Context(), args[0])
		}, ValidArgsFunction: names,
	})
	return cmd
}

// webhooks returns those of the controller, or of our own configuration.
func webhooks(a *cli.App, ctx context.Context) (server.Webhooks, error) {
	if _, err := a.Engine(ctx); err != nil {
		return nil, err
	}
	if a.Remote != nil {
		return a.Remote.Webhooks(), nil
	}
	return controller.OfflineWebhooks(ctx, a.Host)
}

func testWebhook(a *cli.App, ctx context.Context, name string) error {
	w, err := webhooks(a, ctx)
	if err != nil {
		return err
	}
	t, err := w.Test(ctx, name)
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.PrintJSON(t)
	} else if t.Error == "" {
		err = term.Printf(
			a.Out, "%s took it with status %d in %s\n", name, t.Status,
			time.Duration(t.Took*float64(time.Second)).Round(time.Millisecond),
		)
	}
	if t.Error != "" {
		hint := "is the address right, and does it answer?"
		if strings.HasPrefix(t.Error, "it answers 40") {
			hint = "does the receiver have the same secret?"
		}
		return errors.Join(
			err,
			&compute.Error{
				ID: compute.ID(name), Kind: compute.ErrFailed,
				Err: errors.New("the test delivery was not taken: " + t.Error), Hint: hint,
			},
		)
	}
	return err
}
