package kubernetes_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
)

// TestFull has an instance whose pod nobody places be no capacity, for each kind: where no node
// takes it, as the scheduler says, and where it is held back by a gate, as queues of others do
// until there is room.
func TestFull(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox", "own", "claim", "gated", "quota", "quota of claims"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Schedule, o.Cores = time.Second, 10_000
			says := "Insufficient cpu"
			switch kind {
			case "own":
				o.Kind = "claim"
			case "claim":
				o.Kind, o.WarmPool, o.Image, o.Cores = "claim", "warm", "", 0
				lab.Ctl(t, `
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxTemplate
metadata: {name: plain}
spec: {podTemplate: {spec: {containers: [{name: main, image: "debian:13", resources: {requests: {cpu: 10000}}}]}}}
---
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxWarmPool
metadata: {name: warm}
spec: {replicas: 1, sandboxTemplateRef: {name: plain}}
`, "apply", "-n", o.Namespace, "-f", "-")
			case "quota", "quota of claims":
				// of the pod that agent-sandbox makes: the API server has no say to us
				o.Kind, o.Cores, says = "sandbox", 0, "exceeded quota"
				if kind != "quota" {
					o.Kind = "claim"
				}
				lab.Ctl(t, "", "create", "quota", "none", "--hard=pods=0", "-n", o.Namespace)
				computetest.Eventually(t, "the quota counts", func() error {
					if lab.Ctl(t, "", "get", "quota", "none", "-n", o.Namespace, "-o", "jsonpath={.status.hard.pods}") != "0" {
						return errors.New("not yet")
					}
					return nil
				})
			case "gated":
				o.Cores, o.Template = 0, manifest(
					t,
					`{kind: Pod, spec: {schedulingGates: [{name: example.org/queue}], containers: [{name: main, image: i}]}}`,
				)
				says = "non-empty scheduling gates"
			default:
				o.Kind = kind
			}
			p := open(t, o)
			if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
				t.Fatal(err)
			}
			want(t, compute.ErrNoCapacity, says, func() error { return second(p.Connect(t.Context(), "suite-1")) })
			if err := p.Destroy(t.Context(), "suite-1"); err != nil && !errors.Is(err, compute.ErrNotFound) {
				t.Error(err)
			}
		})
	}
}
