package imagecache

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/store"
)

// decider is a strategy that also gives reasons.
type decider interface {
	Decide(f *metal.Fleet) *strategy.Decision
}

// Explanation is what a loop knows of a node, and would do with it now.
type Explanation struct {
	Node   string `json:"node"`
	Name   string `json:"name,omitempty"`
	Flavor string `json:"flavor,omitempty"`
	Seen   string `json:"seen"` // what the scout says of it, for people
	// what was done with it before, for people; "": nothing
	Remembered string      `json:"remembered"`
	Decided    string      `json:"decided"`             // what is decided of it, and why
	Suspended  string      `json:"suspended,omitempty"` // why nothing would be done at all
	Flight     *NodeRecord `json:"flight,omitempty"`
	Directive  *NodeAction `json:"directive,omitempty"` // what a round would do with it
}

// Explain does a round without acting. It returns what it decided for the nodes of these ids or
// names, and why. ErrNotFound: there is no such node.
func (l *Loop) Explain(ctx context.Context, names ...string) ([]Explanation, error) {
	l.round.Lock()
	defer l.round.Unlock()
	only := &Loop{opt: l.opt, book: l.book, images: l.images, flavors: l.flavors}
	now := time.Now().UTC()
	only.limits, only.before = l.limits, l.before
	only.opt.DryRun, only.opt.Log = true, slog.New(slog.DiscardHandler)
	r := &round{Loop: only, now: now, report: &Report{DryRun: true}}
	if err := r.observe(ctx); err != nil {
		return nil, err
	}
	for i := range r.fleet.Nodes { // of which some are asked about
		n := &r.fleet.Nodes[i]
		for k, name := range names {
			if n.Name == name && !slices.ContainsFunc(r.fleet.Nodes, func(o metal.Node) bool { return o.ID == name }) {
				names[k] = n.ID
			}
		}
	}
	suspended := r.implausible()
	if err := r.recordOutcomes(ctx); err != nil {
		return nil, err
	}
	plan, why, err := r.decide(ctx)
	if err != nil {
		return nil, err
	}
	all, err := r.limit(ctx, r.directives(plan))
	if err != nil {
		return nil, err
	}
	out := make([]Explanation, 0, len(names))
	for _, id := range names {
		n := r.nodes[id]
		if n == nil {
			return nil, &compute.Error{
				ID: compute.ID(id), Kind: compute.ErrNotFound,
				Err: fmt.Errorf("there is no such node among %d", len(r.nodes)),
			}
		}
		e := Explanation{
			Node: id, Name: n.Name, Flavor: n.Flavor, Seen: describe(n), Decided: why(id), Suspended: suspended,
			Flight: r.state.flights[id],
		}
		if f := e.Flight; f != nil {
			e.Remembered = f.describe(now)
		}
		if i := slices.IndexFunc(all, func(d NodeAction) bool { return d.Node == id }); i >= 0 {
			d := all[i]
			d.Result = cmp.Or(d.Result, would)
			e.Directive = &d
		}
		out = append(out, e)
	}
	return out, nil
}

// decide returns the strategy's plan, and a function for its reasons if it has them.
func (r *round) decide(ctx context.Context) (metal.Plan, func(node string) string, error) {
	if s, ok := r.opt.Strategy.(decider); ok {
		d := s.Decide(r.view)
		return d.Plan, func(node string) string { why, _ := d.Explain(r.view, node); return why }, nil
	}
	plan, err := r.opt.Strategy.Plan(ctx, r.view)
	if err != nil {
		return plan, nil, fmt.Errorf("decide: %w", err)
	}
	return plan, func(string) string { return "the strategy does not say why" }, nil
}

// describe returns what was seen of a node, for people.
func describe(n *metal.Node) string {
	s := "free"
	switch {
	case n.Used:
		s = "somebody has it"
	case n.Provisioned:
		s = "not to be had"
		if n.Why != "" {
			s += ": " + n.Why
		}
	case n.Cached && n.Writing:
		s = "image " + cmp.Or(n.Image, "unknown") + " is being written"
	case n.Cached:
		s = "image " + cmp.Or(n.Image, "unknown") + " is on it"
	}
	if n.Writes > 0 {
		s += fmt.Sprintf("; written %d times", n.Writes)
	}
	if n.Failed != "" {
		s += "; failed: " + n.Failed
	}
	return s
}

// describe returns what is remembered of a node, for people.
func (f *NodeRecord) describe(now time.Time) string {
	what := "an image is being written"
	if f.Title != "" || f.Image != "" {
		what = cmp.Or(f.Title, f.Image) + " is being written"
	}
	if f.Do == Eject {
		what = "it is being wiped"
	}
	switch {
	case f.UnderWay() && f.Answered.IsZero():
		return fmt.Sprintf("%s, for %v; its service has not answered", what, now.Sub(f.Begun).Round(time.Second))
	case f.UnderWay():
		return fmt.Sprintf("%s, for %v", what, now.Sub(f.Begun).Round(time.Second))
	case f.Quarantined():
		return fmt.Sprintf("in quarantine after %d failures: %s", f.Failures, f.Error)
	case now.Before(f.Until):
		return fmt.Sprintf("left alone for %v after %d failures: %s", f.Until.Sub(now).Round(time.Second), f.Failures, f.Error)
	}
	return fmt.Sprintf("tried again after %d failures: %s", f.Failures, f.Error)
}

// Remembered lists what is remembered of nodes, by node, with texts for people.
func Remembered(ctx context.Context, store store.Transactor) (out []Explanation, err error) {
	all, err := NodeRecords(ctx, store)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for id, f := range all {
		out = append(out, Explanation{Node: id, Name: f.Name, Flavor: f.Flavor, Remembered: f.describe(now), Flight: f})
	}
	slices.SortFunc(out, func(a, b Explanation) int { return cmp.Compare(a.Node, b.Node) })
	return out, nil
}
