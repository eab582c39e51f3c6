package kubernetes_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// TestCost counts what is asked of the API server: two writes for an instance's life, nothing for
// one that is known, and one watch for a kind, whoever has how many of it.
func TestCost(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox", "claim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			gate := lab.Gate(t)
			o.Kubeconfig, o.Kind = gate.Config, kind
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 2)
			}
			p := open(t, o)
			conn := ready(t, p, "suite-1")
			if kind != "claim" { // the policy is the source's, and comes with its first
				if n := gate.Asked()["patch networkpolicies"]; n != 1 {
					t.Errorf("%d policies were written", n)
				}
			}
			// as a controller does; who only makes one asks for that one's pod
			watches := func(p *kubernetes.Provider) {
				t.Helper()
				if _, err := p.WatchHealth(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			watches(p)
			for i := range 4 {
				more := o
				more.Source = fmt.Sprint("more-", i)
				watches(open(t, more))
			}
			kinds := map[string]map[string]int{
				"pod": {"pods": 1}, "sandbox": {"pods": 1, "sandboxes": 1}, "claim": {"pods": 1, "sandboxclaims": 1},
			}[kind]
			want := map[string]int{}
			for resource := range kinds {
				want[o.Namespace+" "+resource] = 1
			}
			computetest.Eventually(t, "one watch a kind", func() error {
				if got := gate.Watching(); !maps.Equal(got, want) {
					return fmt.Errorf("open are %v", got)
				}
				return nil
			})
			_ = conn.Close()
			gate.Asked()
			for range 10 {
				if err := p.Check(t.Context(), "suite-1"); err != nil {
					t.Fatal(err)
				}
				if _, err := p.List(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if asked := gate.Asked(); len(asked) > 0 {
				t.Errorf("of what is known was asked: %v", asked)
			}
			enter(t, p, "suite-1")
			if asked := gate.Asked(); !maps.Equal(asked, map[string]int{"exec pods": 1}) {
				t.Errorf("to enter it was asked: %v", asked)
			}
			if kind == "pod" { // somebody took our program away
				p.Misplace(lab.Ctl(t, "", "get", "pods", "-n", o.Namespace, "-o", "jsonpath={.items[0].metadata.uid}"))
				enter(t, p, "suite-1")
			}
			gate.Asked()
			_ = ready(t, p, "suite-2").Close()
			gone(t, p, "suite-2")
			if asked := gate.Asked(); computetest.Writes(asked) != 2 {
				t.Errorf("a life costs %d writes: %v", computetest.Writes(asked), asked)
			} else if resource := map[string]string{
				"pod": "pods", "sandbox": "sandboxes", "claim": "sandboxclaims",
			}[kind]; asked["get "+resource] > 2 {
				// the watch tells that it goes, and they that it is gone, at which its pod may
				// still be there
				t.Errorf("its end costs %d questions: %v", asked["get "+resource], asked)
			}
		})
	}
}

// TestCostOfOne has a process that wants one instance, as a command without a controller does, ask
// for that and not for all.
func TestCostOfOne(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]map[string]int{
		"pod": {"get pods": 1}, "sandbox": {"get sandboxes": 1, "list pods": 1}, "claim": {"get sandboxclaims": 1, "list pods": 1},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			gate := lab.Gate(t)
			first := open(t, o)
			_ = ready(t, first, "suite-1").Close()
			made, err := first.Identity(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			o.Kubeconfig = gate.Config // so this one shares nothing with the other
			p := open(t, o)
			if err := p.Check(t.Context(), "suite-1"); err != nil {
				t.Fatal(err)
			}
			if asked := gate.Asked(); !maps.Equal(asked, want) {
				t.Errorf("to check one was asked: %v", asked)
			}
			if kind != "pod" {
				if err := p.Same(t.Context(), "suite-1", made); err != nil {
					t.Errorf("Same: %v", err)
				}
				if asked := gate.Asked(); asked["watch pods"] != 0 || asked["list pods"] != 1 {
					t.Errorf("to know one again was asked: %v", asked)
				}
			}
			if err := p.Check(t.Context(), "suite-2"); !errors.Is(err, compute.ErrNotFound) {
				t.Errorf("one that is not there: %v", err)
			}
			if open := gate.Watching(); len(open) != 0 {
				t.Errorf("watched are %v", open)
			}
		})
	}
}
