package cli

import (
	"context"
	"os"

	"github.com/hostler-project/hostler/compute"
)

// Who returns the user for whom the named instances or leases are used. In hooks and in commands of
// run, HOSTLER_LEASE is the token of a lease on HOSTLER_INSTANCE. Who presents it only if all the
// names mean that instance. Without an engine, a name is taken for an instance's.
func (a *App) Who(ctx context.Context, engine Engine, names ...string) compute.Who {
	who := compute.Who{Owner: a.Owner()}
	token := os.Getenv("HOSTLER_LEASE")
	if token == "" || len(names) == 0 {
		return who
	}
	own := compute.ID(os.Getenv("HOSTLER_INSTANCE"))
	for _, name := range names {
		if name != string(own) && (engine == nil || !means(ctx, engine, name, own, token)) {
			return who
		}
	}
	who.Lease = token
	return who
}

// means reports whether a name means the instance of a token, a pool's instance in front of it, or
// the one behind it.
func means(ctx context.Context, engine Engine, name string, own compute.ID, token string) bool {
	i, l, err := engine.Resolve(ctx, name)
	if err == nil && l != nil && l.Share != nil && name != string(i.ID) {
		return l.ID == token // another lease on the same instance does not count
	}
	front, held := i, l
	for err == nil {
		if front.ID == own || held != nil && held.ID == token {
			return true
		}
		if held == nil || held.Pool == "" {
			break
		}
		front, held, err = engine.Resolve(ctx, string(held.Pool))
	}
	for i.Child != "" {
		if i, l, err = engine.Resolve(ctx, string(i.Child)); err != nil {
			return false
		}
		if i.ID == own || l != nil && l.ID == token {
			return true
		}
	}
	return false
}
