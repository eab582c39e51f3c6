package session

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// lastWords is the time that a command which was ended has, to be over and to have written what it
// had to say.
const lastWords = 10 * time.Second

// Bounded is run, which returns soon after ctx has ended, unless nobody takes what the command
// wrote: then it is left to itself, as this process ends too. left: so it was.
func Bounded(ctx context.Context, run func() (compute.Exit, error)) (exit compute.Exit, left bool, err error) {
	type end struct {
		exit compute.Exit
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		exit, err := run()
		ended <- end{exit, err}
	}()
	select {
	case e := <-ended:
		return e.exit, false, e.err
	case <-ctx.Done():
	}
	late := time.NewTimer(lastWords)
	defer late.Stop()
	select {
	case e := <-ended:
		return e.exit, false, e.err
	case <-late.C:
		return compute.Exit{}, true, ctx.Err()
	}
}
