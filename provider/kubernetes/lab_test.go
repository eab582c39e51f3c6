package kubernetes_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

var lab = &computetest.Kubernetes{Port: 17443}

func TestMain(m *testing.M) {
	code := 1
	var err error
	if place, err = os.MkdirTemp("", "hostler-kubernetes-"); err == nil {
		code = m.Run()
		lab.End()
		err = os.RemoveAll(place)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// site is a namespace of the test's own, and what a source there needs. The lab's pods run their commands on this machine, as whom the test runs.
func site(t *testing.T) kubernetes.Options {
	config := lab.Config(t)
	name := "test-" + strings.ToLower(rand.Text()[:8])
	lab.Ctl(t, "", "create", "namespace", name)
	t.Cleanup(func() { lab.Ctl(t, "", "delete", "namespace", name, "--wait=false") })
	return kubernetes.Options{
		Kubeconfig: config, Namespace: name, Image: "debian:13", Source: "suite", Installation: "test", Agent: program(t),
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
func TestProvider(t *testing.T) { suite(t, site(t)) }

// kill ends a process and waits for that.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(n)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has ended", func() error {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(text), ") Z ") {
			return errors.New("it runs")
		}
		return nil
	})
}
