package caching

import (
	"bytes"
	"encoding/json"

	"github.com/hostler-project/hostler/metal"
)

// Answer is a plan in the JSON form.
type Answer struct {
	Eject []string               `json:"eject"`
	Cache map[string][][2]string `json:"cache"`
}

// AnswerOf is a plan's.
func AnswerOf(p metal.Plan) Answer {
	a := Answer{Eject: p.Eject, Cache: make(map[string][][2]string, len(p.Cache))}
	if a.Eject == nil {
		a.Eject = []string{}
	}
	for flavor, writes := range p.Cache {
		pairs := make([][2]string, len(writes))
		for i, w := range writes {
			pairs[i] = [2]string{w.Node, w.Image}
		}
		if len(pairs) > 0 {
			a.Cache[flavor] = pairs
		}
	}
	return a
}

// Plan is an answer's.
func (a Answer) Plan() metal.Plan {
	p := metal.Plan{Eject: a.Eject, Cache: make(map[string][]metal.Write, len(a.Cache))}
	for flavor, pairs := range a.Cache {
		for _, pair := range pairs {
			p.Cache[flavor] = append(p.Cache[flavor], metal.Write{Node: pair[0], Image: pair[1]})
		}
	}
	return p
}

// Form is a case as an object of the form, on one line.
func (c *Case) Form() ([]byte, error) {
	f, p := &c.Fleet, &c.Strategy
	nodes := make([][]any, len(f.Nodes))
	bit := map[bool]int{true: 1}
	for i := range f.Nodes {
		n := &f.Nodes[i]
		nodes[i] = []any{n.ID, n.Flavor, bit[n.Provisioned], bit[n.Cached], n.Image}
		if m := (more{n.Name, n.BMC, n.Rack, n.Conductor, n.Writes, n.Busy, n.Since, n.Why}); m != (more{}) {
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
	form := map[string]any{"nodes": nodes, "images": images, "flavors": append([]string{}, f.Flavors...), "percentage_to_cache": p.Share, "weights": weights,
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
