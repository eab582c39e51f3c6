package sshcmd

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/sshserve"
	"github.com/hostler-project/hostler/run"
	"github.com/hostler-project/hostler/run/session"
)

func NewSSHProxy(a *cli.App) *cobra.Command {
	var o sshFlags
	cmd := &cobra.Command{
		Use:   "ssh-proxy NAME",
		Short: "Speak ssh's protocol for an instance on standard input and output",
		Long: `Be what ssh connects to, as its ProxyCommand: hostler ssh-config writes such a configuration. NAME is an instance, a lease's name, or a source: then one is acquired,
and given back when the connection ends. A name may end with ` + sshSuffix + `. Nobody is asked for a key or a password, as who started this process is the one who speaks to it.`,
		Example: "  hostler ssh-proxy web-3",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return sshProxy(a, cmd.Context(), &o, args[0])
		},
		ValidArgsFunction: a.CompleteTargets,
	}
	o.acquire.Declare(a, cmd)
	cmd.Flags().BoolVar(&o.any, "any", false, "use the instance whoever has the lease; for administrators")
	return cmd
}

// sshFlags are ssh-proxy's.
type sshFlags struct {
	acquire leasecmd.AcquireFlags
	any     bool
}

// sshProxy serves one connection of ssh.
func sshProxy(a *cli.App, ctx context.Context, o *sshFlags, name string) error {
	key, _, err := hostKey()
	if err != nil {
		return err
	}
	r := leasecmd.NewSession(a, &o.acquire, session.Options{Any: o.any})
	var signals run.Interrupts
	ctx, stop := signals.Listen(ctx, true)
	defer r.Backend.Close()
	defer stop()
	if err := r.Obtain(ctx, name); errors.Is(err, compute.ErrNotFound) && strings.HasSuffix(name, sshSuffix) {
		r.Backend.Close()
		if err := r.Obtain(ctx, strings.TrimSuffix(name, sshSuffix)); err != nil {
			return signals.Interrupted(err, false)
		}
	} else if err != nil {
		return signals.Interrupted(err, false)
	}
	defer r.ReleaseTemporary(ctx)
	conn, _, err := r.ConnectOrReplace(ctx)
	if err != nil {
		return signals.Interrupted(err, false)
	}
	defer conn.Close()
	env := map[string]string{"HOSTLER_INSTANCE": string(r.Instance.ID), "HOSTLER_LEASE": r.Lease.ID}
	life, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		r.Watch(life, cancel)
	}()
	err = sshserve.Serve(life, newStdio(a.In, a.Out), sshserve.Options{Conn: conn, Key: key, User: sshUser, Env: env, Log: a.Log})
	ended := context.Cause(life)
	cancel(nil)
	<-watched
	switch {
	case errors.Is(ended, compute.ErrEnded):
		return session.LostContact(r.Instance.ID, ended, nil)
	case errors.Is(ended, session.ErrLeaseEnded):
		return &compute.Error{ID: r.Instance.ID, Kind: compute.ErrNotLeased, Err: session.ErrLeaseEnded}
	case ctx.Err() != nil:
		return nil // ssh ends this process by a signal
	}
	return err
}

// stdio is standard input and output as one stream. Closing it ends a blocked read, which closing
// standard input would not do.
type stdio struct {
	io.Writer
	*io.PipeReader
}

// newStdio makes one stream of both.
func newStdio(in io.Reader, out io.Writer) stdio {
	r, w := io.Pipe()
	go func() { // ends with its input or the process
		_, err := io.Copy(w, in)
		_ = w.CloseWithError(cmp.Or(err, io.EOF))
	}()
	return stdio{out, r}
}
