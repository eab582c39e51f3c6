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
)

// quotas tells the engine what the configured projects may have; nil: there are none.
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

// demandWindow is for how long the leases of a source are measured; 0: not at all.
func demandWindow(s *config.Source) time.Duration {
	if s.Strategy != "demand" {
		return 0
	}
	return cmp.Or(Deref(s.Window), DemandWindow)
}

// checkWindow says what is wrong with a window's cron expressions.
func checkWindow(begin, end string) error {
	_, err := director.NewWindow("", begin, end)
	return err
}

// SharedStore is a store that several controllers share. All of them serve; the one that has the
// lead directs.
//
// The lead keeps work from being done twice, and nothing depends on it: what a director wants is
// done by transactions that look again. One that creates says how many there are to be in all, one
// that discards, stops or starts takes an instance only as it is now, ready and not used since. So
// a controller that was paused in the midst of its directive, and wakes when another directs, does
// it if it is still right, and else nothing. What it had begun to make is recorded under its
// worker's number, which is not dead as long as its connection stands; if the server has cut that,
// others have taken the record over, and it finds so at its next step.
type SharedStore interface {
	// Lead tries to have the lead until ctx ends, and tells when it was got and lost.
	Lead(ctx context.Context, told func(leads bool))
	// Leads tells whether we have it now.
	Leads() bool
	// Listen calls heard when another has written, until ctx ends.
	Listen(ctx context.Context, heard func())
}

// ProcessSpace names what sees the same processes as this one: a machine, or a container on it.
func ProcessSpace() string {
	name, _ := os.Hostname() // without a name the next tells most
	space, _ := os.Readlink("/proc/self/ns/pid")
	return strings.TrimSpace(name + " " + space)
}

// AtKey says file and line of what a provider says of a key of a source. position may be nil: the
// source is configured no more.
func AtKey(err error, source string, position func(key string) (string, int)) error {
	wrong, ok := errors.AsType[*compute.KeyError](err)
	if !ok || position == nil {
		return err
	}
	at := &config.Error{Source: source, Err: wrong}
	at.File, at.Line = position(wrong.Key)
	return &compute.Error{Kind: compute.ErrInvalid, Err: at, Hint: compute.Hint(err)}
}

// DemandWindow is how far back strategy demand looks where its source does not say: long enough
// that a quiet quarter of an hour discards nothing.
const DemandWindow = time.Hour
