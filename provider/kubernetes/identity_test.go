package kubernetes_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// TestContexts changes the current context of a kubeconfig under a source: what was made in the one
// is not asked for in the other, and not told to be gone there.
func TestContexts(t *testing.T) {
	t.Parallel()
	a, b := site(t), site(t)
	text, err := os.ReadFile(a.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	save(t, file, string(text), 0o600)
	set := func(args ...string) {
		lab.Ctl(t, "", append([]string{"--kubeconfig", file, "config"}, args...)...)
	}
	cluster := lab.Ctl(t, "", "config", "view", "-o", "jsonpath={.contexts[0].context.cluster}")
	user := lab.Ctl(t, "", "config", "view", "-o", "jsonpath={.contexts[0].context.user}")
	set("set-context", "one", "--cluster="+cluster, "--user="+user, "--namespace="+a.Namespace)
	set("set-context", "two", "--cluster="+cluster, "--user="+user, "--namespace="+b.Namespace)
	o := a
	o.Kubeconfig, o.Namespace = file, ""
	identity := func() string {
		t.Helper()
		p, err := kubernetes.Open(t.Context(), slog.New(slog.DiscardHandler), o)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		text, err := p.Identity(t.Context(), "suite-1")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	leads := func(to string) error { return open(t, o).Leads(t.Context(), to) }
	set("use-context", "one")
	one := identity()
	if again := identity(); again != one {
		t.Errorf("one place is %s and %s", one, again)
	}
	if err := open(t, o).Leads(t.Context(), one); err != nil {
		t.Error(err)
	}
	set("use-context", "two")
	o.Source = "other" // its own opening: what is open in this process stays where it is
	o.Installation = "elsewhere"
	if err := leads(one); !errors.Is(err, compute.ErrUnavailable) || !strings.Contains(err.Error(), a.Namespace) ||
		!strings.Contains(err.Error(), b.Namespace) {
		t.Errorf("in another context: %v", err)
	}

	// The words of the configuration do not decide where the namespace itself can be asked for.
	gate := lab.Gate(t)
	o.Kubeconfig, o.Namespace = gate.Config, a.Namespace
	if err := leads(one); err != nil {
		t.Errorf("by another address: %v", err)
	}
	o.Kubeconfig, o.Namespace = lab.Config(t), a.Namespace
	f := strings.Fields(one)
	f[1], f[3] = "0123456789abcdef", "00000000-0000-0000-0000-000000000000"
	if err := leads(strings.Join(f, " ")); !errors.Is(err, compute.ErrUnavailable) {
		t.Errorf("another cluster at the same address: %v", err)
	}
	f[1] = strings.Fields(one)[1] // what was there before the namespace was made anew is gone
	if err := leads(strings.Join(f, " ")); err != nil {
		t.Errorf("a namespace that was made anew: %v", err)
	}
}

// TestPodReplaced deletes the pod of a sandbox, as a drain does: agent-sandbox makes another of the
// same name, and that is not the computer that was entered before.
func TestPodReplaced(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"sandbox", "claim"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind, o.Way = kind, "exec"
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 1)
			}
			p := open(t, o)
			before, err := p.Identity(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			conn := ready(t, p, "suite-1")
			was, err := p.Identity(t.Context(), "suite-1")
			if err != nil || !strings.HasPrefix(was, before+" ") {
				t.Fatalf("it is %s, and was to be %s: %v", was, before, err)
			}
			if err := open(t, o).Same(t.Context(), "suite-1", was); err != nil {
				t.Errorf("as it was entered: %v", err)
			}
			f := strings.Fields(was)
			pod, uid := f[4], f[5]
			lab.Ctl(t, "", "delete", "pod", pod, "-n", o.Namespace)
			computetest.Eventually(t, "another pod is there", func() error {
				if now := lab.Ctl(
					t, "", "get", "pod", "-n", o.Namespace, "--field-selector=metadata.name="+pod, "-o",
					"jsonpath={.items[*].metadata.uid}",
				); now == uid || now == "" {
					return fmt.Errorf("there is %q", now)
				}
				return nil
			})
			enter(t, p, "suite-1") // the provider alone does not know
			want(t, compute.ErrFailed, "was replaced", func() error { return p.Same(t.Context(), "suite-1", was) })
			_, err = conn.Run(t.Context(), &compute.Command{Args: []string{"true"}})
			if !errors.Is(err, compute.ErrLost) {
				t.Errorf("a connection of before runs commands in the other: %v", err)
			}
			now, err := p.Identity(t.Context(), "suite-1")
			if err != nil {
				t.Fatal(err)
			}
			f[5], f[6] = strings.Fields(now)[5], "1"
			if err := p.Same(t.Context(), "suite-1", strings.Join(f, " ")); !errors.Is(err, compute.ErrFailed) ||
				!strings.Contains(err.Error(), "started again") {
				t.Errorf("a container that was started again: %v", err)
			}
			gone(t, p, "suite-1")
		})
	}
}

// TestCopiedMarks has a pod that says it is an instance's, as a copy for debugging does, be none.
func TestCopiedMarks(t *testing.T) {
	t.Parallel()
	for kind, label := range map[string]string{
		"pod": "hostler-project.github.io", "sandbox": "hostler-project.github.io", "claim": "hostler.sandbox.users.io",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			o := site(t)
			o.Kind = kind
			if kind == "claim" {
				o.WarmPool, o.Image = "warm", ""
				lab.WarmPool(t, o.Namespace, 1)
			}
			p := open(t, o)
			_ = ready(t, p, "suite-1").Close()
			lab.Ctl(t, fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: a-copy, labels: {%s/installation: test, %[1]s/source: suite}, annotations: {hostler-project.github.io/instance: suite-1, hostler-project.github.io/source: suite}}
spec: {containers: [{name: main, image: copied}]}
`, label), "apply", "-n", o.Namespace, "-f", "-")
			q := open(t, o)
			var out strings.Builder
			conn := enter(t, q, "suite-1")
			if _, err := conn.Run(
				t.Context(), &compute.Command{Args: []string{"sh", "-c", "echo $HOME"}, Stdout: &out},
			); err != nil || strings.Contains(out.String(), "a-copy") {
				t.Errorf("commands run in %q: %v", out.String(), err)
			}
			_ = conn.Close()
			if list, err := q.List(t.Context()); err != nil || len(list) != 1 || list[0].Facts[provider.FactImage] == "copied" {
				t.Errorf("there are %v %v", list, err)
			}
			lab.Ctl(t, "", "delete", "pod", "a-copy", "-n", o.Namespace)
			_ = enter(t, q, "suite-1").Close()
			gone(t, q, "suite-1")
		})
	}
}
