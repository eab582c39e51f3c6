package leasecmd

import (
	"context"
	"errors"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
)

// Acquire acquires instances by the options of a command line. The leases end with a process, if
// pid names one.
func Acquire(a *cli.App, ctx context.Context, flags *AcquireFlags, count int, pid string) ([]compute.Lease, error) {
	source, err := a.SourceName()
	if err != nil {
		return nil, err
	}
	req, err := flags.Request(a, source)
	if err != nil {
		return nil, err
	}
	req.Count = count
	if err := CheckKey(flags.key); err != nil {
		return nil, err
	}
	if flags.Name != "" && count != 1 {
		return nil, fault.Invalid("", "--name %s: a name is for one instance, not %d", flags.Name, count)
	}
	bound, err := processOf(pid)
	if err != nil {
		return nil, err
	}
	a.Host.LeaseIdle = cli.IdleAcquired
	engine, err := a.Engine(ctx)
	if err != nil {
		return nil, err
	}
	if flags.key == "" { // with a key, the server checks the name
		err = CheckName(a, ctx, engine, flags.Name)
	}
	if err != nil {
		return nil, err
	}
	if bound.PID != 0 {
		if err := bindTo(a, &req, bound.PID); err != nil {
			return nil, err
		}
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	acquire := engine.Acquire
	if flags.key != "" {
		acquire = keyed(a, engine, flags.key)
	}
	leases, _, err := takeTimed(a, ctx, engine, req, acquire)
	err = a.Unread(source, err)
	a.Ring(ctx)
	if err == nil && bound.PID != 0 && req.For.PID == 0 {
		err = standFor(a, bound, leases)
	}
	became := "nothing is acquired"
	if flags.key != "" {
		became = "the same with --key " + term.Line(flags.key) + " tells what is acquired"
	}
	return leases, a.Interrupted(err, became)
}

// CheckName refuses a lease's name that could be mistaken for another kind of name.
func CheckName(a *cli.App, ctx context.Context, engine cli.Engine, name string) error {
	if a.Remote != nil { // a controller checks names itself
		return nil
	}
	return api.CheckFree(ctx, name, a.IsSource, engine.Resolve)
}

// Take acquires instances. While a request waits, it prints why, and it stops a wait that cannot
// end.
func Take(a *cli.App, ctx context.Context, engine cli.Engine, req compute.Request) ([]compute.Lease, error) {
	leases, _, err := takeTimed(a, ctx, engine, req, engine.Acquire)
	return leases, err
}

// errVain says that all instances are held aside, so no release can end the wait.
var errVain = errors.New("all of it is held aside")
