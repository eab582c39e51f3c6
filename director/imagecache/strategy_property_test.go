package imagecache_test

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute/metal"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// fleet draws one with stale, provisioned and free nodes, some of flavors that are not listed, and
// images of which two may have one name.
func fleet(t *rapid.T) *metal.Fleet {
	f := &metal.Fleet{Time: time.Unix(1e9, 0)}
	for i := range rapid.IntRange(1, 4).Draw(t, "flavors") {
		f.Flavors = append(f.Flavors, fmt.Sprint("flavor", i))
	}
	for i := range rapid.IntRange(1, 8).Draw(t, "images") {
		f.Images = append(f.Images, metal.Image{ID: fmt.Sprint("i", i), Name: fmt.Sprint("image", i/rapid.IntRange(1, 2).Draw(t, "named"))})
	}
	for i := range rapid.IntRange(0, 200).Draw(t, "nodes") {
		n := metal.Node{
			ID: fmt.Sprint("n", i), Flavor: fmt.Sprint("flavor", rapid.IntRange(0, 4).Draw(t, "flavor")),
			Writes: rapid.IntRange(0, 3).Draw(t, "writes"),
		}
		switch k := rapid.IntRange(0, 9).Draw(t, "state"); {
		case k < 2:
			n.Provisioned, n.Wiping = true, k == 1
		case k < 5:
			n.Cached, n.Image, n.Writing = true, fmt.Sprint("i", rapid.IntRange(0, len(f.Images)-1).Draw(t, "image")), k == 4
		case k < 6:
			n.Cached, n.Image = true, rapid.SampledFrom([]string{"", "old", "older"}).Draw(t, "stale")
		}
		f.Nodes = append(f.Nodes, n)
	}
	return f
}

func weights(t *rapid.T) strategy.Weights {
	w := strategy.Weights{Default: rapid.IntRange(0, 2).Draw(t, "default"), Images: map[string]int{}}
	for i := range rapid.IntRange(0, 8).Draw(t, "weighed") {
		w.Images[fmt.Sprint("image", i)] = rapid.IntRange(0, 20).Draw(t, "weight")
	}
	return w
}

var shares = rapid.SampledFrom([]float64{0, .1, .125, .25, 1. / 3, .5, .75, .9, 1})

// count counts the nodes of a flavor after a plan is done: those that are to be had, and those with
// each current image.
func count(f *metal.Fleet, p metal.Plan, flavor string) (base int, images map[string]int) {
	images = map[string]int{}
	current := map[string]bool{}
	for _, m := range f.Images {
		current[m.ID] = true
	}
	for _, n := range f.Nodes {
		if n.Flavor == flavor && !n.Provisioned && !slices.Contains(p.Eject, n.ID) {
			base++
			if n.Cached && current[n.Image] {
				images[n.Image]++
			}
		}
	}
	for _, w := range p.Cache[flavor] {
		images[w.Image]++
	}
	return base, images
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestPlain holds the strategy without anything beyond against what Arsenal's own tests asserted.
func TestPlain(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := fleet(r)
		seed := rapid.Uint64().Draw(r, "seed")
		p := strategy.Proportional{Share: shares.Draw(r, "share"), Weights: weights(r), Seed: func() uint64 { return seed }}
		p.Choice = rapid.SampledFrom([]strategy.ImageChoice{strategy.Weighted, strategy.Random}).Draw(r, "choice")
		p.AnyNode = rapid.Bool().Draw(r, "any node")
		before := fmt.Sprint(*f)
		plan := p.Decide(f).Plan
		check(t, f, plan)
		if fmt.Sprint(*f) != before {
			r.Fatal("the fleet was changed")
		}
		if again := p.Decide(f).Plan; !reflect.DeepEqual(again, plan) {
			r.Fatalf("the same is decided in another way:\n%v\n%v", plan, again)
		}
		for _, n := range f.Nodes {
			current := slices.ContainsFunc(f.Images, func(m metal.Image) bool { return m.ID == n.Image })
			if stale := !n.Provisioned && n.Cached && !current; stale != slices.Contains(plan.Eject, n.ID) {
				r.Fatalf("%+v, and ejected are %v", n, plan.Eject)
			}
		}
		for _, flavor := range f.Flavors {
			base, images := count(f, plan, flavor)
			goal, wrote := int(math.Floor(p.Share*float64(base))), len(plan.Cache[flavor])
			if has := sum(images); has < goal || wrote > 0 && has != goal {
				r.Fatalf("%s: %d of %d have an image, %d of them now, and %d were wanted", flavor, has, base, wrote, goal)
			}
			if len(p.Weights.Images) == 0 || p.AnyNode {
				continue
			}
			most, least := 0, math.MaxInt // of those that are written to, and those that are not
			for _, n := range f.Nodes {
				if n.Flavor != flavor || !n.Free() {
					continue
				}
				if slices.ContainsFunc(plan.Cache[flavor], func(w metal.Write) bool { return w.Node == n.ID }) {
					most = max(most, n.Writes)
				} else {
					least = min(least, n.Writes)
				}
			}
			if most > least {
				r.Fatalf("%s: a node with %d writes is taken before one with %d", flavor, most, least)
			}
		}
	})
}

// TestFairShares gives each image its share by weight, within one node, on nodes that were empty.
func TestFairShares(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := &metal.Fleet{Flavors: []string{"io"}}
		w := strategy.Weights{Images: map[string]int{}}
		total := 0
		for i := range rapid.IntRange(1, 30).Draw(r, "images") {
			name := fmt.Sprint("image", i)
			f.Images = append(f.Images, metal.Image{ID: name, Name: name})
			w.Images[name] = rapid.IntRange(0, 1_000_000).Draw(r, "weight")
			total += w.Images[name]
		}
		for i := range rapid.IntRange(0, 10_000).Draw(r, "nodes") {
			f.Nodes = append(f.Nodes, metal.Node{ID: fmt.Sprint(i), Flavor: "io"})
		}
		p := strategy.Proportional{Share: 1, Weights: w}
		_, images := count(f, p.Decide(f).Plan, "io")
		for name, weight := range w.Images {
			fair := float64(len(f.Nodes)) / float64(len(f.Images))
			if total > 0 {
				fair = float64(len(f.Nodes)) * float64(weight) / float64(total)
			}
			if got := float64(images[name]); math.Abs(got-fair) >= 1 || total > 0 && weight == 0 && got > 0 {
				r.Fatalf("%s: %v nodes where %v are fair", name, got, fair)
			}
		}
	})
}

// TestBounds draws least and most: the least are there as far as nodes are free, nothing is written
// beyond the most, and the share is met where these let it.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := fleet(r)
		p := strategy.Proportional{Share: shares.Draw(r, "share"), Weights: weights(r), Rebalance: rapid.Bool().Draw(r, "rebalance")}
		p.Choice = rapid.SampledFrom([]strategy.ImageChoice{strategy.Weighted, strategy.Random}).Draw(r, "choice")
		bounds := func(name string) (b strategy.Bounds) {
			for range rapid.IntRange(0, 4).Draw(r, name) {
				b = append(b, strategy.Bound{Flavor: rapid.SampledFrom([]string{"*", "flavor0", "flavor[12]"}).Draw(r, "flavor"),
					Image: rapid.SampledFrom([]string{"*", "image0", "image1", "image[2-4]"}).Draw(r, "image"),
					Nodes: rapid.IntRange(0, 20).Draw(r, name)})
			}
			return b
		}
		p.Least, p.Most = bounds("least"), bounds("most")
		d := p.Decide(f)
		check(t, f, d.Plan)
		for i, flavor := range f.Flavors {
			base, images := count(f, d.Plan, flavor)
			a := d.Flavors[i]
			written, room := map[string]int{}, 0
			for _, w := range d.Plan.Cache[flavor] {
				written[w.Image]++
			}
			free := a.Free - a.Need
			lacking := 0
			for _, m := range f.Images {
				least, _ := p.Least.Of(flavor, m.Name)
				if most, limited := p.Most.Of(flavor, m.Name); limited {
					least = min(least, most)
					if written[m.ID] > 0 && images[m.ID] > most {
						r.Fatalf("%s: %s is on %d nodes, and at most %d are allowed", flavor, m.ID, images[m.ID], most)
					}
					room += max(0, most-images[m.ID])
				} else if p.Weights.Of(flavor, m.Name) > 0 {
					room += 1000
				}
				lacking += max(0, least-images[m.ID])
			}
			if lacking > 0 && free > 0 {
				r.Fatalf("%s: %d are lacking of what is to be there at least, and %d nodes are free", flavor, lacking, free)
			}
			goal := int(p.Share * float64(base))
			if has := sum(images); has < goal && free > 0 && room >= 1000 {
				r.Fatalf("%s: %d have an image, %d are wanted, %d are free, and there are images for more", flavor, has, goal, free)
			}
		}
	})
}

// TestRebalance never ejects below the goal, and comes to an end at which all is fair.
func TestRebalance(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := fleet(r)
		for i := range f.Nodes {
			f.Nodes[i].Writing = false
		}
		p := strategy.Proportional{Share: rapid.SampledFrom([]float64{.1, .5}).Draw(r, "share"), Weights: weights(r), Rebalance: true}
		for range 50 {
			d := p.Decide(f)
			check(t, f, d.Plan)
			for i, flavor := range f.Flavors {
				base, images := count(f, d.Plan, flavor)
				if a := d.Flavors[i]; a.Surplus > 0 && (sum(images) < int(p.Share*float64(base)) || a.Need > 0) {
					r.Fatalf("%s: %d are left of %d, and %d were ejected: %+v", flavor, sum(images), base, a.Surplus, a)
				}
			}
			if len(d.Plan.Eject) == 0 && len(d.Plan.Cache) == 0 {
				return
			}
			done(f, d.Plan)
		}
		r.Fatal("it has not come to an end after 50 rounds")
	})
}

// done does a plan at once.
func done(f *metal.Fleet, p metal.Plan) {
	for i := range f.Nodes {
		n := &f.Nodes[i]
		if slices.Contains(p.Eject, n.ID) {
			n.Cached, n.Image = false, ""
		}
		for _, w := range p.Cache[n.Flavor] {
			if w.Node == n.ID {
				n.Cached, n.Image, n.Writes = true, w.Image, n.Writes+1
			}
		}
	}
}

// TestWaves rolls new builds out on nodes that take time to be wiped and written: the floor holds
// in every round, and in the end all have the new ones.
func TestWaves(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		share := rapid.SampledFrom([]float64{.25, .5, .9, 1}).Draw(r, "share")
		p := strategy.Proportional{
			Share: share, Weights: strategy.Weights{Default: 1},
			Ready: rapid.SampledFrom([]float64{.1, .5, .8}).Draw(r, "ready"),
		}
		f := &metal.Fleet{Flavors: []string{"io"}, Images: []metal.Image{{ID: "new", Name: "ubuntu"}, {ID: "other", Name: "coreos"}}}
		size := rapid.IntRange(1, 60).Draw(r, "nodes")
		for i := range size {
			n := metal.Node{ID: fmt.Sprint(i), Flavor: "io"}
			if i < int(share*float64(size)) {
				n.Cached, n.Image = true, "old"
			}
			f.Nodes = append(f.Nodes, n)
		}
		goal := int(share * float64(size))
		floor := max(0, min(int(math.Ceil(p.Ready*float64(goal))), goal-1))
		left := map[string]int{} // rounds until what is done to a node is done
		for round := 0; ; round++ {
			if round > 20*size+50 {
				r.Fatalf("it has not come to an end after %d rounds: %+v", round, f.Nodes)
			}
			ready, stale := 0, 0
			for i := range f.Nodes {
				n := &f.Nodes[i]
				if left[n.ID]--; left[n.ID] <= 0 {
					if n.Wiping {
						n.Provisioned, n.Wiping = false, false
					}
					n.Writing = false
				}
				if n.Cached && !n.Writing {
					ready++
				}
				if n.Image == "old" {
					stale++
				}
			}
			if ready < floor {
				r.Fatalf("round %d: %d are ready, and %d were to be", round, ready, floor)
			}
			plan := p.Decide(f).Plan
			check(t, f, plan)
			if stale == 0 && len(plan.Eject) == 0 && len(plan.Cache) == 0 && ready >= goal {
				return
			}
			for i := range f.Nodes {
				n := &f.Nodes[i]
				if slices.Contains(plan.Eject, n.ID) {
					*n = metal.Node{ID: n.ID, Flavor: "io", Provisioned: true, Wiping: true}
					left[n.ID] = rapid.IntRange(1, 4).Draw(r, "wiping")
				}
				for _, w := range plan.Cache["io"] {
					if w.Node == n.ID {
						n.Cached, n.Image, n.Writing = true, w.Image, true
						left[n.ID] = rapid.IntRange(1, 4).Draw(r, "writing")
					}
				}
			}
		}
	})
}
