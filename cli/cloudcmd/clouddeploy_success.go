package cloudcmd

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
)

// onSuccess runs the command of --on-success.
func onSuccess(a *cli.App, ctx context.Context, o *cloudDeployOptions, v cloudView) error {
	if o.success == "" || o.dry {
		return nil
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", o.success)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.In, a.Err, a.Err
	cmd.Env = append(os.Environ(), "HOSTLER_CLOUD="+v.Name, "HOSTLER_HEAD="+v.Head)
	if err := cmd.Run(); err != nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("--on-success: %w", err)}
	}
	return nil
}
