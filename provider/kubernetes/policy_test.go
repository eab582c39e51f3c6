package kubernetes_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// policies tells the network policies of a namespace: by name, what each says.
func policies(t *testing.T, namespace string) map[string]string {
	t.Helper()
	out := map[string]string{}
	said := lab.Ctl(
		t, "", "get", "networkpolicies", "-n", namespace, "-o",
		`jsonpath={range .items[*]}{.metadata.name} {.spec.policyTypes} in {.spec.ingress} out {.spec.egress}{"\n"}{end}`,
	)
	for line := range strings.Lines(said) {
		name, says, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = says
	}
	return out
}

// selected tells the instances whose pods a network policy selects.
func selected(t *testing.T, namespace, policy string) string {
	t.Helper()
	labels := lab.Ctl(
		t, "", "get", "networkpolicy", policy, "-n", namespace, "-o",
		`go-template={{range $k, $v := .spec.podSelector.matchLabels}}{{$k}}={{$v}},{{end}}`,
	)
	return strings.Join(
		strings.Fields(lab.Ctl(
			t, "", "get", "pods", "-n", namespace, "-l", strings.TrimSuffix(labels, ","), "-o",
			`jsonpath={.items[*].metadata.annotations.hostler-project\.github\.io/instance}`,
		)),
		" ",
	)
}

// closed is what a policy says that lets nothing through.
const closed = `["Ingress","Egress"] in  out`

// TestPolicy has a network policy of the source's there before its pods, which selects them; it is
// there again when somebody took it away, and lets nothing through that somebody else put there,
// for the next pod and, where the source is overseen, for those that there are.
func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"pod", "sandbox", "own"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			if o.Kind = kind; kind == "own" {
				o.Kind = "claim"
			}
			p := open(t, o)
			p.Step(func(step string) error {
				if step == "create" && len(policies(t, o.Namespace)) != 1 {
					t.Error("a pod is made without a policy")
				}
				return nil
			})
			_ = ready(t, p, "suite-1").Close()
			is := policies(t, o.Namespace)
			name := slices.Collect(maps.Keys(is))[0]
			if len(is) != 1 || is[name] != closed || selected(t, o.Namespace, name) != "suite-1" {
				t.Fatalf("the policies are %v, and select %q", is, selected(t, o.Namespace, name))
			}
			if kind != "pod" {
				return
			}
			later := time.Now().Add(2 * time.Minute)
			for n, spoil := range []func(){
				func() { lab.Ctl(t, "", "delete", "networkpolicy", name, "-n", o.Namespace) },
				func() {
					lab.Ctl(
						t, "", "patch", "networkpolicy", name, "-n", o.Namespace, "--type=merge", "-p",
						`{"spec":{"egress":[{}],"ingress":[{}]}}`,
					)
				},
			} {
				spoil()
				if err := p.CreateAt(t.Context(), compute.ID(fmt.Sprint("suite-", n+2)), later); err != nil {
					t.Fatal(err)
				}
				if is := policies(t, o.Namespace); is[name] != closed {
					t.Errorf("the next pod has the policies %v", is)
				}
				spoil()
				later = later.Add(2 * time.Minute)
				if err := p.WatchHealthAt(t.Context(), later); err != nil {
					t.Fatal(err)
				}
				if is := policies(t, o.Namespace); is[name] != closed {
					t.Errorf("overseen, the policies are %v", is)
				}
				later = later.Add(2 * time.Minute)
			}
		})
	}
}

// TestPolicyEdited has instances keep the network policy that they were made with when the source's
// keys change; one goes when its last instance is gone for a while.
func TestPolicyEdited(t *testing.T) {
	t.Parallel()
	o := site(t)
	of := func(network string, n int) *kubernetes.Provider {
		o := o
		o.Network = network
		p := open(t, o)
		if _, err := p.Create(t.Context(), compute.Spec{ID: compute.ID(fmt.Sprint("suite-", n))}); err != nil {
			t.Fatal(err)
		}
		return p
	}
	none, _, last := of("none", 1), of("egress", 2), of("open", 3)
	got := map[string]string{}
	for name, says := range policies(t, o.Namespace) {
		got[says] = selected(t, o.Namespace, name)
	}
	want := map[string]string{closed: "suite-1", `["Ingress"] in  out`: "suite-2"}
	if !maps.Equal(got, want) {
		t.Errorf("the policies select %v", got)
	}
	now := time.Now()
	tend := func(p *kubernetes.Provider, d time.Duration) int {
		t.Helper()
		now = now.Add(d)
		if err := p.WatchHealthAt(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		return len(policies(t, o.Namespace))
	}
	gone(t, last, "suite-2")
	for _, p := range []*kubernetes.Provider{none, last} {
		if n := tend(p, 2*time.Minute); n != 2 {
			t.Errorf("right after the last of one %d are there", n)
		}
	}
	if n := tend(last, 11*time.Minute); n != 1 {
		t.Errorf("a while after the last of one %d are there", n)
	}
	gone(t, last, "suite-1")
	gone(t, last, "suite-3")
	tend(none, 2*time.Minute)
	if n := tend(none, 11*time.Minute); n != 0 {
		t.Errorf("a while after the last of all %d are there", n)
	}
	if _, err := none.Create(t.Context(), compute.Spec{ID: "suite-4"}); err != nil {
		t.Fatal(err)
	}
	if is := policies(t, o.Namespace); len(is) != 1 {
		t.Errorf("for the next the policies are %v", is)
	}
}

// TestPolicyOfKinds has pods keep their network policy while the source's kind is another one now:
// that of claims is one of their own, and that of before stays as long as there is a pod.
func TestPolicyOfKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sandbox", "claim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			_ = ready(t, open(t, o), "suite-1").Close()
			name := slices.Collect(maps.Keys(policies(t, o.Namespace)))[0]
			o.Kind = kind
			other, now := open(t, o), time.Now()
			if kind == "claim" {
				if _, err := other.Create(t.Context(), compute.Spec{ID: "suite-2"}); err != nil {
					t.Fatal(err)
				}
				if is := selected(t, o.Namespace, name); is != "suite-1" {
					t.Fatalf("when there is a claim its policy selects %q", is)
				}
			}
			for _, d := range []time.Duration{2 * time.Minute, 14 * time.Minute, 16 * time.Minute} {
				if err := other.WatchHealthAt(t.Context(), now.Add(d)); err != nil {
					t.Fatal(err)
				}
			}
			if policies(t, o.Namespace)[name] != closed {
				t.Errorf("overseen as kind %s, its policy is gone: %v", kind, policies(t, o.Namespace))
			}
		})
	}
}

// TestPolicyOnce has many that are made at once, and other processes, not write the policy again
// and again.
func TestPolicyOnce(t *testing.T) {
	t.Parallel()
	o := site(t)
	gate := lab.Gate(t)
	o.Kubeconfig = gate.Config
	p := open(t, o)
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			if _, err := p.Create(t.Context(), compute.Spec{ID: compute.ID(fmt.Sprint("suite-", n))}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if asked := gate.Asked(); asked["patch networkpolicies"] != 1 || asked["list networkpolicies"] != 1 {
		t.Errorf("for twenty at once was asked %v", asked)
	}
	if _, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-20"}); err != nil {
		t.Fatal(err)
	}
	if asked := gate.Asked(); asked["patch networkpolicies"] != 0 || asked["list networkpolicies"] != 1 {
		t.Errorf("by another process was asked %v", asked)
	}
}

// TestHoles has Probe name the policies of others by which something gets through all the same, and
// no others.
func TestHoles(t *testing.T) {
	t.Parallel()
	o := site(t)
	lab.Ctl(t, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: lets-out}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: of-others}
spec: {podSelector: {matchLabels: {app: theirs}}, policyTypes: [Egress], egress: [{}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: denies}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
`, "apply", "-n", o.Namespace, "-f", "-")
	for network, want := range map[string]string{"none": "lets-out", "egress": "", "open": ""} {
		o.Network = network
		note, err := open(t, o).Probe(t.Context(), compute.Spec{})
		if err != nil || strings.Contains(note, "lets-out") != (want != "") || strings.Contains(note, "of-others") ||
			strings.Contains(note, "denies") {
			t.Errorf("network = %s: %q %v", network, note, err)
		}
	}
}

// manifest writes a template.
func manifest(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pod.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHostNetwork has a pod on its node's own network, for which no policy counts, be refused.
func TestHostNetwork(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Template, o.Security = manifest(t, `{kind: Pod, spec: {hostNetwork: true, containers: [{name: main, image: i}]}}`), "template"
	_, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-1"})
	if !errors.Is(err, compute.ErrInvalid) || !provider.WasUnasked(err) || !strings.Contains(fmt.Sprint(err), "hostNetwork") {
		t.Errorf("with network = none: %v", err)
	}
	o.Network = "open"
	if _, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-2"}); err != nil {
		t.Errorf("with network = open: %v", err)
	}
}
