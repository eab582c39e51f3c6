package slaposcmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/slapos/node/standalone"
)

// stand has a SlapOS in a directory until ctx ends, or a command has.
func (s *Slapos) stand(ctx context.Context, o *standing) error {
	o.Say, o.Warn = func(line string) { s.Say("%s", line) }, func(line string) { s.Warn("%s", line) }
	all, err := standalone.Start(ctx, o.StartOptions)
	switch {
	case errors.Is(err, standalone.ErrRuns):
		s.Warn("%s", term.ErrorText(err))
		return term.Exit(SlaposBusy)
	case err != nil && ctx.Err() != nil && len(o.words) == 0:
		return nil // that is how it ends
	case err != nil:
		return err
	}
	defer func() {
		if err := all.Stop(0); err != nil {
			s.Warn("%s", term.ErrorText(err))
		}
	}()
	s.Say(
		"SlapOS master on %s, and its node %s with %d partitions in %s; %s speaks to it", all.Master, all.Computer(),
		len(all.Names()), all.Dir, all.At(standalone.Wrapper),
	)
	if len(o.words) > 0 {
		err = s.standFor(ctx, o, all)
	} else {
		if s.A.JSON {
			if err := s.A.PrintJSON(standView(all)); err != nil {
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
func (s *Slapos) standFor(ctx context.Context, o *standing, all *standalone.Standalone) error {
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
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.A.In, s.A.Out, s.A.Err
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
	s.Warn("%s: %v", o.words[0], err)
	if errors.Is(err, fs.ErrPermission) {
		return term.Exit(term.ExitNotExec)
	}
	return term.Exit(term.ExitNotFound)
}
