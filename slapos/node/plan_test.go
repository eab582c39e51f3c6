package node_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestPlan decides, of one partition and of several.
func TestPlan(t *testing.T) {
	short, never := time.Minute, -time.Second
	busy := proto.Partition{Computer: "C", ID: "p0", State: proto.Started, Release: "r", Timestamp: "2"}
	with := func(f func(p *proto.Partition)) proto.Partition {
		p := busy
		f(&p)
		return p
	}
	done := node.Seen{Exists: true, Timestamp: "2", Age: time.Hour}
	for name, c := range map[string]struct {
		p     proto.Partition
		seen  node.Seen
		rules node.Rules
		want  node.Action
	}{
		"up to date":             {busy, done, node.Rules{Periodicity: 2 * time.Hour}, node.Look},
		"forced":                 {busy, done, node.Rules{Periodicity: 2 * time.Hour, Force: true}, node.Process},
		"to be stopped":          {busy, done, node.Rules{Periodicity: 2 * time.Hour, Stop: true}, node.Process},
		"another stamp":          {with(func(p *proto.Partition) { p.Timestamp = "1" }), done, node.Rules{Periodicity: -1}, node.Process},
		"no stamp of the master": {with(func(p *proto.Partition) { p.Timestamp = "" }), done, node.Rules{Periodicity: -1}, node.Process},
		"new":                    {busy, node.Seen{Exists: true}, node.Rules{Periodicity: -1}, node.Process},
		"each time":              {busy, done, node.Rules{}, node.Process},
		"its period is over":     {busy, done, node.Rules{Periodicity: time.Minute}, node.Process},
		"never again":            {busy, done, node.Rules{Periodicity: -1}, node.Look},
		"its release's period": {
			busy, node.Seen{Exists: true, Timestamp: "2", Age: time.Hour, Period: &short}, node.Rules{Periodicity: -1},
			node.Process,
		},
		"its release wants none": {
			busy, node.Seen{Exists: true, Timestamp: "2", Age: time.Hour, Period: &never},
			node.Rules{Periodicity: time.Second}, node.Look,
		},
		"it waits": {
			busy, node.Seen{Exists: true, Timestamp: "2", Unsettled: true}, node.Rules{Periodicity: -1}, node.Process,
		},
		"no directory": {busy, node.Seen{}, node.Rules{}, node.Refuse},
		"free":         {proto.Partition{ID: "p0", State: proto.Destroyed}, node.Seen{}, node.Rules{}, node.Tidy},
		"destroyed with a release": {
			with(func(p *proto.Partition) { p.State = proto.Destroyed }), node.Seen{Exists: true}, node.Rules{},
			node.Process,
		},
		"no such state":  {with(func(p *proto.Partition) { p.State = "on" }), done, node.Rules{}, node.Refuse},
		"no release":     {with(func(p *proto.Partition) { p.Release = "" }), done, node.Rules{}, node.Refuse},
		"another's":      {with(func(p *proto.Partition) { p.Computer = "D" }), done, node.Rules{}, node.Refuse},
		"out of here":    {with(func(p *proto.Partition) { p.ID = "../p0" }), done, node.Rules{}, node.Refuse},
		"the node's own": {with(func(p *proto.Partition) { p.ID = "var" }), done, node.Rules{}, node.Refuse},
		"hidden":         {with(func(p *proto.Partition) { p.ID = ".p0" }), done, node.Rules{}, node.Refuse},
	} {
		c.rules.Computer = "C"
		steps, err := node.Plan(&proto.Computer{ID: "C", Partitions: []proto.Partition{c.p}}, map[string]node.Seen{"p0": c.seen}, c.rules)
		if err != nil || len(steps) != 1 || steps[0].Action != c.want || steps[0].Reason == "" {
			t.Errorf(
				"%s: steps = %+v, err = %v"+
					`; want no error and len(steps) == 1 and steps[0].Action == c.want and steps[0].Reason != ""`,
				name, steps, err,
			)
		}
	}
	two := &proto.Computer{ID: "C", Partitions: []proto.Partition{busy, with(func(p *proto.Partition) { p.ID = "p1" }), busy}}
	seen := map[string]node.Seen{"p0": done, "p1": done}
	steps, err := node.Plan(two, seen, node.Rules{Computer: "C", Only: []string{"p1"}, Force: true})
	if err != nil || steps[0].Action != node.Pass || steps[1].Action != node.Process || steps[2].Action != node.Refuse || !steps[2].Silent {
		t.Errorf(
			"steps = %+v, err = %v"+
				"; want no error and steps[0].Action == node.Pass and steps[1].Action == node.Process and "+
				"steps[2].Action == node.Refuse and steps[2].Silent",
			steps, err,
		)
	}
	if _, err := node.Plan(two, seen, node.Rules{Computer: "C", Only: []string{"p7"}}); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("a partition that is not there: %v", err)
	}
}
