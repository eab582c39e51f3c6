package leasecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
)

const (
	sayAfter   = time.Second // before the reason for waiting is printed
	namedUsers = 3           // how many instances of each user are named
)

// errVain says that all instances are held aside, so no release can end the wait.
var errVain = errors.New("all of it is held aside")

// Take acquires instances. While a request waits, it prints why, and it stops a wait that cannot
// end.
func Take(a *cli.App, ctx context.Context, engine cli.Engine, req compute.Request) ([]compute.Lease, error) {
	leases, _, err := takeTimed(a, ctx, engine, req, engine.Acquire)
	return leases, err
}

// takeTimed acquires with acquire. It also returns the time in the queue.
func takeTimed(a *cli.App,
	ctx context.Context, engine cli.Engine, req compute.Request,
	acquire func(context.Context, compute.Request) ([]compute.Lease, error),
) ([]compute.Lease, time.Duration, error) {
	req.Owner = a.Owner() // a controller knows the user by now
	ctx, cancel := context.WithCancelCause(ctx)
	w := &waiting{app: a, engine: engine, req: req, asked: time.Now(), began: make(chan struct{})}
	req.Notify = w.notify
	a.WarnOfHooks(append(w.leaves(req.Source), req.Source)...)
	var looks sync.WaitGroup
	looks.Go(func() { w.watch(ctx, cancel) })
	looks.Go(func() { w.overdue(ctx) })
	leases, err := acquire(ctx, req)
	vain := errors.Is(context.Cause(ctx), errVain)
	cancel(nil)
	looks.Wait()
	queued := w.queued()
	if err == nil {
		return leases, queued, nil
	}
	held := w.held(context.WithoutCancel(ctx))
	if vain {
		err = &compute.Error{
			ID: compute.ID(req.Source), Kind: compute.ErrNoCapacity,
			Err: fmt.Errorf("%w: %s", errVain, strings.Join(held, ", ")),
		}
	}
	if len(held) > 0 && (errors.Is(err, compute.ErrNoCapacity) || errors.Is(err, compute.ErrTimeout)) {
		kind := compute.ErrNoCapacity
		if errors.Is(err, compute.ErrTimeout) {
			kind = compute.ErrTimeout
		}
		err = &compute.Error{Kind: kind, Err: err, Hint: "`hostler discard " + strings.Join(held, " ") + "` ends that it is held"}
	}
	return leases, queued, err
}

// waiting watches one request.
type waiting struct {
	app    *cli.App
	engine cli.Engine
	req    compute.Request
	asked  time.Time
	began  chan struct{} // closed when the request has to wait
	start  time.Time     // set before began is closed
	turn   time.Time     // when its turn came

	mu     sync.Mutex
	place  compute.Progress // in the queue
	making compute.Progress // of the instance that is being made for it
	said   string
}

// notify takes the engine's reports of progress.
func (w *waiting) notify(p compute.Progress) {
	if p.Phase == "wait" {
		w.mu.Lock()
		w.place, w.making = p, compute.Progress{}
		w.mu.Unlock()
		if w.start.IsZero() {
			w.start = time.Now()
			close(w.began)
		}
		return
	}
	w.mu.Lock()
	w.making = p
	w.mu.Unlock()
	if !w.start.IsZero() && w.turn.IsZero() {
		w.turn = time.Now()
	}
	if text := progressText(p); text != "" && time.Since(w.asked) > sayAfter && !w.app.Quiet && !w.app.Compat &&
		term.IsTerminal(w.app.Err) {
		w.say(text)
	}
}

// queued returns the time in the queue, once the request is answered.
func (w *waiting) queued() time.Duration {
	switch {
	case w.start.IsZero():
		return 0
	case w.turn.IsZero():
		return time.Since(w.start)
	}
	return w.turn.Sub(w.start)
}

// say prints a text, unless it was the last one printed.
func (w *waiting) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text != "" && text != w.said {
		w.said = text
		_ = term.Printf(w.app.Err, "%s: %s\n", w.app.Program, text)
	}
}

// watch prints why a request waits, until ctx ends. If nobody sees the text change, it prints it
// once.
func (w *waiting) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
		return
	case <-w.began:
	}
	for first := true; ; first = false {
		if w.vain(ctx) {
			cancel(errVain)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(sayAfter):
		}
		if !w.app.Quiet && !w.app.Compat && (first || term.IsTerminal(w.app.Err)) {
			w.say(w.text(ctx))
		}
	}
}

// overdue prints once that the request's time to wait is over, but that the instance being made for
// it is still awaited.
func (w *waiting) overdue(ctx context.Context) {
	if w.req.Wait <= 0 || w.app.Quiet || w.app.Compat {
		return
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(w.req.Wait + sayAfter):
	}
	w.mu.Lock()
	making := w.making
	w.mu.Unlock()
	if text := progressText(making); text != "" {
		w.say(fmt.Sprintf(
			"%s: the %s for which it may wait are over, and what is made for it goes on: %s", w.req.Source,
			term.TypedDuration(w.req.Wait), text,
		))
	}
}

// text returns the line that says why the request waits.
func (w *waiting) text(ctx context.Context) string {
	users, mine := w.users(ctx)
	w.mu.Lock()
	place := w.place
	w.mu.Unlock()
	text := w.req.Source + ": waiting"
	if w.req.Count > 1 {
		text += fmt.Sprintf(" for %d", w.req.Count)
	}
	if w.req.Wait > 0 {
		text += " up to " + term.TypedDuration(w.req.Wait)
	}
	at := ""
	if place.Position > 1 {
		at = fmt.Sprintf("position %d", place.Position)
	}
	away := place.Unreachable // its return cannot be estimated
	switch s := term.AboutDuration(place.Estimate); {
	case mine != "" || place.Position == 0 || away:
	case s != "":
		at = strings.TrimPrefix(at+", about "+s, ", ")
	default:
		at = strings.TrimPrefix(at+", for how long is "+term.UnknownYet, ", ")
	}
	for _, s := range []string{term.Line(place.Reason), at} {
		switch {
		case s == "":
		case away && s != at:
			users = append([]string{s}, users...)
		default:
			users = append(users, s)
		}
	}
	if len(users) > 0 {
		text += ": " + strings.Join(users, ", ")
	}
	// otherwise others may end the wait, as with a quota or a lost cluster
	if mine != "" && place.Reason == "" {
		text += ": all of them yours, and waiting gives none back; `hostler release " + term.Line(mine) + "` does"
	}
	return text
}

// users lists who uses what of the source and those below it. mine is a name of one of these
// instances, if the request's owner has all of them and none is on its way back; else "".
func (w *waiting) users(ctx context.Context) (lines []string, mine string) {
	names := w.leaves(w.req.Source)
	leases, err := w.engine.Leases(ctx, compute.LeaseQuery{})
	if err != nil {
		return nil, ""
	}
	fronts := map[compute.ID]string{} // the pool's instance in front of it
	for _, l := range leases {
		fronts[l.Instance] = l.Owner
	}
	by, handles := map[string][]string{}, map[string]string{}
	var owners []string
	for _, l := range leases {
		if !slices.Contains(names, l.Source) {
			continue
		}
		owner := l.Owner
		if l.Pool != "" && fronts[l.Pool] != "" {
			owner = fronts[l.Pool]
		}
		if by[owner] == nil {
			owners = append(owners, owner)
			handles[owner] = cmp.Or(string(l.Pool), l.Handle())
		}
		by[owner] = append(by[owner], string(l.Instance))
	}
	slices.Sort(owners)
	for _, o := range owners {
		ids := by[o]
		n, more := len(ids), ""
		if n > namedUsers {
			ids, more = ids[:namedUsers], " ..."
		}
		lines = append(lines, fmt.Sprintf("%d in use by %s (%s%s)", n, term.Line(o), strings.Join(ids, " "), more))
	}
	if len(owners) == 1 && owners[0] == w.req.Owner {
		mine = handles[owners[0]]
	}
	all, err := w.engine.Status(ctx)
	if err != nil {
		return lines, ""
	}
	for _, s := range all {
		if !slices.Contains(names, s.Name) {
			continue
		}
		if n := s.Counts.Cleaning + s.Counts.Discarding; n > 0 {
			lines, mine = append(lines, fmt.Sprintf("%d on the way back", n)), ""
		}
		if s.Counts.Ready > 0 && w.special() {
			lines, mine = append(lines, fmt.Sprintf("%d ready and not what is asked for", s.Counts.Ready)), ""
		}
		if s.Counts.Held > 0 {
			lines = append(lines, fmt.Sprintf("%d held aside", s.Counts.Held))
		}
	}
	return lines, mine
}

// special reports whether the request asks for a certain size, image or location.
func (w *waiting) special() bool {
	r := w.req
	return r.Cores > 0 || r.Memory > 0 || r.Disk > 0 || r.GPUs > 0 || r.Image != "" || r.Flavor != "" ||
		r.Location != "" || len(r.UserData) > 0
}

// leaves returns the real sources behind a source: itself, or those below a pool. In a ring of
// pools there are none.
func (w *waiting) leaves(name string) []string {
	children := w.children()
	seen := map[string]bool{}
	var below func(string) []string
	below = func(name string) (out []string) {
		if seen[name] {
			return nil
		}
		seen[name] = true
		some, pool := children[name]
		if !pool {
			return []string{name}
		}
		for _, c := range some {
			out = append(out, below(c)...)
		}
		return out
	}
	return below(name)
}

// children returns the sources of each pool.
func (w *waiting) children() map[string][]string {
	out := map[string][]string{}
	for _, s := range w.app.Sources(context.Background()) {
		if w.app.Host.Kinds.Kind(s.Type).Pool && !s.Orphaned {
			out[s.Name] = s.Children
		}
	}
	return out
}

// held lists the instances that are held aside in a source with a fixed number of computers. They
// take the place of others.
func (w *waiting) held(ctx context.Context) (names []string) {
	all, err := w.engine.Instances(ctx, compute.InstanceQuery{States: []compute.State{compute.Held}})
	if err != nil {
		return nil
	}
	leaves := w.leaves(w.req.Source)
	for _, i := range all {
		if slices.Contains(leaves, i.Source) && w.fixed(ctx, i.Source) > 0 {
			names = append(names, string(i.ID))
		}
	}
	slices.Sort(names)
	return names
}

// fixed returns how many computers a source has if it makes none; 0 if it makes them.
func (w *waiting) fixed(ctx context.Context, source string) int {
	local, ok := w.engine.(*pool.Pool)
	if !ok {
		s, _ := w.app.Source(source)
		return s.Fixed
	}
	p, err := local.Provider(ctx, source)
	if err != nil {
		return 0
	}
	if f, ok := compute.As[compute.Fixed](p); ok {
		return len(f.Names())
	}
	return 0
}

// vain reports whether the held instances leave fewer than the request needs.
func (w *waiting) vain(ctx context.Context) bool {
	held := w.held(ctx)
	if len(held) == 0 {
		return false
	}
	can := -len(held)
	for _, source := range w.leaves(w.req.Source) {
		n := w.fixed(ctx, source)
		if n == 0 {
			return false // the source may make one
		}
		can += n
	}
	return can < w.req.Count
}
