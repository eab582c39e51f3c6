package session

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// abandonAfter is how long a command that was stopped may take to end and to deliver its last
// output.
const abandonAfter = 10 * time.Second

// Abandonable calls run, and returns soon after ctx has ended even if run is blocked because its
// output is not read. Then left is true, and run goes on until this process ends.
func Abandonable(ctx context.Context, run func() (compute.Exit, error)) (exit compute.Exit, left bool, err error) {
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
	late := time.NewTimer(abandonAfter)
	defer late.Stop()
	select {
	case e := <-ended:
		return e.exit, false, e.err
	case <-late.C:
		return compute.Exit{}, true, ctx.Err()
	}
}
