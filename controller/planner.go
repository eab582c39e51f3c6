package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/observe/history"
)

const (
	readJournal   = time.Second      // how often the journal is read
	countAll      = 15 * time.Second // how often the instances are counted
	planStaysGood = 5 * time.Second
)

// planner is the controller's server.Planner.
type planner struct {
	k        *controller
	director atomic.Pointer[director.Director] // nil: there is no director
	kept     history.History
}

// Plan returns what the director would do now, or what a director would do if there is none.
func (pl *planner) Plan(ctx context.Context, fresh bool) (api.Plans, error) {
	d := pl.director.Load()
	if d != nil && !fresh {
		if plans, looked := d.Last(); time.Since(looked) < planStaysGood {
			return pl.plans(plans, looked), nil
		}
	}
	if d == nil {
		now := pl.k.now.Load()
		opt := now.direct
		opt.Pool = now.engine
		var err error
		if d, err = director.New(opt); err != nil {
			return api.Plans{}, err
		}
	}
	plans, err := d.Plan(ctx)
	return pl.plans(plans, time.Now()), err
}

func (pl *planner) plans(plans []director.Plan, looked time.Time) api.Plans {
	out := api.Plans{Time: looked, Directs: pl.director.Load() != nil, Plans: make([]api.Plan, len(plans)), Directives: []api.Directed{}}
	dry := pl.k.now.Load().direct.DryRun
	for n, p := range plans {
		p.DryRun = p.DryRun || dry
		out.Plans[n] = viewPlan(p)
	}
	return out
}

// Directives returns the newest recorded directives.
func (pl *planner) Directives(most int, may func(source string) bool) []api.Directed {
	events := pl.kept.Directives(most, may)
	out := make([]api.Directed, len(events))
	for n, e := range events {
		out[n] = api.NewDirected(e)
	}
	return out
}

// History returns how sources were used.
func (pl *planner) History(day bool, may func(source string) bool) api.History {
	scale := history.Hour
	if day {
		scale = history.Day
	}
	out := api.History{Step: scale.Step.Seconds(), Priced: pl.kept.Priced(may)}
	for _, b := range pl.kept.Series(time.Now(), scale, may) {
		p := api.Point{Time: b.Start, Given: b.Given, Hits: b.Given - b.Misses, Misses: b.Misses, Made: b.Made, Failed: b.Failed}
		if b.Misses > 0 {
			mean, longest := b.Waited.Seconds()/float64(b.Misses), b.Longest.Seconds()
			p.Waited, p.Longest = &mean, &longest
		}
		if known := b.Known.Hours(); known > 0 {
			present, used, cost := b.Present.Hours()/known, b.InUse.Hours()/known, b.Cost/known
			p.Present, p.InUse = &present, &used
			if out.Priced {
				p.Cost = &cost
			}
		}
		out.Points = append(out.Points, p)
	}
	return out
}

// follow reads the journal and counts instances until ctx ends.
func (pl *planner) follow(ctx context.Context) {
	t := time.NewTicker(readJournal)
	defer t.Stop()
	var counted time.Time
	for {
		now := pl.k.now.Load()
		events, err := now.engine.Events(ctx, pl.kept.Query())
		if err == nil {
			pl.kept.Take(events)
			if time.Since(counted) >= countAll {
				counted = time.Now()
				err = pl.count(ctx, now)
			}
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrUnavailable) {
			pl.k.Log.Warn("what happened cannot be drawn", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// count adds the number of instances of each source to the history.
func (pl *planner) count(ctx context.Context, now *served) error {
	all, err := now.engine.Status(ctx)
	if err != nil {
		return err
	}
	var counts []history.Count
	at := map[string]int{}
	for _, s := range all { // a name may be listed twice, with an older configuration
		n, ok := at[s.Name]
		if !ok {
			n = len(counts)
			at[s.Name] = n
			counts = append(counts, history.Count{Source: s.Name})
			if c, err := now.cfg.Source(s.Name); err == nil {
				counts[n].Price = c.Price
			}
		}
		counts[n].Present += s.Counts.Present() + s.Counts.Held
		counts[n].InUse += s.Counts.InUse()
	}
	pl.kept.Sample(time.Now(), counts)
	return nil
}

// viewPlan makes the document of a plan.
func viewPlan(p director.Plan) api.Plan {
	v := api.Plan{
		Source: p.Source, Have: p.Have, Cold: p.Cold, Wanted: p.Wanted, Kept: p.Kept, Reason: p.Reason, DryRun: p.DryRun,
		Broken: p.Broken, Directives: []api.Directive{},
	}
	for _, d := range p.Directives {
		if d.Again { // it is so already
			continue
		}
		w := api.Directive{Do: string(d.Verb), Count: d.Count, Instance: string(d.Instance), Reason: d.Reason}
		if d.Verb == plan.VerbTarget {
			w.Reserve, w.Spare = &d.Target.Reserve, &d.Target.Spare
		}
		v.Directives = append(v.Directives, w)
	}
	return v
}
