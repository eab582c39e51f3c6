package computetest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Kubernetes is a cluster for the tests of one package: a real API server with scheduler and
// controllers, kwok for nodes, agent-sandbox. The first test that needs it starts it; Main calls
// End. Its ports are Port and the six after it: each package has its own.
type Kubernetes struct {
	Port int

	place    string   // a directory for what all tests share
	programs sync.Map // those that were built there

	once       sync.Once
	dir        string
	kubeconfig string
	absent     error // why there is none
	err        error // why it does not start
}

// kubernetesCache is where the cluster's programs are.
func kubernetesCache() (string, error) {
	if dir := os.Getenv("HOSTLER_KUBE_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "hostler-kube"), err
}

// kubernetesBuilt reports whether the cluster's programs were built here. Building them takes
// minutes, which is too long for a plain test run.
func kubernetesBuilt() bool {
	cache, err := kubernetesCache()
	if err == nil {
		_, err = os.Stat(filepath.Join(cache, "built"))
	}
	return err == nil
}

// kwokConfig has kwok renew its nodes' leases, as kubelets do. Without it the cluster takes all
// nodes for dead every 50 seconds, until kwok corrects that five seconds later. By then each pod is
// marked as not ready for ever, and a longer test waits in vain. The other settings are kwok's own
// defaults, which it drops if a file sets anything. A lease is short, as another kwok waits for its
// end.
const kwokConfig = `apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  nodeLeaseDurationSeconds: 8
  nodeLeaseParallelism: 4
  cidr: 10.0.0.0/24
  podPlayStageParallelism: 4
  nodePlayStageParallelism: 4
  podsOnNodeSyncParallelism: 1
  enablePodsOnNodeSyncListPager: true
  enableDebuggingHandlers: true
`

// script runs a script of the shared kubernetes directory and returns its output. Each clone of
// the lab has its own range of 20 ports.
func (k *Kubernetes) script(name string, args ...string) (string, error) {
	port := k.Port
	if n, err := strconv.Atoi(os.Getenv("HOSTLER_LAB_CLONE")); err == nil { // as for Lab
		port += 20 * n
	}
	cmd := exec.Command(filepath.Join(Shared(), "kubernetes", name), args...)
	kwok := filepath.Join(k.dir, "kwok")
	if err := errors.Join(os.MkdirAll(kwok, 0o700), os.WriteFile(filepath.Join(kwok, "kwok.yaml"), []byte(kwokConfig), 0o600)); err != nil {
		return "", err
	}
	cmd.Env = append(os.Environ(), "HOSTLER_KUBE_DIR="+k.dir, fmt.Sprintf("HOSTLER_KUBE_PORT=%d", port), "KWOK_WORKDIR="+kwok)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%s: %w: %s", name, err, exit.Stderr[max(0, len(exit.Stderr)-2000):])
	}
	return string(out), err
}

// Up starts the parts of the cluster that do not run. A test that has stopped a part calls it.
func (k *Kubernetes) Up() error {
	out, err := k.script("up", "--sandbox")
	for _, haste := range []string{
		// its kubectl wait began before the API server knew the object that it waits for
		"accessor error",
		"the API server ended", // it looked for that before the process was the API server
	} {
		if err != nil && strings.Contains(err.Error(), haste) {
			out, err = k.script("up", "--sandbox")
		}
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "KUBECONFIG="); ok {
			k.kubeconfig = path
		}
	}
	return k.address("node-0", "node-1")
}

// Config returns the cluster's kubeconfig, with all rights. If there is no lab the test is skipped;
// with HOSTLER_REQUIRE_LAB it is built first.
func (k *Kubernetes) Config(t testing.TB) string {
	t.Helper()
	k.once.Do(func() {
		required := os.Getenv("HOSTLER_REQUIRE_LAB") != ""
		if _, k.absent = os.Stat(filepath.Join(Shared(), "kubernetes", "up")); k.absent != nil {
			return
		}
		if !required && !kubernetesBuilt() {
			k.absent = fmt.Errorf(
				"its programs were not built here: %s builds them, in minutes",
				filepath.Join(Shared(), "kubernetes", "build"),
			)
			return
		}
		if k.dir, k.err = os.MkdirTemp("", "hostler-kube-"); k.err == nil {
			k.err = k.Up()
		}
	})
	switch required := os.Getenv("HOSTLER_REQUIRE_LAB") != ""; {
	case k.absent != nil && !required:
		t.Skipf("no Kubernetes lab: %v", k.absent)
	case k.absent != nil || k.err != nil:
		t.Fatalf("the Kubernetes lab: %v", errors.Join(k.absent, k.err))
	}
	return k.kubeconfig
}

// Ctl runs kubectl on the cluster and returns what it printed.
func (k *Kubernetes) Ctl(t testing.TB, input string, args ...string) string {
	t.Helper()
	k.Config(t)
	out, err := k.ctl(input, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// ctl runs kubectl with input on its standard input, and returns its output. An error quotes
// what it printed on standard error.
func (k *Kubernetes) ctl(input string, args ...string) (string, error) {
	cache, err := kubernetesCache()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(filepath.Join(cache, "bin", "kubebox"), append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+k.kubeconfig)
	cmd.Stdin = strings.NewReader(input)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, said.String())
	}
	return string(out), nil
}

// End stops the cluster, and removes its files.
func (k *Kubernetes) End() {
	if k.dir == "" {
		return
	}
	if _, err := k.script("down", "--purge"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	_ = os.RemoveAll(k.dir)
}
