package controller

import (
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director"
)

// TestPlanOfNothing: plan leaves out what is so already and is but said again.
func TestPlanOfNothing(t *testing.T) {
	v := viewPlan(director.Plan{Source: "claims", Directives: []compute.Directive{
		{Verb: compute.VerbAhead, Again: true, Reason: "0 stood ahead: 0 at least"},
		{Verb: compute.VerbAhead, Count: 2, Reason: "0 stood ahead: 2 at least"},
		{Verb: compute.VerbAim, Again: true, Aim: compute.Aim{Spare: 2}},
	}})
	if len(v.Directives) != 1 || v.Directives[0].Count != 2 {
		t.Errorf("it says %+v", v.Directives)
	}
}
