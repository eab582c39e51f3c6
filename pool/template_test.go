package pool_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// file is what the source web makes its instances like, as somebody edits it.
type file struct {
	mu   sync.Mutex
	text string
	made map[compute.ID]string
	desk pool.Inflight
}

func (f *file) edit(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

func (f *file) of(id compute.ID) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.made[id]
}

// likeFile is a provider that makes its instances like a file.
type likeFile struct {
	compute.Provider
	f *file
}

func (l likeFile) Unwrap() compute.Provider { return l.Provider }

func (l likeFile) Template() (string, error) {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	return l.f.text, nil
}

func (l likeFile) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	text, _ := l.Template()
	l.f.mu.Lock()
	l.f.made[spec.ID] = text
	l.f.mu.Unlock()
	i, err := l.Provider.Create(ctx, spec)
	i.Facts = map[string]string{provider.FactTemplate: text}
	return i, err
}

func (f *file) wrap(o *pool.Options) {
	inner := o.Open
	o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
		p, err := inner(ctx, name, typ, def)
		if err != nil {
			return nil, err
		}
		return likeFile{p, f}, nil
	}
}

// rounds does what a controller does from time to time, until ctx ends.
func (r *rig) rounds(t *testing.T, ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	with := pool.ReconcileOptions{Go: all.Go, Done: func() {}}
	for ctx.Err() == nil {
		for _, err := range []error{second(r.Reconcile(ctx, with)), r.Rolling(ctx, with), second(r.Fill(ctx, "web"))} {
			if err != nil && ctx.Err() == nil && !errors.Is(err, compute.ErrNoCapacity) &&
				!errors.Is(err, compute.ErrFailed) && !errors.Is(err, compute.ErrUnavailable) {
				t.Errorf("a round: %v", err)
			}
		}
		time.Sleep(time.Second)
	}
}

// TestTemplateEdited edits the template of a source while others take instances and give them back:
// what stands ready is replaced, a few at a time, and there are never fewer than the reserve, where
// there is room; without any, never more than one fewer. Who has one keeps it. What nothing can be
// made of replaces nothing.
func TestTemplateEdited(t *testing.T) {
	for seed := range uint64(8) {
		dice := rand.New(rand.NewPCG(seed, 3))
		reserve, room, users := 2+dice.IntN(5), dice.IntN(4), dice.IntN(3)
		if seed == 0 {
			room = 0
		}
		f := &file{text: "one", made: map[compute.ID]string{}}
		sources := web(func(s *pool.Source) { s.Reserve, s.Maximum = reserve, reserve+room })
		inBubble(t, f.wrap, sources, func(t *testing.T, ctx context.Context, r *rig) {
			r.fail = func(_, op string, id compute.ID) error {
				switch op {
				case "create":
					time.Sleep(time.Second)
				case "connect":
					if f.of(id) == "broken" {
						return &compute.Error{Kind: compute.ErrFailed, Err: errors.New("its image is not there")}
					}
				}
				return nil
			}
			_, err := r.Fill(ctx, "web")
			must(t, err)
			ctx, cancel := context.WithCancel(ctx)
			var all sync.WaitGroup
			all.Go(func() { r.rounds(t, ctx) })
			least := reserve
			if room == 0 {
				least--
			}
			all.Go(func() {
				for ctx.Err() == nil {
					if n := r.webCounts(t, context.Background()); users == 0 && n.Ready < least || n.Present() > reserve+room {
						t.Errorf("seed %d: of %d to %d there are %+v", seed, reserve, reserve+room, n)
						return
					}
					time.Sleep(333 * time.Millisecond)
				}
			})
			for u := range users {
				own := rand.New(rand.NewPCG(seed, uint64(u)+4))
				all.Go(func() {
					for ctx.Err() == nil {
						ls, err := r.Acquire(ctx, compute.Request{Source: "web", Count: 1, Owner: "ann", Wait: time.Hour, CachedOnly: true})
						if err == nil && len(ls) == 1 {
							time.Sleep(time.Duration(own.IntN(3000)) * time.Millisecond)
							rest := context.Background()
							if _, e := r.Authorize(rest, ann, ls[0].Instance); e != nil {
								t.Errorf("seed %d: %s was taken away: %v", seed, ls[0].Instance, e)
							}
							must(t, r.Release(rest, ann, compute.ReleaseOptions{}, ls[0].Instance))
						}
						time.Sleep(time.Duration(own.IntN(2000)) * time.Millisecond)
					}
				})
			}
			until := func(text string) {
				t.Helper()
				for end := time.Now().Add(time.Hour); ; time.Sleep(time.Second) {
					ids := r.ready(t, context.Background())
					if len(ids) > 0 &&
						!slices.ContainsFunc(
							ids, func(id compute.ID) bool { return f.of(id) != text },
						) && (users > 0 || len(ids) == reserve) {
						return
					}
					if time.Now().After(end) {
						said := ""
						for _, id := range ids {
							said += fmt.Sprintf(" %s=%s", id, f.of(id))
						}
						t.Errorf("seed %d: not all are %s:%s", seed, text, said)
						return
					}
				}
			}
			f.edit("two")
			until("two")
			if users == 0 { // with users the ready ones go, and with no room one does
				f.edit("broken")
				time.Sleep(5 * time.Minute)
				if ids := r.ready(t, context.Background()); len(ids) != least ||
					slices.ContainsFunc(ids, func(id compute.ID) bool { return f.of(id) != "two" }) {
					t.Errorf("seed %d: of a broken template ready are %v", seed, ids)
				}
			}
			f.edit("three")
			until("three")
			cancel()
			all.Wait()
		})
	}
}

// TestTemplateOfBefore has what is given back be discarded, not cleaned, when its template has
// changed meanwhile; behind a pool too.
func TestTemplateOfBefore(t *testing.T) {
	f := &file{text: "one", made: map[compute.ID]string{}}
	sources := append(
		web(func(s *pool.Source) { s.Idle = time.Hour }),
		pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Idle: time.Hour},
	)
	inBubble(t, f.wrap, sources, func(t *testing.T, ctx context.Context, r *rig) {
		for _, name := range []string{"web", "front"} {
			l := r.take(t, ctx, compute.Request{Source: name})
			leaf, err := r.Leaf(ctx, l.Instance)
			must(t, err)
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			if got := r.state(t, ctx, leaf.ID); got == "gone" {
				t.Errorf("%s: it is not kept", l.Instance)
			}
			l = r.take(t, ctx, compute.Request{Source: name})
			f.edit("of " + name)
			must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
			must(t, second(r.RunDue(ctx)))
			if got := r.state(t, ctx, leaf.ID); got != "gone" {
				t.Errorf("%s: it is %s", l.Instance, got)
			}
		}
	})
}

// timed is a store that fails a test where a transaction takes time: by a bubble's clock it does
// only by waiting for something.
type timed struct {
	pool.Store
	t *testing.T
}

func (c timed) Update(ctx context.Context, fn func(store.Tx) error) error {
	return c.Store.Update(ctx, func(tx store.Tx) error { return c.in(tx, fn) })
}

func (c timed) View(ctx context.Context, fn func(store.Tx) error) error {
	return c.Store.View(ctx, func(tx store.Tx) error { return c.in(tx, fn) })
}

func (c timed) in(tx store.Tx, fn func(store.Tx) error) error {
	start := time.Now()
	defer func() {
		if long := time.Since(start); long > 0 {
			c.t.Errorf(
				"a transaction has waited for %v, as for a template that is read in it, which holds up all others while a file server hangs",
				long,
			)
		}
	}()
	return fn(tx)
}

// slow takes time to read a template.
type slow struct {
	likeFile
	asked *atomic.Int32
}

func (o slow) Template() (string, error) {
	o.asked.Add(1)
	time.Sleep(time.Millisecond)
	return o.likeFile.Template()
}

// TestTemplateReadOutside has no template read while a transaction is under way.
func TestTemplateReadOutside(t *testing.T) {
	f, asked := &file{text: "one", made: map[compute.ID]string{}}, new(atomic.Int32)
	change := func(o *pool.Options) {
		f.wrap(o)
		inner := o.Open
		o.Store = timed{o.Store, t}
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			p, err := inner(ctx, name, typ, def)
			if err != nil {
				return nil, err
			}
			return slow{p.(likeFile), asked}, nil
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reserve = 2 }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx, "web")))
		l := r.take(t, ctx, compute.Request{})
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		l = r.take(t, ctx, compute.Request{})
		f.edit("two")
		var all sync.WaitGroup
		must(t, r.Rolling(ctx, pool.ReconcileOptions{Go: all.Go, Done: func() {}}))
		all.Wait()
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, l.Instance))
		must(t, second(r.RunDue(ctx)))
		for _, id := range r.ready(t, ctx) {
			if f.of(id) != "two" {
				t.Errorf("%s is of %q still", id, f.of(id))
			}
		}
		if asked.Load() == 0 {
			t.Error("nobody has read it")
		}
	})
}
