package director_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

// edited is a provider that makes computers of a text which somebody edits; of "broken" none
// becomes ready.
type edited struct {
	compute.Provider
	mu   *sync.Mutex
	text *string
}

func (e edited) Unwrap() compute.Provider { return e.Provider }

func (e edited) Template() (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return *e.text, nil
}

func (e edited) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	text, _ := e.Template()
	time.Sleep(3 * time.Second) // in a bubble: a boot takes time
	if text == "broken" {
		return compute.Instance{}, &compute.Error{Kind: compute.ErrNoCapacity, Err: errors.New("no node takes it")}
	}
	i, err := e.Provider.Create(ctx, spec)
	i.Facts = map[string]string{provider.FactTemplate: text}
	return i, err
}

// TestRollsWithoutAHole: while a director keeps a source filled, what is replaced since it was
// changed leaves never fewer ready than are wanted, whether or not what is made now becomes ready.
func TestRollsWithoutAHole(t *testing.T) {
	var mu sync.Mutex
	text := "one"
	edit := func(now string) {
		mu.Lock()
		defer mu.Unlock()
		text = now
	}
	set := setting{
		source: pool.Source{Spare: 4, Maximum: 9},
		wrap:   func(p compute.Provider) compute.Provider { return edited{p, &mu, &text} },
	}
	directed(t, set, func(ctx context.Context, r *rig) {
		time.Sleep(time.Minute)
		r.want("at first", inventory.Counts{Ready: 4})
		rolling, end := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() {
			for rolling.Err() == nil {
				if _, err := r.Reconcile(rolling, pool.ReconcileOptions{Go: all.Go, Done: func() {}}); err != nil && rolling.Err() == nil {
					t.Error(err)
				}
				if err := r.Rolling(rolling, pool.ReconcileOptions{Go: all.Go, Done: func() {}}); err != nil && rolling.Err() == nil {
					t.Error(err)
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
		least := 4
		for _, now := range []string{"broken", "two"} {
			edit(now)
			for range 600 {
				least = min(least, r.counts().Ready)
				time.Sleep(200 * time.Millisecond)
			}
			if is := r.counts(); least < 4 || is.Ready != 4 {
				t.Errorf("%s: %d were ready at the least, and in the end there are %+v", now, least, is)
			}
		}
		end()
		all.Wait()
		ready, err := r.Instances(ctx, inventory.InstanceQuery{Source: "web", States: []compute.State{compute.Ready}})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range ready {
			if i.Facts[provider.FactTemplate] != "two" {
				t.Errorf("%s is of %q", i.ID, i.Facts[provider.FactTemplate])
			}
		}
	})
}
