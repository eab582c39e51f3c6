package kubernetes_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// TestSandboxes runs the provider's suite on sandboxes of agent-sandbox.
func TestSandboxes(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind = "sandbox"
	suite(t, o)
}

// TestClaims runs it on claims of warm ones.
func TestClaims(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind, o.WarmPool, o.Image = "claim", "warm", ""
	lab.WarmPool(t, o.Namespace, 2)
	suite(t, o)
	p := open(t, o)
	if _, ok := p.Reserves(); ok {
		t.Error("another's warm pool is said to be ours")
	}
	if err := p.Reserve(t.Context(), 5); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("Reserve in another's warm pool: %v", err)
	}
	if got := lab.Ctl(
		t, "", "get", "sandboxwarmpools,sandboxtemplates", "-n", o.Namespace, "-o",
		"jsonpath={range .items[*]}{.metadata.name} {.metadata.generation};{end}",
	); got != "warm 1;plain 1;" {
		t.Errorf("of another's warm pool there is %s", got)
	}
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-900", Cores: 2}); !errors.Is(err, compute.ErrTooLarge) {
		t.Errorf("a claim for two cores: %v", err)
	}
}

// TestNoPool has a claim of a warm pool that there is not say so.
func TestNoPool(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Kind, o.WarmPool, o.Image, o.Schedule = "claim", "nobody", "", time.Second
	p := open(t, o)
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-1"}); err != nil {
		t.Fatal(err)
	}
	want(t, compute.ErrFailed, "WarmPoolNotFound", func() error {
		_, err := p.Connect(t.Context(), "suite-1")
		return err
	})
}

func suite(t *testing.T, o kubernetes.Options) {
	other := o
	other.Installation = "foreign"
	computetest.Provider(t, computetest.ProviderOptions{
		New:     func(t *testing.T) compute.Provider { return open(t, o) },
		Foreign: func(t *testing.T) compute.Provider { return open(t, other) },
		Source:  "suite", Installation: "test",
		Leak: func() []string { return strings.Fields(ours(t, o.Namespace, "")) },
	})
}
