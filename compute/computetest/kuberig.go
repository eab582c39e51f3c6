package computetest

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Main runs the tests of a package that has a cluster, for its TestMain, and then ends the cluster.
// Tests mostly wait for the cluster, so more of them run at once than there are processors.
func (k *Kubernetes) Main(m *testing.M) (code int) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6")
	}
	var err error
	if k.place, err = os.MkdirTemp("", "hostler-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(k.place)
	defer k.End()
	return m.Run()
}

// Program returns the path of a program of this tree. go build makes it from a package, with these
// flags, at the first call. Main removes it at the end.
func (k *Kubernetes) Program(t testing.TB, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(k.place, name)
	made, _ := k.programs.LoadOrStore(name, sync.OnceValue(func() error {
		last := len(args) - 1
		cmd := exec.Command("go", slices.Concat([]string{"build"}, args[:last], []string{"-o", path}, args[last:])...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("go build %s: %w: %s", strings.Join(args, " "), err, out)
		}
		return err
	}))
	if err := made.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return path
}

// Namespace makes a namespace for the test, with labels KEY=VALUE. It is removed at the test's end.
// Its default service account is made with it: on a busy machine the cluster's own comes after the
// first pod, which is refused then.
func (k *Kubernetes) Namespace(t testing.TB, labels ...string) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text()[:8])
	var own strings.Builder
	for _, label := range labels {
		key, value, _ := strings.Cut(label, "=")
		fmt.Fprintf(&own, "%q: %q, ", key, value)
	}
	k.Ctl(t, fmt.Sprintf(
		"{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {%s}}}\n---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: %[1]s}}",
		name, &own,
	),
		"apply", "--server-side", "-f", "-")
	t.Cleanup(func() { k.Ctl(t, "", "delete", "namespace", name, "--wait=false", "--ignore-not-found") })
	return name
}

// Node adds nodes of 32 cores, 128 GiB and 250 pods, or gives those that have lost their address a
// new one.
func (k *Kubernetes) Node(t testing.TB, names ...string) {
	t.Helper()
	k.nodes(t, "[]", names...)
}

// Passing adds nodes that may go before the test's end, and then go. Only pods that tolerate
// `passing` are put there, as other tests' pods would be lost with them.
func (k *Kubernetes) Passing(t testing.TB, names ...string) {
	t.Helper()
	k.nodes(t, "[{key: passing, effect: NoSchedule}]", names...)
	t.Cleanup(func() {
		k.Ctl(t, "", append([]string{"delete", "node", "--ignore-not-found", "--wait=false"}, names...)...)
	})
}

// nodes adds nodes with some taints.
func (k *Kubernetes) nodes(t testing.TB, taints string, names ...string) {
	t.Helper()
	var text strings.Builder
	for _, name := range names {
		fmt.Fprintf(&text, `---
{apiVersion: v1, kind: Node, metadata: {name: %s, labels: {kubernetes.io/hostname: %[1]s, kubernetes.io/os: linux, kubernetes.io/arch: amd64}},
 spec: {taints: %[2]s},
 status: {allocatable: {cpu: "32", memory: 128Gi, pods: "250"}, capacity: {cpu: "32", memory: 128Gi, pods: "250"}}}
`, name, taints)
	}
	k.Ctl(t, text.String(), "apply", "-f", "-")
	if err := k.address(names...); err != nil {
		t.Fatal(err)
	}
}

// address gives nodes an address. They lose their only one when kwok, which finds no host name
// among their addresses, reports again that they are ready.
func (k *Kubernetes) address(nodes ...string) error {
	for _, node := range nodes {
		status := fmt.Sprintf(
			`{"status":{"addresses":[{"type":"InternalIP","address":"127.0.0.1"},{"type":"Hostname","address":%q}]}}`,
			node,
		)
		if _, err := k.ctl("", "patch", "node", node, "--subresource=status", "--type=merge", "-p", status); err != nil {
			return err
		}
	}
	return nil
}

// WarmPool makes a pool of warm sandboxes, named warm, in a namespace, and waits until it is full.
func (k *Kubernetes) WarmPool(t testing.TB, namespace string, size int) {
	t.Helper()
	k.Ctl(t, fmt.Sprintf(`
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxTemplate
metadata: {name: plain}
spec: {podTemplate: {spec: {containers: [{name: main, image: "debian:13"}]}}}
---
apiVersion: extensions.agents.x-k8s.io/v1beta1
kind: SandboxWarmPool
metadata: {name: warm}
spec: {replicas: %d, sandboxTemplateRef: {name: plain}}
`, size), "apply", "-n", namespace, "-f", "-")
	k.Full(t, namespace, "warm", size)
}

// Full waits until a pool has exactly so many sandboxes. If it does not, as was seen on busy
// machines, it logs what the cluster has and reports.
func (k *Kubernetes) Full(t testing.TB, namespace, pool string, size int) {
	t.Helper()
	full := false
	defer func() {
		if full {
			return
		}
		out, err := k.ctl("", "get", "sandboxwarmpools,sandboxes,pods,events", "-n", namespace, "-o", "yaml")
		t.Log(out, err)
		for _, program := range []string{"agent-sandbox", "kwok"} {
			text, err := os.ReadFile(filepath.Join(k.dir, "run", program+".log"))
			lines := slices.DeleteFunc(
				strings.SplitAfter(string(text), "\n"),
				func(line string) bool { return !strings.Contains(line, namespace) },
			)
			t.Log(program, err, strings.Join(lines, ""))
		}
	}()
	Eventually(t, fmt.Sprintf("%d of the warm pool stand there", size), func() error {
		if got := k.Ctl(
			t, "", "get", "sandboxwarmpool", pool, "-n", namespace, "-o",
			"jsonpath={.status.replicas} {.status.readyReplicas}",
		); got != fmt.Sprintf("%d %[1]d", size) {
			return fmt.Errorf("it has %s", got)
		}
		full = true
		return nil
	})
}

// Stop kills one of the cluster's programs, as a machine's failure does, and returns when it has
// ended. Up starts it again.
func (k *Kubernetes) Stop(t testing.TB, program string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(k.dir, "run", program+".pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		t.Fatal(program, err)
	}
	Eventually(t, program+" has ended", func() error {
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(text), ") Z ") {
			return errors.New("it runs")
		}
		return nil
	})
}

// Eventually calls try until it succeeds, for at most two minutes or until the test is to end. The
// time is no measure of anything.
func Eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not so: %s: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
