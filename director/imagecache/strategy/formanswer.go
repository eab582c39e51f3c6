package strategy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hostler-project/hostler/compute/metal"
)

// Answer is a plan in the JSON form.
type Answer struct {
	Eject []string              `json:"eject"`
	Cache map[string][][]string `json:"cache"` // by flavor, pairs of a node and an image
}

// AnswerOf returns a plan as an Answer.
func AnswerOf(p metal.Plan) Answer {
	a := Answer{Eject: p.Eject, Cache: make(map[string][][]string, len(p.Cache))}
	if a.Eject == nil {
		a.Eject = []string{}
	}
	for flavor, writes := range p.Cache {
		if len(writes) == 0 {
			continue
		}
		pairs, words := make([][]string, len(writes)), make([]string, 0, 2*len(writes))
		for i, w := range writes {
			words = append(words, w.Node, w.Image)
			pairs[i] = words[2*i : 2*i+2 : 2*i+2]
		}
		a.Cache[flavor] = pairs
	}
	return a
}

// Plan returns an answer's plan. It is an error if the answer names nodes or images that are
// missing or not available, or a node twice.
func (a Answer) Plan(f *metal.Fleet) (metal.Plan, error) {
	p := metal.Plan{Eject: a.Eject, Cache: make(map[string][]metal.Write, len(a.Cache))}
	nodes := make(map[string]*metal.Node, len(f.Nodes))
	for i := range f.Nodes {
		nodes[f.Nodes[i].ID] = &f.Nodes[i]
	}
	images := make(map[string]bool, len(f.Images))
	for i := range f.Images {
		images[f.Images[i].ID] = true
	}
	named := make(map[string]bool, len(a.Eject))
	find := func(id string) (*metal.Node, error) {
		n := nodes[id]
		switch {
		case n == nil:
			return nil, fmt.Errorf("node %q is not there", id)
		case named[id]:
			return nil, fmt.Errorf("node %q is named twice", id)
		case n.Provisioned:
			return nil, fmt.Errorf("node %q is not to be had", id)
		}
		named[id] = true
		return n, nil
	}
	for _, id := range a.Eject {
		if n, err := find(id); err != nil {
			return p, fmt.Errorf("eject: %w", err)
		} else if !n.Cached {
			return p, fmt.Errorf("eject: node %q has no image", id)
		}
	}
	for _, flavor := range slices.Sorted(maps.Keys(a.Cache)) {
		fail := func(format string, v ...any) (metal.Plan, error) {
			return p, fmt.Errorf("cache: flavor %q: %w", flavor, fmt.Errorf(format, v...))
		}
		if !slices.Contains(f.Flavors, flavor) {
			return fail("it is not there")
		}
		for _, pair := range a.Cache[flavor] {
			if len(pair) != 2 {
				return fail("%q is not a node and an image", pair)
			}
			n, err := find(pair[0])
			switch {
			case err != nil:
				return fail("%w", err)
			case n.Flavor != flavor:
				return fail("node %q is of flavor %q", n.ID, n.Flavor)
			case n.Cached:
				return fail("node %q has an image already", n.ID)
			case !images[pair[1]]:
				return fail("image %q is not there", pair[1])
			}
			p.Cache[flavor] = append(p.Cache[flavor], metal.Write{Node: pair[0], Image: pair[1]})
		}
	}
	return p, nil
}

// Form returns a case as an object of the form, on one line.
func (c *Case) Form() ([]byte, error) {
	f, p := &c.Fleet, &c.Strategy
	nodes := make([][]any, len(f.Nodes))
	bit := map[bool]int{true: 1}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		nodes[i] = []any{n.ID, n.Flavor, bit[n.Provisioned], bit[n.Cached], n.Image}
		if m := (more{n.Name, n.BMC, n.Rack, n.Conductor, n.Writes, n.Writing, n.Wiping, n.Since, n.Why}); m != (more{}) {
			nodes[i] = append(nodes[i], m)
		}
	}
	images := make([][]any, len(f.Images))
	for i, m := range f.Images {
		images[i] = []any{m.Name, m.ID, m.Checksum}
		if !m.Created.IsZero() {
			images[i] = append(images[i], m.Created)
		}
	}
	weights := map[string]any{}
	for name, n := range p.Weights.Images {
		weights[name] = n
	}
	for name, of := range p.Weights.Flavors {
		weights[name] = of
	}
	form := map[string]any{"nodes": nodes, "images": images, "flavors": append([]string{}, f.Flavors...),
		"percentage_to_cache": p.Share, "weights": weights,
		"default_image_weight": p.Weights.Default}
	set := func(key string, v any, there bool) {
		if there {
			form[key] = v
		}
	}
	set("image_choice", p.Choice, p.Choice != "")
	set("node_choice", "random", p.AnyNode)
	set("goal", p.Goal, p.Goal != "")
	set("minimum", p.Least.form(), len(p.Least) > 0)
	set("maximum", p.Most.form(), len(p.Most) > 0)
	set("min_ready", p.Ready, p.Ready != 0)
	set("max_stale", p.MaxStale.Seconds(), p.MaxStale != 0)
	set("rebalance", true, p.Rebalance)
	set("hit_rate", p.HitRate, p.HitRate != 0)
	set("write_time", p.Lead.Seconds(), p.Lead != 0)
	set("demand", f.Demand, f.Demand != nil)
	set("time", f.Time, !f.Time.IsZero())
	if len(f.Retired) > 0 {
		retired := make([][]any, len(f.Retired))
		for i, m := range f.Retired {
			retired[i] = []any{m.Name, m.ID, m.Checksum}
			if !m.At.IsZero() {
				retired[i] = append(retired[i], m.At)
			}
		}
		form["retired"] = retired
	}
	set("settings", c.Settings, len(c.Settings) > 0)
	if p.Seed != nil {
		form["seed"] = p.Seed()
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(form)
	return out.Bytes(), err
}

func (b Bounds) form() [][]any {
	out := make([][]any, len(b))
	for i, one := range b {
		out[i] = []any{one.Flavor, one.Image, one.Nodes}
	}
	return out
}
