package kubernetes_test

import (
	"errors"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
	"github.com/hostler-project/hostler/remote/agent"
)

var lab = &computetest.Kubernetes{Port: 17443}

func TestMain(m *testing.M) { os.Exit(lab.Main(m)) }

// site is a namespace of the test's own, and what a source there needs. The lab's pods run their
// commands on this machine, as whom the test runs.
func site(t *testing.T) kubernetes.Options {
	return kubernetes.Options{
		Kubeconfig: lab.Config(t), Namespace: lab.Namespace(t), Image: "debian:13", Source: "suite",
		Installation: "test", Agent: program(t),
	}
}

func open(t *testing.T, o kubernetes.Options) *kubernetes.Provider {
	t.Helper()
	p, err := kubernetes.Open(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// TestProvider runs the provider's suite on pods.
func TestProvider(t *testing.T) {
	t.Parallel()
	suite(t, site(t))
}

// program is hostler-agent.
func program(t testing.TB) agent.Finder {
	t.Helper()
	path := lab.Program(t, "hostler-agent", "../../cmd/hostler-agent")
	return func(arch string) (agent.Program, error) {
		if arch != runtime.GOARCH {
			return agent.Program{}, errors.New("none for " + arch)
		}
		return agent.Program{Path: path}, nil
	}
}
