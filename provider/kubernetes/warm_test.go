package kubernetes_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// TestOwnPool runs the provider's suite on claims of a warm pool of the source's own, of which none
// stands there.
func TestOwnPool(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind = "claim"
	suite(t, o)
}

// pools tells the warm pools of a namespace, as NAME SIZE GENERATION: an API server counts how
// often what is wanted of an object was changed.
func pools(t *testing.T, namespace string) []string {
	t.Helper()
	return strings.Fields(strings.ReplaceAll(
		lab.Ctl(
			t, "", "get", "sandboxwarmpools", "-n", namespace, "-o",
			`jsonpath={range .items[*]}{.metadata.name} {.spec.replicas} {.metadata.generation}{"\n"}{end}`,
		),
		"\n", " ",
	))
}

// TestReserve has a source's warm pool be of the size that is said, and nothing be written where it
// is; claims come from it; another template is another pool, and the one before is empty at once
// and goes with the last claim of it.
func TestReserve(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind, o.Warm, o.Labels = "claim", 1, []string{"team=a"}
	p := open(t, o)
	reserve := func(p *kubernetes.Provider, n int) {
		t.Helper()
		if err := p.Reserve(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	if a, ok := p.Reserves(); a.Least != 1 || !ok {
		t.Errorf("Reserves: %+v %v", a, ok)
	}
	reserve(p, 2)
	reserve(p, 2)
	reserve(open(t, o), 2)
	was := pools(t, o.Namespace)
	if len(was) != 3 || was[1] != "2" || was[2] != "1" {
		t.Fatalf("the pools are %v", was)
	}
	pool := was[0]
	lab.Full(t, o.Namespace, pool, 2)
	selected := lab.Ctl(
		t, "", "get", "pods", "-n", o.Namespace, "-l",
		"hostler.sandbox.users.io/source=suite,hostler.sandbox.users.io/installation=test,team=a", "-o",
		`jsonpath={range .items[*]}{.spec.securityContext.runAsNonRoot}{.spec.automountServiceAccountToken} {end}`,
	)
	if selected != "truefalse truefalse " {
		t.Errorf("the network policy selects %q of what stands there", selected)
	}
	if policies := lab.Ctl(t, "", "get", "networkpolicies", "-n", o.Namespace, "-o", "name"); strings.Count(policies, "\n") != 1 {
		t.Errorf("the policies are %s", policies)
	}
	if list, err := p.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("what stands there is listed: %v %v", list, err)
	}

	_ = ready(t, p, "suite-1").Close()
	if from := lab.Ctl(
		t, "", "get", "sandboxclaims", "-n", o.Namespace, "-o", "jsonpath={.items[*].status.sandbox.name}",
	); !strings.HasPrefix(from, pool+"-") {
		t.Errorf("the claim has the sandbox %s", from)
	}
	if a, _ := p.Reserves(); a.Lead <= 0 {
		t.Errorf("pods are said to take %v", a.Lead)
	}
	lab.Full(t, o.Namespace, pool, 2) // the place was filled, and not by us
	reserve(p, 3)
	if is := pools(t, o.Namespace); len(is) != 3 || is[1] != "3" || is[2] != "2" {
		t.Errorf("the pools are %v", is)
	}

	edited := o
	edited.Image = "debian:12"
	q := open(t, edited)
	reserve(q, 1)
	is := strings.Join(pools(t, o.Namespace), " ")
	if !strings.Contains(is, pool+" 0 3") || strings.Count(is, " ") != 5 {
		t.Errorf("with another template the pools are %v", is)
	}
	_ = ready(t, q, "suite-2").Close()
	if got := lab.Ctl(
		t, "", "get", "pods", "-n", o.Namespace, "-o",
		`jsonpath={range `+
			`.items[?(@.metadata.annotations.hostler-project\.github\.io/instance=="suite-2")]}{.spec.containers[0].image}{end}`,
	); got != "debian:12" {
		t.Errorf("a claim after the edit has the image %q", got)
	}
	gone(t, q, "suite-1")
	reserve(q, 1)
	if is := pools(t, o.Namespace); len(is) != 3 || is[0] == pool {
		t.Errorf("with no claim of the pool of before the pools are %v", is)
	}
	reserve(q, 0)
	if is := pools(t, o.Namespace); len(is) != 3 || is[1] != "0" {
		t.Errorf("emptied while a claim needs it the pools are %v", is)
	}
	gone(t, q, "suite-2")
	reserve(q, 0)
	none(t, o.Namespace)
}

// none waits until nothing of a source is in a namespace, and of what stood there nothing either.
func none(t *testing.T, namespace string) {
	t.Helper()
	computetest.Eventually(t, "nothing is left", func() error {
		if left := lab.Ctl(
			t, "", "get", "pods,sandboxes,sandboxclaims,sandboxwarmpools,sandboxtemplates", "-n", namespace, "-o",
			"name",
		); left != "" {
			return errors.New(left)
		}
		return nil
	})
}

// TestPoolTakenAway has a pool or template that somebody deleted be made again when a claim needs
// it. (agent-sandbox then looks at the claim again, which takes a minute.)
func TestPoolTakenAway(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind = "claim"
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	for n, what := range []string{"sandboxwarmpools", "sandboxtemplates"} {
		lab.Ctl(t, "", "delete", what, "--all", "-n", o.Namespace)
		id := compute.ID(fmt.Sprintf("suite-%d", n+2))
		if _, err := p.Create(t.Context(), compute.Spec{ID: id}); err != nil {
			t.Fatal(err)
		}
		computetest.Eventually(t, what+" are there again", func() error {
			_, err := p.Connect(t.Context(), id)
			if left := lab.Ctl(t, "", "get", what, "-n", o.Namespace, "-o", "name"); left == "" {
				return fmt.Errorf("there are none, and Connect: %w", err)
			}
			return nil
		})
	}
}

// TestReserveKilled ends Reserve before each of its steps in turn, as a kill does, when the pool is
// made and when it is taken away: another process does the rest, and nothing stays.
func TestReserveKilled(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind = "claim"
	killed := errors.New("killed")
	edited := o
	edited.Image = "debian:12"
	for _, c := range []struct {
		steps string
		o     kubernetes.Options
		n     int
	}{
		{"policy template pool", o, 2},
		{"template pool remove sandboxwarmpools remove sandboxtemplates", edited, 1},
		{"remove sandboxwarmpools remove sandboxtemplates", edited, 0},
	} {
		var seen []string
		for {
			first := open(t, c.o)
			last := ""
			first.Step(func(step string) error {
				if last == "" && !slices.Contains(seen, step) {
					last = step
					return killed
				}
				if last != "" {
					return killed
				}
				return nil
			})
			err := first.Reserve(t.Context(), c.n)
			if last == "" {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			if !errors.Is(err, killed) {
				t.Fatalf("killed at %s: %v", last, err)
			}
			seen = append(seen, last)
		}
		if got := strings.Join(seen, " "); got != c.steps {
			t.Errorf("the steps to %d were %s, not %s", c.n, got, c.steps)
		}
		if is := pools(t, o.Namespace); c.n > 0 && (len(is) != 3 || is[1] != fmt.Sprint(c.n)) {
			t.Errorf("after the kills the pools are %v", is)
		}
	}
	none(t, o.Namespace)
}
