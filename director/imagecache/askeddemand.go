package imagecache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
	"github.com/hostler-project/hostler/observe/gauge"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// eventsAtOnce is how many events of the journal are read at a time. The first read goes no further
// back.
const eventsAtOnce = 20_000

// asked is the stored record of demand: a forecast, and the last event of the journal that is in
// it.
type asked struct {
	After    int64          `json:"after"`
	Forecast gauge.Forecast `json:"forecast"`
	// the flavor of the node that a source gave out last
	Sources map[string]string `json:"sources,omitempty"`
}

// mostUnserved is how many requests an unserved request counts for at most.
const mostUnserved = 100

// demand returns the demand that the journal shows. Each instance made of one of the fleet's nodes
// was a request for an image, whether the image stood ready there (a hit) or not (a miss). An
// unserved request counts for the flavor that its source gave out last, or the only flavor.
// Repeated between two rounds it counts once. Each event counts once, for all processes on the
// store together. A dry run stores nothing.
func (r *round) demand(ctx context.Context) (out map[string]map[string]float64, err error) {
	lead := cmp.Or(r.opt.Lead, strategy.UsualLead)
	take := func(tx store.Tx) (*asked, bool, error) {
		a := &asked{}
		if _, err := store.ReadNote(tx, askedNote, a); err != nil {
			return nil, false, err
		}
		before := a.After
		events, err := tx.Events(inventory.EventQuery{After: a.After, Newest: eventsAtOnce})
		if err != nil {
			return nil, false, err
		}
		flavors := r.flavorsByNode(events)
		type want struct{ owner, source, image string }
		unserved := map[want]bool{}
		for _, e := range events {
			a.After = max(a.After, e.ID)
			if e.Kind == "unserved" {
				w := want{e.Owner, e.Source, r.imageName(e.Data[provider.FactImage])}
				flavor := a.Sources[e.Source]
				if flavor == "" && len(r.flavors) == 1 {
					flavor = r.flavors[0]
				}
				n, _ := strconv.Atoi(e.Data["count"])
				if flavor == "" || w.image == "" || unserved[w] {
					continue
				}
				unserved[w] = true
				for range min(max(n, 1), mostUnserved) {
					a.Forecast.Add(e.Time, flavor, w.image)
				}
				continue
			}
			if flavor, image := flavors[e.Data[provider.FactNode]], e.Data[provider.FactImage]; e.Kind == "made" &&
				flavor != "" && image != "" {
				a.Forecast.Add(e.Time, flavor, image)
				if e.Source != "" && a.Sources[e.Source] != flavor {
					if a.Sources == nil {
						a.Sources = map[string]string{}
					}
					a.Sources[e.Source] = flavor
				}
			}
		}
		out = a.Forecast.Demand(r.now, lead)
		return a, a.After > before, nil
	}
	if r.opt.DryRun {
		err = r.opt.Store.View(ctx, func(tx store.Tx) error {
			_, _, err := take(tx)
			return err
		})
	} else {
		err = r.book.update(ctx, func(tx store.Tx) error {
			a, more, err := take(tx)
			if err != nil || !more {
				return err
			}
			return store.WriteNote(tx, askedNote, a)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read what was asked for: %w", err)
	}
	return out, nil
}

// imageName returns the name of an image that a request gave by name or id.
func (r *round) imageName(said string) string {
	for i := range r.images {
		if r.images[i].ID == said {
			return cmp.Or(r.images[i].Name, said)
		}
	}
	return said
}

// flavorsByNode returns the flavors of the nodes in events, by their names and ids. It leaves out
// nodes that are not in the fleet.
func (r *round) flavorsByNode(events []*compute.Event) map[string]string {
	if !slices.ContainsFunc(events, func(e *compute.Event) bool { return e.Data[provider.FactNode] != "" }) {
		return nil
	}
	out := make(map[string]string, 2*len(r.fleet.Nodes))
	for i := range r.fleet.Nodes {
		n := &r.fleet.Nodes[i]
		out[cmp.Or(n.Name, n.ID)] = n.Flavor
	}
	for i := range r.fleet.Nodes { // an id goes before a name
		out[r.fleet.Nodes[i].ID] = r.fleet.Nodes[i].Flavor
	}
	return out
}
