package controller

import (
	"testing"

	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/director"
	"github.com/hostler-project/hostler/director/plan"
)

// TestPlanOfNothing: plan leaves out what is so already and is but said again.
func TestPlanOfNothing(t *testing.T) {
	v := viewPlan(director.Plan{Source: "claims", Directives: []plan.Directive{
		{Verb: plan.VerbAhead, Again: true, Reason: "0 stood ahead: 0 at least"},
		{Verb: plan.VerbAhead, Count: 2, Reason: "0 stood ahead: 2 at least"},
		{Verb: plan.VerbTarget, Again: true, Target: inventory.Target{Spare: 2}},
	}})
	if len(v.Directives) != 1 || v.Directives[0].Count != 2 {
		t.Errorf("it says %+v", v.Directives)
	}
}
