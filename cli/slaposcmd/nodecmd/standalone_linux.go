package nodecmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/standalone"
)

// stand has a SlapOS in a directory until ctx ends, or a command has.
func stand(ctx context.Context, s *session.Session, o *standaloneOptions) error {
	o.Say, o.Warn = func(line string) { s.Log.Say("%s", line) }, func(line string) { s.Log.Warn("%s", line) }
	all, err := standalone.Start(ctx, o.StartOptions)
	switch {
	case errors.Is(err, standalone.ErrRuns):
		s.Log.Warn("%s", term.ErrorText(err))
		return term.Exit(ExitBusy)
	case err != nil && ctx.Err() != nil && len(o.words) == 0:
		return nil // that is how it ends
	case err != nil:
		return err
	}
	defer func() {
		if err := all.Stop(0); err != nil {
			s.Log.Warn("%s", term.ErrorText(err))
		}
	}()
	s.Log.Say(
		"SlapOS master on %s, and its node %s with %d partitions in %s; %s speaks to it", all.Master, all.Computer(),
		len(all.Names()), all.Dir, all.At(standalone.Wrapper),
	)
	if len(o.words) > 0 {
		err = standFor(ctx, s, o, all)
	} else {
		if s.App.JSON {
			if err := s.App.PrintJSON(standView(all)); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-all.Done():
		}
	}
	if why := all.Err(); why != nil {
		return why
	}
	return err
}

// standFor runs the user's command and returns its exit status. The end of this process or of the
// stand-alone ends the command.
func standFor(ctx context.Context, s *session.Session, o *standaloneOptions, all *standalone.Standalone) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-all.Done():
			cancel()
		case <-over:
		}
	}()
	program := o.words[0]
	if own := all.At("bin/" + program); !strings.Contains(program, "/") {
		if _, err := os.Stat(own); err == nil {
			program = own
		}
	}
	cmd := exec.CommandContext(ctx, program, o.words[1:]...)
	cmd.Env = all.Environ(os.Environ())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.App.In, s.App.Out, s.App.Err
	err := standalone.RunTied(cmd)
	exit, ok := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil || errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success():
		return nil
	case ok && exit.Sys().(syscall.WaitStatus).Signaled():
		return term.Exit(128 + int(exit.Sys().(syscall.WaitStatus).Signal()))
	case cmd.ProcessState != nil && cmd.ProcessState.ExitCode() >= 0:
		return term.Exit(cmd.ProcessState.ExitCode())
	}
	s.Log.Warn("%s: %v", o.words[0], err)
	if errors.Is(err, fs.ErrPermission) {
		return term.Exit(term.ExitNotExec)
	}
	return term.Exit(term.ExitNotFound)
}
