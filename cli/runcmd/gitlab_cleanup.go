package runcmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
)

func newGitlabCleanup(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use:     "cleanup",
		Short:   "Stage cleanup: give the job's instance back",
		Example: "  hostler gitlab cleanup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return gitlabStage(a, gitlabCleanup(a, cmd.Context()))
		},
	}
}

// gitlabCleanup gives back the instance of a job.
func gitlabCleanup(a *cli.App, ctx context.Context) error {
	name, err := gitlabLease()
	if err != nil {
		return err
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	err = engine.Release(ctx, compute.Who{Owner: a.Owner()}, compute.ReleaseOptions{}, compute.ID(name))
	if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrNotLeased) {
		return nil // prepare gave none, or it ended
	}
	a.Ring(ctx)
	return err
}
