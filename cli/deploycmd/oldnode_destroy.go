package deploycmd

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// destroyNode destroys all nodes of exactly this name.
func destroyNode(a *cli.App, ctx context.Context, o *oldNodeOptions, words []string) error {
	if len(words) != 1 || words[0] == "" {
		return fault.Invalid("destroy-node NAME", "one name is to be given")
	}
	o.destroy.old = true
	err := destroy(a, ctx, &o.destroy, words)
	if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied) {
		a.TellAs(a.Program, err)
		return term.Exit(deploy.StatusRefused)
	}
	return err
}
