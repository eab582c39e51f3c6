package run

import (
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/exitstatus"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
	"github.com/hostler-project/hostler/text/visible"
)

// command runs the command on the session's instance, with its tree, script and files.
func (r *Runner) command(ctx context.Context) error {
	conn, err := r.enter(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	cmd, restore, err := r.makeCommand(ctx)
	if err != nil {
		return err
	}
	defer restore()
	if r.Script != nil {
		remove, err := r.putScript(ctx, conn, cmd)
		if err != nil {
			return err
		}
		defer remove()
	}
	if r.Around != nil {
		end, err := r.Around(ctx, r.Session.Instance.ID, conn, cmd)
		if err != nil {
			return err
		}
		defer end()
	}
	if r.Tree != nil {
		defer r.copy.release() // after the results are collected
	} else if err = r.listBefore(ctx, conn, cmd); err != nil {
		return err
	}
	err = r.execute(ctx, conn, cmd, restore)
	restore() // later messages go to a restored terminal
	return r.collect(ctx, conn, cmd, err)
}

// makeCommand makes the command for the other side. restore resets the local terminal.
func (r *Runner) makeCommand(ctx context.Context) (cmd *compute.Command, restore func(), err error) {
	s, local := r.Session, r.way.Local
	cmd = &compute.Command{Args: r.Args, User: r.User, Signals: r.Interrupts.signals}
	// with a key, the output may have to be printed again
	r.join(cmd, local && r.Terminal == nil && r.Record.Key == "")
	if cmd.Dir, err = r.directory(ctx); err != nil {
		return nil, nil, err
	}
	if cmd.Env, err = r.Env.For(local, os.Environ()); err != nil {
		return nil, nil, err
	}
	maps.Copy(cmd.Env, map[string]string{
		"HOSTLER_INSTANCE": string(s.Instance.ID), "HOSTLER_LEASE": s.Lease.ID, "HOSTLER_RUN": r.id(),
	})
	maps.Copy(cmd.Env, r.Env.Own)
	if shell := os.Getenv("SHELL"); r.isShell() && local && shell != "" {
		cmd.Args = []string{shell}
	}
	cmd.Stdin, restore = r.Stdin, func() {}
	switch {
	case r.Terminal != nil:
		restore, err = r.Terminal(cmd)
	case r.Typed && !local && !r.Forward:
		cmd.Stdin = nil // the command has no terminal, so typed input is not for it
	case r.Typed:
		// the command is not in the terminal's foreground group, so it cannot read by itself
		cmd.Stdin = struct{ io.Reader }{r.Stdin}
	}
	return cmd, restore, err
}

// directory returns where the command starts. In a copy of the tree, the path is relative to the
// copy.
func (r *Runner) directory(ctx context.Context) (string, error) {
	switch {
	case r.Bound != "" && path.IsAbs(r.Dir):
		return r.Dir, nil
	case r.Bound != "":
		return path.Join(r.Bound, r.Dir), nil
	case r.Tree != nil && !path.IsAbs(r.Dir):
		return path.Join(r.Tree.Sub, r.Dir), nil
	case r.Tree != nil, filepath.IsAbs(r.Dir):
		return r.Dir, nil
	case !r.way.Local && (r.way.Shown == nil || !r.way.Shown(ctx)):
		return r.Dir, nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", fault.Invalid("", "the current directory: %v", err)
	}
	return filepath.Join(wd, r.Dir), nil
}

// listBefore lists the files that exist before the command.
func (r *Runner) listBefore(ctx context.Context, conn compute.Conn, cmd *compute.Command) error {
	if !r.collector.Any() {
		return nil
	}
	defer phase(&r.phases.Collect)()
	err := r.collector.ListBefore(ctx, conn, newfiles.Place{Dir: cmd.Dir, User: cmd.User})
	if e, ok := errors.AsType[*compute.Error](err); ok && e.ID == "" {
		e.ID = r.Session.Instance.ID
	}
	return err
}

// collect brings back what the command made, and returns how the run ended with that.
func (r *Runner) collect(ctx context.Context, conn compute.Conn, cmd *compute.Command, err error) error {
	var own exitstatus.Exit
	if !r.collector.Any() || r.result.Begun.IsZero() || err != nil && !errors.As(err, &own) {
		return err // it did not run, or may still run
	}
	defer phase(&r.phases.Collect)()
	r.collector.Record = r.rec.Run
	c := r.collector.Collect(ctx, conn, newfiles.Place{Dir: cmd.Dir, User: cmd.User}, err != nil)
	r.collected = c
	if r.Options.Collected != nil {
		r.Options.Collected(r, c)
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case len(c.Missing) > 0:
		r.Printer.Warn(
			"%s: the command went well, and this is missing: %s", r.Session.Instance.ID,
			visible.Line(strings.Join(c.Missing, ", ")),
		)
		return exitstatus.Exit(exitstatus.Missing)
	case r.Options.Artifacts.FailTests && c.Report != nil && !c.Report.OK():
		return exitstatus.Exit(1)
	}
	return nil
}
