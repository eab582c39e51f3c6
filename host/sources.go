package host

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// quotas returns the limits of each configured project; nil: there are no projects.
func quotas(projects []*config.Project) func(string) pool.Project {
	if len(projects) == 0 {
		return nil
	}
	all := map[string]pool.Project{}
	for _, p := range projects {
		if p.Err == nil {
			all[p.Name] = pool.Project{
				Weight: p.Weight, Highest: p.Priority, Quota: capacity(p.Quota), Users: capacity(p.UserQuota),
				Limits: p.Limits,
			}
		}
	}
	return func(name string) pool.Project { return all[name] }
}

func capacity(q config.Quota) compute.Capacity {
	return compute.Capacity{Count: q.Count, Cores: q.Cores, Memory: q.Memory, Cost: q.Cost}
}

// demandWindow returns for how long the leases of a source are measured; 0: they are not.
func demandWindow(s *config.Source) time.Duration {
	if s.Strategy != "demand" {
		return 0
	}
	return cmp.Or(Deref(s.Window), DemandWindow)
}

// checkWindow returns what is wrong with the cron expressions of a window.
func checkWindow(begin, end string) error {
	_, err := director.NewWindow("", begin, end)
	return err
}

// SharedStore is a store that several controllers share. All of them serve requests, and the one
// with the lead directs.
//
// Correctness does not depend on the lead; it only avoids double work. A director acts in
// transactions that check the state again. A create says how many instances there should be in all.
// A discard, stop or start names an instance that is ready and unused since. A controller that was
// paused meanwhile therefore does what is still right, and nothing else. What it was making is
// recorded under its worker's number, which is alive as long as its connection. If the server has
// cut the connection, others have taken over the record, and the controller finds that out at its
// next step.
type SharedStore interface {
	// Lead tries to get the lead until ctx ends, and calls told when it got or lost it.
	Lead(ctx context.Context, told func(leads bool))
	// Leads reports whether this controller has the lead.
	Leads() bool
	// Listen calls heard when another controller has written, until ctx ends.
	Listen(ctx context.Context, heard func())
	// Given returns the living leases of the request with a mark, and the worker that gave them. No
	// two of them have the same number (Lease.Nth): inserting a second is store.ErrGiven.
	Given(ctx context.Context, mark string) (leases []*compute.Lease, giver int64, err error)
}

// ProcessSpace names the machine or container whose processes this one sees.
func ProcessSpace() string {
	name, _ := os.Hostname() // the namespace alone tells most
	space, _ := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(name + " " + space)
}

// AtKey adds file and line to a provider's error about a key of a source. position may be nil, if
// the source is not configured any more.
func AtKey(err error, source string, position func(key string) (string, int)) error {
	wrong, ok := errors.AsType[*provider.KeyError](err)
	if !ok || position == nil {
		return err
	}
	at := &config.Error{Source: source, Err: wrong}
	at.File, at.Line = position(wrong.Key)
	return &compute.Error{Kind: compute.ErrInvalid, Err: at, Hint: compute.Hint(err)}
}

// DemandWindow is how far back strategy demand looks by default: long enough that a quiet quarter
// of an hour discards nothing.
const DemandWindow = time.Hour
