package leasecmd

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/pool/recording"
)

// record has the decisions about a request written to a file. done ends that.
func record(a *cli.App, ctx context.Context, file string) (done func(), err error) {
	if file == "" {
		return func() {}, nil
	}
	to := &lateFile{}
	r := recording.NewRecorder(to, version.Read().Version)
	a.Host.Record = r.Record
	if _, err := a.Engine(ctx); err != nil {
		return nil, err
	}
	if a.Remote != nil {
		return nil, fault.Invalid(
			"hostler --embedded acquire decides by itself, where it may",
			"--record: the controller decides what a request gets, and this command cannot record it",
		)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fault.Invalid("", "--record: %w", err)
	}
	to.Writer = f
	return func() {
		if err := errors.Join(r.Err(), f.Close()); err != nil {
			a.Log.Warn("the recording is not whole", "file", file, "err", err) // the leases are
		}
	}, nil
}

// lateFile is a writer that is known later than it is needed.
type lateFile struct{ io.Writer }
