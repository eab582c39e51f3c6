package compatcmd

import (
	"context"
	"strconv"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/compute"
)

// crcacheAcquire acquires instances of a source, without a limit of time, and prints their
// names.
func crcacheAcquire(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	count := 1
	if len(words) > 1 {
		return usage("acquire takes one COUNT")
	}
	if len(words) == 1 {
		n, err := strconv.Atoi(words[0])
		if err != nil || n < 0 {
			return usage("COUNT %q is not a number of instances", words[0])
		}
		count = n
	}
	if o.source == "" {
		return usage("-s: empty name")
	}
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	leases, err := leasecmd.Take(a, ctx, engine, compute.Request{Source: o.source, Count: count, Owner: a.Owner(), TTL: -1, Idle: -1})
	if err != nil {
		return err
	}
	return leasecmd.Hand(a, ctx, leases, false)
}

func crcacheRelease(a *cli.App, ctx context.Context, o *crcacheOptions, words []string) error {
	if len(words) == 0 {
		return usage("release what? NAME...")
	}
	return leasecmd.Release(a, ctx, words, leasecmd.Scope{}, false, compute.ReleaseOptions{Force: o.force})
}
