package view_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/proto"
)

// used has a node tell what its computer COMP-1 and the partition p0 used on a day.
func (d *desk) used(start, title string, computer, partition string) {
	d.t.Helper()
	move := func(of, quantity string) proto.Movement {
		return proto.Movement{Resource: "cpu", Title: title, Reference: of, Quantity: quantity}
	}
	report, err := proto.FormatUsage([]proto.Transaction{{
		Title: "t", Start: start, Reference: "COMP-1",
		Movements: []proto.Movement{move("", computer), move("p0", partition)},
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.m.Usage.Keep(d.t.Context(), access.Who{Computer: "COMP-1"}, "COMP-1", report); err != nil {
		d.t.Fatal(err)
	}
}

// TestUsage: what was reported of a computer or a partition is told by resource, the oldest first.
func TestUsage(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	d.format("COMP-1", 1)
	for _, quantity := range []string{"1.5", "no number", "NaN", "40"} {
		d.used("", "CPU load", quantity, "7")
	}
	usage := ok[api.SlapUsage](t)
	u := usage(d.as("root").SlapOS().Usage(ctx, "COMP-1", ""))
	if len(u.Series) != 1 || u.Series[0].Title != "CPU load" || len(u.Series[0].Points) != 2 ||
		u.Series[0].Points[0].Quantity != 1.5 || u.Series[0].Points[1].Quantity != 40 || strings.Join(u.Known, " ") != "COMP-1 p0" {
		t.Errorf("u = %+v", u)
	}
	if u := usage(d.as("root").SlapOS().Usage(ctx, "COMP-1", "p0")); u.Of != "p0" || len(u.Series[0].Points) != 4 {
		t.Errorf(`u = %+v; want u.Of == "p0" and len(u.Series[0].Points) == 4`, u)
	}
	if u := usage(d.as("root").SlapOS().Usage(ctx, "COMP-1", "nothing")); len(u.Series) != 0 {
		t.Errorf("u = %+v; want len(u.Series) == 0", u)
	}
}

// TestUsageOfAnInstance: who has the instance in a partition is told what was used there since it
// came, and nothing else of the computer. Nobody else is told anything.
func TestUsageOfAnInstance(t *testing.T) {
	d, ctx := newDesk(t), t.Context()
	d.format("COMP-1", 2)
	today, tomorrow := time.Now().UTC().Format(time.DateOnly), time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)
	// Before there is a place hers waits: what is used meanwhile is another's.
	one := ok[api.SlapInstanceDetail](t)
	other := one(d.as("bea").SlapOS().Request(ctx, api.SlapRequest{Title: "before", Release: demo}))
	one(d.as("bea").SlapOS().Request(ctx, api.SlapRequest{Title: "beside", Release: demo}))
	ask := api.SlapRequest{Title: "hers", Release: demo}
	if n := one(d.as("ann").SlapOS().Request(ctx, ask)); n.Partition != "" {
		t.Fatalf(`n = %+v; want n.Partition == ""`, n)
	}
	d.used("", "before", "1", "2")
	if u, err := d.as("ann").SlapOS().Usage(ctx, "COMP-1", "p0"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("of another's: %+v, %v", u, err)
	}
	if u := ok[api.SlapUsage](t)(d.as("bea").SlapOS().Usage(ctx, "COMP-1", "p0")); len(u.Series) != 1 || u.Series[0].Points[0].Quantity != 2 {
		t.Errorf("u = %+v; want len(u.Series) == 1 and u.Series[0].Points[0].Quantity == 2", u)
	}
	one(d.as("bea").SlapOS().Change(ctx, other.Instance, api.SlapChange{State: "destroyed"}))
	if _, err := d.m.Instances.InstanceDestroyed(ctx, access.Anybody, "COMP-1", "p0"); err != nil {
		t.Fatal(err)
	}
	if n := one(d.as("ann").SlapOS().Request(ctx, ask)); n.Partition != "p0" {
		t.Fatalf(`n = %+v; want n.Partition == "p0"`, n)
	}
	d.used(today+" at 00:00:00", "a day that was another's too", "3", "4")
	d.used(tomorrow+" at 00:00:00", "hers", "5", "6")
	d.used("", "hers", "7", "8")
	u := ok[api.SlapUsage](t)(d.as("ann").SlapOS().Usage(ctx, "COMP-1", "p0"))
	if len(u.Series) != 1 || len(u.Series[0].Points) != 2 || u.Series[0].Points[0].Quantity != 6 ||
		u.Series[0].Points[1].Quantity != 8 || strings.Join(u.Known, " ") != "p0" {
		t.Errorf("u = %+v", u)
	}
	for _, of := range []string{"", "p1", "COMP-1", "p9"} {
		if u, err := d.as("ann").SlapOS().Usage(ctx, "COMP-1", of); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("of %q: %+v, %v", of, u, err)
		}
	}
	if u, err := d.as("bea").SlapOS().Usage(ctx, "COMP-1", "p0"); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("who was there before: %+v, %v", u, err)
	}
}

// TestUsageIsBounded: of many large reports the newest are read, and no more than so many bytes.
func TestUsageIsBounded(t *testing.T) {
	d := newDesk(t)
	d.format("COMP-1", 1)
	large := strings.Repeat("x", 500_000)
	for i := range 20 {
		d.used("", large, "1", "2")
		if i == 18 {
			large = "the newest"
		}
	}
	u := ok[api.SlapUsage](t)(d.as("root").SlapOS().Usage(t.Context(), "COMP-1", ""))
	if points := len(u.Series[0].Points); points < 10 || points > 17 || u.Series[0].Title != "the newest" {
		t.Errorf("%d points, %.20s", points, u.Series[0].Title)
	}
}
