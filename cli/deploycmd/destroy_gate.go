package deploycmd

import (
	"context"
	"errors"
	"os/exec"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
)

// passed checks the gate.
func passed(a *cli.App, ctx context.Context, o *destroyOptions) error {
	if err := o.gate.Check(); err != nil {
		return err
	}
	if o.command == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.command)
	// standard output is for what destroy says
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, a.Err, a.Err
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &exit):
		return fault.Conflict("", "%w: --if ended with %s", deploy.ErrTests, exit.ProcessState)
	case err != nil:
		return fault.Invalid("", "--if: %v", err)
	}
	return nil
}
