package imagecache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/director/loop"
)

// The results of a NodeAction.
const (
	issued = "issued" // its service has begun it
	would  = "would"  // it is a dry run
	// it is not known yet if its service has begun it; it counts as under way
	unanswered = "unanswered"
	Failed     = "failed"  // its service refused it
	Taken      = "taken"   // the node belongs to another user now
	limited    = "limited" // a limit was reached: the next round decides anew
	Held       = "held"    // a guard holds it back
	Refused    = "refused" // the strategy asked for something impossible
)

// NodeAction is what was decided for a node, and the result.
type NodeAction struct {
	Do     Verb   `json:"do"`
	Node   string `json:"node"`
	Name   string `json:"name,omitempty"`
	Flavor string `json:"flavor,omitempty"`
	Image  string `json:"image,omitempty"`
	Title  string `json:"image_name,omitempty"`
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"` // why it was decided
	Error  string `json:"error,omitempty"`  // why it was not done

	mend  bool
	even  bool
	node  *metal.Node
	image metal.Image
}

// Report is the result of a round.
type Report struct {
	Time      time.Time `json:"time"`
	DryRun    bool      `json:"dry_run,omitempty"`
	Suspended string    `json:"suspended,omitempty"` // why nothing was done
	// why ejections wait for a person's permission
	Held       string           `json:"held,omitempty"`
	Changes    Changes          `json:"changes"`
	All        Count            `json:"all"`
	Flavors    map[string]Count `json:"flavors"`
	Directives []NodeAction     `json:"directives"`
	Done       []NodeRecord     `json:"done,omitempty"`   // that were under way and are done now
	Failures   []NodeRecord     `json:"failed,omitempty"` // and those that failed
	Ready      []Ready          `json:"ready,omitempty"`
	Taken      []Taking         `json:"taken,omitempty"` // since the last round of this process
	// available nodes of a flavor that is not kept ready
	Unlisted int `json:"unlisted,omitempty"`
	UnderWay int `json:"under_way"`
	Left     int `json:"left_alone"` // nodes left alone after failures

	// those of them left alone until a person says otherwise
	Quarantined int `json:"quarantined"`

	Fleet *metal.Fleet `json:"-"` // as it was seen; not to be changed
}

// HeldBack returns how many ejections wait for a person's permission.
func (r *Report) HeldBack() (n int) {
	for i := range r.Directives {
		if r.Directives[i].Result == Held {
			n++
		}
	}
	return n
}

// Wrong returns a line for people for each node at which something failed: refused directives, and
// those found to have failed.
func (r *Report) Wrong() (out []string) {
	for i := range r.Directives {
		if d := &r.Directives[i]; d.Result == Failed {
			out = append(out, fmt.Sprintf("%s %s: %s", d.Do, label(d.Node, d.Name), d.Error))
		}
	}
	for i := range r.Failures {
		f := &r.Failures[i]
		out = append(out, fmt.Sprintf("%s %s: %s", f.Do, label(f.Node, f.Name), f.Error))
	}
	return out
}

// Round looks once, decides, and issues directives. An error means that it could not read or write.
func (l *Loop) Round(ctx context.Context) (*Report, error) {
	l.round.Lock()
	defer l.round.Unlock()
	r := &round{Loop: l, now: time.Now().UTC(), report: &Report{DryRun: l.opt.DryRun, Directives: []NodeAction{}}}
	r.report.Time = r.now
	if c, ok := l.opt.Commander.(metal.Resumer); ok && !l.opt.DryRun {
		if err := c.Resume(ctx); err != nil && ctx.Err() == nil {
			l.opt.Log.Warn("what another process left in the middle does not go on yet", "err", err)
		}
	}
	err := r.do(ctx)
	if err != nil && ctx.Err() == nil {
		r.report.Suspended = err.Error()
		log := l.opt.Log.Debug
		if last := l.Last(); last == nil || last.Suspended != r.report.Suspended {
			log = l.opt.Log.Warn
		}
		log("nothing is done in this round", "err", err, "hint", compute.Hint(err))
	}
	l.alarms(ctx, r.report)
	l.reports.Tell(r.report, r.now)
	return r.report, err
}

// Settle finds the results of directives under way, and records them. It decides and begins
// nothing. The report has no directives.
func (l *Loop) Settle(ctx context.Context) (*Report, error) {
	l.round.Lock()
	defer l.round.Unlock()
	r := &round{Loop: l, now: time.Now().UTC(), report: &Report{DryRun: l.opt.DryRun, Directives: []NodeAction{}}}
	r.report.Time = r.now
	if err := r.observe(ctx); err != nil {
		return nil, err
	}
	return r.report, r.recordOutcomes(ctx)
}

// round is the state of one round.
type round struct {
	*Loop
	now    time.Time
	report *Report
	state  *state
	fleet  *metal.Fleet           // as seen
	view   *metal.Fleet           // as the strategy is shown it
	nodes  map[string]*metal.Node // of fleet
}

// do looks, decides and issues the directives. It does nothing if the fleet is not plausible.
func (r *round) do(ctx context.Context) error {
	if err := r.observe(ctx); err != nil {
		return err
	}
	if why := r.implausible(); why != "" {
		hint := "where it is so: hostler director confirm --shrunk"
		if len(r.fleet.Nodes) == 0 || len(r.images) == 0 || len(r.flavors) == 0 {
			hint = ""
		}
		return &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New(why), Hint: hint}
	}
	if err := r.recordOutcomes(ctx); err != nil {
		return err
	}
	plan, err := r.opt.Strategy.Plan(ctx, r.view)
	if err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	all, err := r.limit(ctx, r.directives(plan))
	if err != nil {
		return err
	}
	r.issue(ctx, all)
	return ctx.Err()
}

// observe reads the fleet from the scout, and what is remembered from the store.
func (r *round) observe(ctx context.Context) error {
	if r.images == nil || r.flavors == nil {
		if err := r.lists(ctx); err != nil {
			return fmt.Errorf("read images and flavors: %w", err)
		}
	}
	nodes, err := r.opt.Scout.Nodes(ctx)
	if err != nil {
		return fmt.Errorf("read the nodes: %w", err)
	}
	if r.state, err = r.book.read(ctx); err != nil {
		return err
	}
	r.fleet = &metal.Fleet{Nodes: nodes, Images: r.images, Flavors: r.flavors, Time: r.now}
	r.report.Fleet = r.fleet
	if r.opt.DryRun && r.state.seen == nil {
		r.state.seen = r.before
	}
	return nil
}

// implausible returns why nothing is done by what was seen; "": it is plausible.
func (r *round) implausible() string {
	c := &r.state.confirmed
	return plausibility(r.fleet, r.state.seen, c.Shrunk && c.Until.After(r.now))
}

func (r *round) patience() patience {
	return patience{r.opt.Answer, r.opt.Deadline, r.opt.Pause, r.opt.Quarantine}
}

// recordOutcomes compares the fleet with the last one, finds the results of directives under
// way, and makes the view.
func (r *round) recordOutcomes(ctx context.Context) error {
	changes, next := compareFleets(r.fleet, r.state.seen, r.now)
	r.report.Changes = changes
	r.nodes = make(map[string]*metal.Node, len(r.fleet.Nodes))
	for i := range r.fleet.Nodes {
		r.nodes[r.fleet.Nodes[i].ID] = &r.fleet.Nodes[i]
	}
	var outcomes []outcome
	for _, id := range slices.Sorted(maps.Keys(r.state.flights)) {
		f := r.state.flights[id]
		old := *f
		what, changed := f.update(r.nodes[id], r.now, r.patience())
		rest := f.next(what, r.now, r.patience())
		if changed {
			outcomes = append(outcomes, outcome{old, *f, what, rest})
		}
		switch what {
		case done:
			r.report.Done = append(r.report.Done, *f)
			if f.Do == Cache {
				r.tracks.wrote(f.Flavor, r.now.Sub(f.Begun))
			}
		case foiled:
			r.report.Failures = append(r.report.Failures, *f)
		}
		if r.state.flights[id] = rest; rest == nil {
			delete(r.state.flights, id)
		}
	}
	r.log(changes, outcomes)
	r.before = &next
	if !r.opt.DryRun {
		if err := r.book.record(ctx, r.now, outcomes); err != nil {
			return err
		}
		if err := r.remember(ctx, next); err != nil {
			return err
		}
	}
	r.view = &metal.Fleet{Nodes: slices.Clone(r.fleet.Nodes), Images: r.images, Flavors: r.flavors, Time: r.now, Retired: next.Retired}
	if r.opt.Demand {
		var err error
		if r.view.Demand, err = r.demand(ctx); err != nil {
			return err
		}
	}
	for i := range r.view.Nodes {
		n := &r.view.Nodes[i]
		f := r.state.flights[n.ID]
		if f == nil {
			continue
		}
		if f.UnderWay() {
			r.report.UnderWay++
		} else if f.Quarantined() || r.now.Before(f.Until) {
			r.report.Left++
			if f.Quarantined() {
				r.report.Quarantined++
			}
		} else {
			if f.stuck(n, r.now, r.patience()) {
				n.Provisioned, n.Wiping, n.Why = true, true, "it is to be wiped, as its image was not written in time: "+f.Error
			}
			continue
		}
		f.applyPending(n)
	}
	r.markUnlisted()
	r.report.All, r.report.Flavors = statistics(r.fleet)
	titles := make(map[string]string, len(r.images)+len(next.Retired))
	for _, i := range r.images {
		titles[i.ID] = i.Name
	}
	for _, i := range next.Retired {
		titles[i.ID] = i.Name
	}
	r.report.Taken, r.report.Ready = r.tracks.follow(r.fleet, r.state.flights, func(image string) string { return titles[image] })
	return nil
}

// markUnlisted counts the nodes that get no image as their flavor is not listed. It logs a change,
// since a flavor may be mistyped.
func (r *round) markUnlisted() {
	of := map[string]bool{}
	for i := range r.fleet.Nodes {
		if n := &r.fleet.Nodes[i]; !n.Provisioned && !slices.Contains(r.flavors, n.Flavor) {
			r.report.Unlisted++
			of[n.Flavor] = true
		}
	}
	if last := r.Last(); r.report.Unlisted > 0 && (last == nil || last.Unlisted != r.report.Unlisted) {
		r.opt.Log.Warn(
			"nodes are of no flavor that is kept ready: no image is written to them", "nodes", r.report.Unlisted,
			"flavors", slices.Sorted(maps.Keys(of)),
		)
	}
}

// remember stores what was seen, if it differs from what is stored.
func (r *round) remember(ctx context.Context, next lastFleet) error {
	if r.state.seen.same(&next) {
		return nil
	}
	return r.book.save(ctx, seenNote, next)
}

// log logs what has changed, and the results of directives that were under way.
func (r *round) log(c Changes, outcomes []outcome) {
	if c.Any() {
		r.opt.Log.Info(
			"images and flavors have changed", "new", c.New, "changed", c.Changed, "retired", c.Retired, "new_flavors",
			c.NewFlavors, "retired_flavors", c.RetiredFlavors,
		)
	}
	for _, o := range outcomes {
		log := r.opt.Log.With("do", o.now.Do, "node", label(o.now.Node, o.now.Name), "image", cmp.Or(o.now.Title, o.now.Image))
		switch {
		case o.now.Quarantined():
			log.Error("a node is left alone from now on", "failures", o.now.Failures, "err", o.now.Error)
		case o.fate == foiled:
			log.Warn("a directive failed", "failures", o.now.Failures, "until", o.now.Until, "err", o.now.Error)
		case o.fate == done:
			log.Info("done", "took", r.now.Sub(o.old.Begun))
		case o.fate == lost:
			log.Info("somebody else has the node")
		}
	}
}

// directives returns the plan's directives in the order of issue, and those that mend nodes.
func (r *round) directives(plan metal.Plan) (all []NodeAction) {
	images := make(map[string]metal.Image, len(r.images))
	for _, i := range r.images {
		images[i.ID] = i
	}
	titles := maps.Clone(images)
	for _, i := range r.view.Retired {
		titles[i.ID] = i.Image
	}
	view := make(map[string]*metal.Node, len(r.view.Nodes))
	for i := range r.view.Nodes {
		view[r.view.Nodes[i].ID] = &r.view.Nodes[i]
	}
	named := map[string]bool{}
	add := func(d NodeAction) {
		d.node = r.nodes[d.Node]
		if n := d.node; n != nil {
			d.Name, d.Flavor = n.Name, n.Flavor
		}
		d.Title = titles[d.Image].Name
		switch v := view[d.Node]; {
		case v == nil:
			d.Error = "there is no such node"
		case named[d.Node]:
			d.Error = "there are two directives for this node"
		case d.mend:
		case v.Provisioned:
			d.Error = "the node is not to be had: " + cmp.Or(v.Why, "it is provisioned")
		case d.Do == Cache && v.Cached:
			d.Error = "there is an image on the node"
		case d.Do == Cache && images[d.Image].ID == "":
			d.Error = "there is no such image"
		case d.Do == Eject && !v.Cached:
			d.Error = "there is no image on the node"
		case d.Do == Eject && v.Writing:
			d.Result, d.Error = limited, "the node is being written, and ejected after that"
		}
		if d.Error != "" && d.Result == "" {
			d.Result = Refused
			r.opt.Log.Warn("the strategy asks for what cannot be", "do", d.Do, "node", label(d.Node, d.Name), "err", d.Error)
		}
		named[d.Node] = true
		d.image = images[d.Image]
		all = append(all, d)
	}
	for id, f := range r.state.flights {
		if n := r.nodes[id]; n != nil && f.State == failed && !r.now.Before(f.Until) &&
			(n.Provisioned && !n.Used && n.Failed != "" || f.stuck(n, r.now, r.patience())) {
			add(NodeAction{Do: Eject, Node: id, Image: n.Image, Reason: "the last directive failed: " + f.Error, mend: true})
		}
	}
	slices.SortFunc(all, func(a, b NodeAction) int { return cmp.Compare(a.Node, b.Node) })
	for i, id := range plan.Eject {
		n := r.nodes[id]
		d := NodeAction{Do: Eject, Node: id, even: i >= len(plan.Eject)-plan.Rebalance, Reason: "its image is not among the current ones"}
		if d.even {
			d.Reason = "its image is on more nodes than its weight says"
		}
		if n != nil {
			d.Image = n.Image
		}
		add(d)
	}
	for _, w := range strategy.Interleave(r.view, plan) {
		add(NodeAction{Do: Cache, Node: w.Node, Image: w.Image, Reason: "its flavor needs more of this image"})
	}
	return all
}

// issue issues the directives, a few concurrently, begun in their order. An error of one does not
// stop the others.
func (r *round) issue(ctx context.Context, all []NodeAction) {
	var due []*NodeAction
	var steps []loop.Step
	for i := range all {
		d := &all[i]
		if d.Result != "" {
			continue
		}
		due = append(due, d)
		steps = append(steps, loop.Step{
			Log:   r.opt.Log.With("do", d.Do, "node", label(d.Node, d.Name), "image", cmp.Or(d.Title, d.Image), "reason", d.Reason),
			Dry:   r.opt.DryRun,
			Begin: func(ctx context.Context) (func(context.Context) error, error) { return r.begin(ctx, d) },
		})
	}
	var under sync.WaitGroup
	for i, fate := range r.actor.Act(ctx, &under, steps) {
		switch fate {
		case loop.Shown:
			due[i].Result = would
		case loop.Dropped:
			due[i].Result, due[i].Error = limited, "it ends, or another decides now"
		}
	}
	under.Wait()
	r.report.Directives = all
}

// begin records a directive that is about to be issued. What it returns issues it.
func (r *round) begin(ctx context.Context, d *NodeAction) (func(context.Context) error, error) {
	f := &NodeRecord{Node: d.Node, Name: d.Name, Flavor: d.Flavor, State: underWay, Do: d.Do, Image: d.Image, Title: d.Title,
		Begun: time.Now().UTC(), Mend: d.Do == Eject && (d.mend || d.node.Failed != ""), Was: d.node.Failed,
		BMC: d.node.BMC, Rack: d.node.Rack, Conductor: d.node.Conductor}
	if err := r.book.begin(ctx, f, d.Reason); err != nil {
		if d.Result, d.Error = Failed, oneLine(err.Error()); errors.Is(err, compute.ErrConflict) {
			d.Result = Taken
		}
		return nil, err
	}
	return func(ctx context.Context) error {
		err := r.command(ctx, d, f)
		if err == nil {
			return nil
		}
		d.Error = oneLine(err.Error())
		return fmt.Errorf("%s: %w", d.Result, err)
	}, nil
}

// command issues a directive that was recorded, and records the answer.
func (r *round) command(ctx context.Context, d *NodeAction, f *NodeRecord) error {
	// nothing of the call may still run when it is given up
	call, cancel := context.WithTimeout(ctx, r.opt.Answer/2)
	defer cancel()
	var err error
	if d.Do == Cache {
		err = r.opt.Commander.Cache(call, d.Node, d.image)
	} else {
		err = r.opt.Commander.Eject(call, d.Node)
	}
	o := outcome{old: *f, now: *f}
	now := time.Now().UTC()
	switch {
	case err == nil:
		d.Result, o.now.Answered = issued, now
	case errors.Is(err, compute.ErrConflict):
		d.Result, o.fate, o.now.Error = Taken, refused, oneLine(err.Error())
	case open(err):
		d.Result = unanswered
		return err
	default:
		d.Result, o.fate = Failed, foiled
		o.now.fail(now, r.patience(), err.Error())
	}
	o.rest = o.now.next(o.fate, now, r.patience())
	if noted := r.book.record(context.WithoutCancel(ctx), now, []outcome{o}); noted != nil {
		return errors.Join(err, noted)
	}
	return err
}
