package runlog

import (
	"context"
	"io"
	"time"
)

// OutputOptions say what is copied of a run's outputs.
type OutputOptions struct {
	Stdout, Stderr io.Writer
	Lines          int  // the last lines of each; less than 0: all
	Follow         bool // go on with what it writes, until it ends
}

// CopyOutputs copies both outputs of a run. The end of ctx ends it, and is no error.
func (l *Log) CopyOutputs(ctx context.Context, rec Record, o OutputOptions) (err error) {
	outs := []struct {
		name string
		to   io.Writer
		at   int64
	}{{"stdout", o.Stdout, 0}, {"stderr", o.Stderr, 0}}
	for i := range outs {
		if o.Lines >= 0 {
			if outs[i].at, err = l.Tail(rec.ID, outs[i].name, o.Lines); err != nil {
				return err
			}
		}
	}
	for {
		// read before the output, so that no output can follow it
		ended := rec.State != Running && rec.State != Held
		for i := range outs {
			if outs[i].at, err = l.Copy(outs[i].to, rec.ID, outs[i].name, outs[i].at); err != nil {
				return err
			}
		}
		if !o.Follow || ended {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(Every):
		}
		if rec, err = l.Find(rec.ID); err != nil {
			return err
		}
	}
}
