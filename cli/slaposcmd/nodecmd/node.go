package nodecmd

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// The exit statuses of a node's commands.
const (
	ExitNotRunning = 3  // a program does not run, or the master was not reached
	ExitBusy       = 10 // another pass of this kind runs
)

// newNodeCommand gives a command a node's options. It runs f once the file is read and, for a pass,
// the pass may begin. The master of n is then open.
func newNodeCommand(
	s *session.Session, cmd *cobra.Command, pass service.Pass, f func(ctx context.Context, n *service.Node, args []string) error,
) *cobra.Command {
	o := &nodeOptions{texts: map[string]*string{}, seconds: map[string]*float64{}}
	o.add(cmd, pass != service.NoPass && pass != service.ReadOnly)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.RunE(func(ctx context.Context, args []string) error {
			pass := pass
			if f := cmd.Flags().Lookup(historyOption); f != nil && f.Value.String() == "true" {
				pass = service.NoPass // it only reads
			}
			n, err := o.node(s, cmd, pass)
			if err != nil {
				return err
			}
			defer n.Close()
			if pass != service.NoPass {
				end, err := n.Begin(ctx, pass, o.now)
				if err != nil {
					return exitIfBusy(s, err)
				}
				defer end()
			}
			return exitIfBusy(s, f(ctx, n, args))
		})(cmd, args)
	}
	return cmd
}

// exitIfBusy gives the error of a pass that another process makes its exit status.
func exitIfBusy(s *session.Session, err error) error {
	busy, ok := errors.AsType[*service.BusyError](err)
	if !ok {
		return err
	}
	s.Log.Warn("%s", busy)
	return term.Exit(ExitBusy)
}

// OpenNode reads the file of a node.
func OpenNode(s *session.Session) (*service.Node, error) {
	n := &service.Node{
		Path: cmp.Or(s.File, os.Getenv("SLAPOS_CONFIGURATION"), session.DefaultNodeFile), Insecure: s.Insecure,
		Version: version.Read().Version, Debug: s.App.Debug, Bundles: s.App.Host.Bundles, Log: &s.Log,
	}
	var err error
	if n.Path, err = filepath.Abs(n.Path); err != nil {
		return nil, err
	}
	if n.File, err = s.NodeFile("hostler slapos node register makes it; --cfg FILE names another"); err != nil {
		return nil, err
	}
	if n.Settings, err = n.File.Node(); err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return n, nil
}
