package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// OnFailure says what to do with a node that could not be set up.
type OnFailure string

// The values of OnFailure.
const (
	Keep    OnFailure = "keep"
	Destroy OnFailure = "destroy"
	Ask     OnFailure = "ask"
)

// Policies has all values of OnFailure.
var Policies = []string{string(Keep), string(Destroy), string(Ask)}

const (
	atOnce      = 64              // nodes at a time by default
	endPatience = 2 * time.Minute // for releasing a node after an interrupt
)

// State is the state of a node.
type State string

// The states of a node, in order.
const (
	Waiting   State = "waiting"    // nothing is made
	Making    State = "making"     // it has a name; it ends with this process
	SettingUp State = "setting-up" // it is leased, and outlives this process
	Done      State = "ready"      // everything is on it
	Failed    State = "failed"     // it exists, but something failed
	NotMade   State = "not-made"   // it does not exist
	Destroyed State = "destroyed"  // it existed, and was released
)

// Step is one thing that was done on a node.
type Step struct {
	Name   string // of a script: its file's
	Script bool   // a script; else keys or files
	Text   string // of a script, as it ran
	Status int    // of a script: its exit status
	Took   time.Duration
	Output string // what it printed, up to a limit
	Same   bool   // it was done before
}

// Node is a node of a Run. Only Run changes it. Tell may read its argument during the call.
type Node struct {
	Name     string
	State    State
	Lease    compute.Lease
	Instance compute.Instance // Lease's, with what is known of it
	Steps    []Step
	Bundles  []Bundle
	Err      error // why it is Failed, NotMade or Destroyed
	Left     error // why it could not be released

	Began, Ended time.Time
}

// Options say what to deploy, and with which functions. The functions are called from several
// goroutines, except Ask and Tell.
type Options struct {
	Names []string // one for each node
	// for each node; Run sets its Count, Name and label Label
	Request      compute.Request
	Parallel     int  // nodes at a time; 0: 64
	AllOrNothing bool // if one fails, destroy all
	OnFailure    OnFailure

	// Prepare completes a node's own request; nil: nothing to do.
	Prepare func(n *Node, req *compute.Request) error
	// Acquire takes one lease.
	Acquire func(ctx context.Context, req compute.Request) ([]compute.Lease, error)
	// Look returns the facts of a lease's instance.
	Look func(ctx context.Context, l compute.Lease) (compute.Instance, error)
	// Connect opens a connection to a node.
	Connect func(ctx context.Context, n *Node) (compute.Conn, error)
	// Apply sets a node up and fills Steps and Bundles. An error fails the node. With nil, there is
	// nothing to do, and no connection is opened.
	Apply func(ctx context.Context, conn compute.Conn, n *Node) error
	// Release ends a node's lease and discards its instance.
	Release func(ctx context.Context, n *Node) error
	// Ask decides whether to destroy a node if OnFailure is Ask. Calls do not overlap.
	Ask func(n *Node) bool
	// Tell is called after each change of a node's state. Calls do not overlap.
	Tell func(n *Node)
}

// Run deploys nodes. It returns them in the order of their names, each with its result. The error
// joins the errors of all nodes, or is the context's if ctx ended. Failed nodes are kept or
// destroyed by OnFailure, also when ctx ends.
func Run(ctx context.Context, opt Options) ([]*Node, error) {
	r := &run{Options: opt}
	if r.Parallel <= 0 {
		r.Parallel = atOnce
	}
	nodes := make([]*Node, len(opt.Names))
	for i, name := range opt.Names {
		nodes[i] = &Node{Name: name, State: Waiting}
	}
	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.each(nodes, func(n *Node) {
		r.node(work, n)
		if n.Err != nil && r.AllOrNothing {
			stop(errOther)
		}
	})
	failed := slices.ContainsFunc(nodes, func(n *Node) bool { return n.Err != nil })
	rest := context.WithoutCancel(ctx)
	r.each(nodes, func(n *Node) {
		if n.State == Failed && r.shouldDestroy(ctx, n) || failed && r.AllOrNothing && (n.State == Done || n.State == Failed) {
			r.release(rest, n)
		}
	})
	var errs []error
	for _, n := range nodes {
		if n.Err != nil && !errors.Is(n.Err, errOther) {
			errs = append(errs, n.Err)
		}
		if n.Left != nil {
			errs = append(errs, n.Left)
		}
	}
	if ctx.Err() != nil {
		errs = append(errs, ctx.Err())
	}
	return nodes, errors.Join(errs...)
}

// errOther is the cause when a node ends because another one failed.
var errOther = errors.New("not all of the nodes could be deployed")

// run is one call of Run.
type run struct {
	Options

	mu sync.Mutex // for Tell
	in sync.Mutex // for Ask
}

// each calls f for all nodes, several at a time.
func (r *run) each(nodes []*Node, f func(*Node)) {
	var wg sync.WaitGroup
	turn := make(chan struct{}, r.Parallel)
	for _, n := range nodes {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			f(n)
		})
	}
	wg.Wait()
}

// set changes a node's state and reports it.
func (r *run) set(n *Node, s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.State = s
	if r.Tell != nil {
		r.Tell(n)
	}
}

// node deploys one node.
func (r *run) node(ctx context.Context, n *Node) {
	n.Began = time.Now()
	err := r.acquire(ctx, n)
	if err != nil {
		n.Ended = time.Now()
		n.Err = nodeError(ctx, n, err)
		r.set(n, NotMade)
		return
	}
	r.set(n, SettingUp)
	err = r.apply(ctx, n)
	if err == nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	n.Ended = time.Now()
	if err != nil {
		n.Err = nodeError(ctx, n, &setupError{err})
		r.set(n, Failed)
		return
	}
	r.set(n, Done)
}

// nodeError adds the node's name to its error. If another node stopped it, that is the reason.
func nodeError(ctx context.Context, n *Node, err error) error {
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errOther) {
		return fmt.Errorf("%s: %w", n.Name, errOther)
	}
	return fmt.Errorf("%s: %w", n.Name, err)
}

// acquire takes a lease. Until the engine gives it, what it makes ends with this process.
func (r *run) acquire(ctx context.Context, n *Node) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	req := r.Request
	req.Count, req.Name = 1, n.Name
	req.Labels = maps.Clone(req.Labels)
	if req.Labels == nil {
		req.Labels = map[string]string{}
	}
	req.Labels[Label] = "1"
	req.Notify = func(p compute.Progress) {
		r.mu.Lock()
		news := p.Instance != "" && p.Instance != n.Instance.ID
		if news {
			n.Instance.ID = p.Instance
		}
		r.mu.Unlock()
		if news {
			r.set(n, Making)
		}
	}
	if r.Prepare != nil {
		if err := r.Prepare(n, &req); err != nil {
			return err
		}
	}
	leases, err := r.Acquire(ctx, req)
	if err != nil {
		return err
	}
	if len(leases) != 1 {
		return &compute.Error{
			ID: compute.ID(n.Name), Kind: compute.ErrFailed,
			Err: fmt.Errorf("one lease was asked for, and %d came", len(leases)),
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n.Lease = leases[0]
	n.Instance = compute.Instance{ID: n.Lease.Instance, Source: n.Lease.Source}
	return nil
}

// apply refreshes the node's instance and applies the bundles. It connects only if there is
// something to apply.
func (r *run) apply(ctx context.Context, n *Node) error {
	if r.Look != nil {
		i, err := r.Look(ctx, n.Lease)
		if err != nil {
			return err
		}
		n.Instance = i
	}
	if r.Apply == nil {
		return nil
	}
	conn, err := r.Connect(ctx, n)
	if err != nil {
		return err
	}
	defer conn.Close()
	return r.Apply(ctx, conn, n)
}

// shouldDestroy decides whether to destroy a failed node.
func (r *run) shouldDestroy(ctx context.Context, n *Node) bool {
	switch r.OnFailure {
	case Destroy:
		return true
	case Ask:
		if ctx.Err() != nil || r.Ask == nil {
			return false
		}
		r.in.Lock()
		defer r.in.Unlock()
		return r.Ask(n)
	}
	return false
}

// release releases a node.
func (r *run) release(ctx context.Context, n *Node) {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	if err := r.Release(ctx, n); err != nil && !errors.Is(err, compute.ErrNotLeased) && !errors.Is(err, compute.ErrNotFound) {
		n.Left = fmt.Errorf("%s: it is not given back: %w", n.Name, err)
		return
	}
	if n.Err == nil {
		n.Err = fmt.Errorf("%s: %w", n.Name, errOther)
	}
	r.set(n, Destroyed)
}
