package leasecmd

import (
	"context"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
)

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

// held lists the instances that are held aside in a source with a fixed number of computers. They
// take the place of others.
func (w *waiting) held(ctx context.Context) (names []string) {
	all, err := w.engine.Instances(ctx, inventory.InstanceQuery{States: []compute.State{compute.Held}})
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
	if static := provider.Of(p).Static; static != nil {
		return len(static.Names())
	}
	return 0
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
