package leasecmd

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/linux/proc"
	"github.com/hostler-project/hostler/provider/local"
)

// standFor starts a helper process. As long as process p lives, the helper reports that the leases
// are in use; then it releases them.
func standFor(a *cli.App, p compute.Process, leases []compute.Lease) error {
	args, err := cli.OwnCommand(a)
	if err != nil {
		return err
	}
	args = append(args, "stand", "--pid", strconv.Itoa(p.PID), "--start", strconv.FormatUint(p.Start, 10))
	for _, l := range leases {
		args = append(args, l.ID)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", local.Unmarked(os.Environ()) // the helper is part of no run
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}

// NewStand returns the helper of acquire --for, for a controller that does not see this machine's
// processes.
func NewStand(a *cli.App) *cobra.Command {
	var p compute.Process
	cmd := &cobra.Command{
		Use: "stand LEASE...", Short: "Say that leases are used while a process lives",
		Example: "  hostler stand --pid 4711 --start 17 LEASE", Hidden: true, Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return stand(a, cmd.Context(), p, args) },
	}
	cmd.Flags().IntVar(&p.PID, "pid", 0, "the process `N`")
	cmd.Flags().Uint64Var(&p.Start, "start", 0, "when it began, in `TICKS`")
	return cmd
}

const (
	standLook = 500 * time.Millisecond // between looks at the process
	standSay  = idleBound / 4
)

// stand reports the use of leases, and releases them when the process has ended. It ends when the
// last lease has.
func stand(a *cli.App, ctx context.Context, p compute.Process, leases []string) error {
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	var said time.Time
	for len(leases) > 0 && ctx.Err() == nil {
		if now, err := proc.Live(p.PID); err != nil || now != p {
			return giveUp(a, ctx, engine, leases)
		}
		if time.Since(said) >= standSay {
			said = time.Now()
			leases = slices.DeleteFunc(leases, func(id string) bool {
				_, err := engine.Use(ctx, compute.Who{Owner: a.Owner(), Lease: id}, compute.ID(id))
				return errors.Is(err, compute.ErrConflict) || errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrDenied)
			})
		}
		select {
		case <-ctx.Done():
		case <-time.After(standLook):
		}
	}
	return nil
}

// giveUp releases the leases that still exist.
func giveUp(a *cli.App, ctx context.Context, engine cli.Engine, leases []string) error {
	var errs []error
	for _, id := range leases {
		err := engine.Release(ctx, compute.Who{Owner: a.Owner(), Lease: id}, compute.ReleaseOptions{}, compute.ID(id))
		if !errors.Is(err, compute.ErrConflict) && !errors.Is(err, compute.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
