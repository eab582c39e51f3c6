// Package session has the state of one command line of SlapOS: its options, its messages, the
// master that it asks, and its exit statuses.
package session

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// The exit statuses of SlapOS's commands beside 0, 1 (failed) and 2 (usage).
const (
	// the request was taken but has no result yet, or the master does not know the name
	ExitNotYet  = 2
	exitUnknown = 5 // no such command
)

// A Session is one command line of SlapOS.
type Session struct {
	App      *cli.App
	Log      Log
	File     string // --cfg
	Insecure bool   // any certificate of the master's is taken

	Settings *cfg.Client        // of the client's file; nil: not read yet
	Client   *slapclient.Client // of the master that these name; nil: not opened yet
}

// New returns the session of an application's command line.
func New(a *cli.App) *Session { return &Session{App: a, Log: Log{app: a}} }

// Options declares the options of all commands.
func (s *Session) Options(f *pflag.FlagSet) {
	f.StringVar(&s.File, "cfg", "", "read `FILE` ($SLAPOS_CLIENT_CONFIGURATION or ~/.slapos/slapos-client.cfg)")
	f.StringVar(&s.Log.File, "log-file", "", "append what is said on standard error to `FILE` too")
	f.BoolVarP(&s.Log.verbose, "verbose", "v", false, "say more on standard error")
	f.BoolVar(&s.Insecure, "insecure", false, "take any certificate of the master's, as SlapOS's own client does")
	f.Bool("log-color", false, "as always: lines of text without colours")
	f.Bool("log-time", true, "as always: with the time")
	for _, name := range []string{"log-color", "log-time"} {
		_ = f.MarkHidden(name)
	}
}

// Dashed accepts _ for - in options, and --logfile for --log-file.
func Dashed(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name = strings.ReplaceAll(name, "_", "-"); name == "logfile" {
		name = "log-file"
	}
	return pflag.NormalizedName(name)
}

// RunE returns a command's function. It runs f until a signal comes, reports its errors, and
// returns SlapOS's exit statuses.
func (s *Session) RunE(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, stop := s.App.UntilSignal(cmd.Context())
		defer stop()
		err := s.App.Interrupted(f(ctx, args), "")
		if s.Client != nil {
			s.Client.Close()
		}
		var told term.Exit
		var ended *term.Interruption
		if err == nil || errors.As(err, &told) || errors.As(err, &ended) {
			return err
		}
		n := 1
		if errors.Is(err, compute.ErrInvalid) || errors.Is(err, slapclient.ErrNotReady) {
			n = 2
		}
		s.Log.Fail(Hinted(err))
		return term.Exit(n)
	}
}

// Hinted gives the client's errors hostler's kinds, with hints.
func Hinted(err error) error {
	var ours *compute.Error
	if errors.As(err, &ours) {
		return err
	}
	e := &compute.Error{Kind: compute.ErrFailed, Err: err}
	switch {
	case errors.Is(err, slapclient.ErrNotFound):
		e.Kind = compute.ErrNotFound
	case errors.Is(err, slapclient.ErrDenied):
		e.Kind, e.Hint = compute.ErrDenied, "cert_file and key_file say to the master who asks"
	case errors.Is(err, slapclient.ErrUntrusted):
		e.Kind, e.Hint = compute.ErrDenied, "master_ca_file in [slapos] names who signs the master's certificate; --insecure takes any"
	case errors.Is(err, slapclient.ErrUnreachable):
		e.Kind, e.Hint = compute.ErrUnavailable, "is master_url right, and does the master run?"
	case errors.Is(err, proto.ErrUnwritable):
		e.Kind = compute.ErrInvalid
	}
	return e
}
