package pool_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
)

// TestElsewhere: ready instances of a place to which the configuration does not lead any more are
// passed over, alone and in a pool, while others of the source serve. That is said once, and once
// it leads there again they serve as before.
func TestElsewhere(t *testing.T) {
	for _, source := range []string{"web", "front"} {
		t.Run(source, func(t *testing.T) {
			at, life := "here", map[compute.ID]int{}
			change := placed(&at, life)
			sources := append(
				web(func(s *pool.Source) { s.Reuse, s.Spare, s.Maximum = "no", 2, 4 }),
				pool.Source{Name: "front", Type: "pool", Digest: "d", Children: []string{"web"}, Spare: 2},
			)
			if source == "front" {
				sources[0].Spare = 0
			}
			inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
				old, err := r.Fill(ctx, source)
				must(t, err)
				if len(old) != 2 {
					t.Fatalf("made %v", old)
				}
				time.Sleep(time.Minute)
				at = "there"
				for range 20 { // two have room beside those that stand there
					ls, err := r.Acquire(ctx, compute.Request{Source: source, Count: 2, Owner: "ann"})
					must(t, err)
					for _, l := range ls {
						must(t, r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, l.Instance))
					}
					time.Sleep(17 * time.Second)
				}
				_, err = r.Acquire(ctx, compute.Request{Source: source, Count: 3, Owner: "ann"})
				if err == nil || !strings.Contains(err.Error(), "it leads elsewhere") {
					t.Errorf("who asks for more is told %v", err)
				}
				if s := r.status(t, ctx, "web"); s.LastError != "" || !s.Paused.IsZero() {
					t.Errorf("of the source it is said: %+v", s)
				}
				for _, id := range old {
					if i, _, err := r.Resolve(ctx, string(id)); err != nil || i.State != compute.Ready ||
						!strings.Contains(i.Reason, "it leads elsewhere") {
						t.Errorf("%s is %s: %q, %v", id, i.State, i.Reason, err)
					}
				}
				es, err := r.Events(ctx, inventory.EventQuery{})
				must(t, err)
				said := 0
				for _, e := range es {
					switch e.Kind {
					case "elsewhere":
						said++
					case "unreachable", "reachable":
						t.Errorf("the journal says %+v", e)
					}
				}
				if most := map[string]int{"web": 1, "front": 2}[source]; said == 0 || said > most {
					t.Errorf("the journal tells of it %d times", said)
				}
				at = "here"
				time.Sleep(2 * time.Minute)
				ls, err := r.Acquire(ctx, compute.Request{Source: source, Count: 2, Owner: "ann"})
				must(t, err)
				for n, l := range ls {
					if i, _, err := r.Resolve(ctx, string(l.Instance)); err != nil || l.Instance != old[n] || i.Reason != "" {
						t.Errorf("afterwards %s is given: %q, %v", l.Instance, i.Reason, err)
					}
				}
			})
		})
	}
}

// knowing is places that know of what is there now without a look.
type knowing struct{ *places }

func (k knowing) Fit(_ compute.ID, identity string) bool {
	return k.Leads(context.Background(), identity) == nil
}

// TestElsewhereIsOver: what was said of an instance that was elsewhere is said no more once it is
// given, though nobody had to look at it for that.
func TestElsewhereIsOver(t *testing.T) {
	at := "here"
	change := func(o *pool.Options) {
		inner := o.Open
		o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
			here, err := inner(ctx, name, typ, def)
			if err != nil {
				return nil, err
			}
			there, err := inner(ctx, "there", typ, def)
			return knowing{&places{Provider: here, other: there, at: &at, life: map[compute.ID]int{}}}, err
		}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reuse, s.Spare, s.Maximum = "no", 1, 4 }), func(
		t *testing.T, ctx context.Context, r *rig,
	) {
		must(t, second(r.Fill(ctx, "web")))
		time.Sleep(time.Minute)
		at = "there"
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{Discard: true}, r.take(t, ctx, compute.Request{}).Instance))
		if i, _, err := r.Resolve(ctx, "web-1"); err != nil || !strings.Contains(i.Reason, "it leads elsewhere") {
			t.Fatalf("while it is elsewhere: %+v, %v", i, err)
		}
		at = "here"
		time.Sleep(2 * time.Minute)
		l := r.take(t, ctx, compute.Request{})
		if i, _, err := r.Resolve(ctx, string(l.Instance)); err != nil || l.Instance != "web-1" || i.Reason != "" || !i.Retry.IsZero() {
			t.Errorf("%s is given: %q, %v, %v", l.Instance, i.Reason, i.Retry, err)
		}
	})
}

// saving counts the instances that each transaction writes.
type saving struct {
	pool.Store
	most *atomic.Int64
}

type savingTx struct {
	store.Tx
	n int64
}

func (t *savingTx) SaveInstance(i *compute.Instance) error {
	t.n++
	return t.Tx.SaveInstance(i)
}

func (s saving) Update(ctx context.Context, fn func(store.Tx) error) error {
	return s.Store.Update(ctx, func(tx store.Tx) error {
		t := &savingTx{Tx: tx}
		err := fn(t)
		if t.n > s.most.Load() {
			s.most.Store(t.n)
		}
		return err
	})
}

// TestElsewhereInBatches: of many that stand ready in another place all are passed over once one
// was found to be there, and no transaction writes all of them.
func TestElsewhereInBatches(t *testing.T) {
	const all = 230
	at, life, most := "here", map[compute.ID]int{}, new(atomic.Int64)
	place := placed(&at, life)
	change := func(o *pool.Options) {
		place(o)
		o.Store = saving{o.Store, most}
	}
	inBubble(t, change, web(func(s *pool.Source) { s.Reuse, s.Spare = "no", all }), func(t *testing.T, ctx context.Context, r *rig) {
		must(t, second(r.Fill(ctx, "web")))
		time.Sleep(time.Minute)
		at = "there"
		most.Store(0)
		l := r.take(t, ctx, compute.Request{})
		if n := most.Load(); n > 60 {
			t.Errorf("a transaction wrote %d instances", n)
		}
		passed := 0
		is, err := r.Instances(ctx, inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Ready}})
		must(t, err)
		for _, i := range is {
			if strings.Contains(i.Reason, "it leads elsewhere") && i.Retry.After(time.Now()) {
				passed++
			}
		}
		if passed != all || l.Instance == "web-1" {
			t.Errorf("%d of %d are passed over, and %s is given", passed, all, l.Instance)
		}
		es, err := r.Events(ctx, inventory.EventQuery{Source: "web"})
		must(t, err)
		said := 0
		for _, e := range es {
			if e.Kind == "elsewhere" {
				said++
			}
		}
		if said != 1 {
			t.Errorf("the journal tells of it %d times", said)
		}
	})
}
