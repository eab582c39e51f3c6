package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes"
)

// podOf is the name of an instance's pod.
func podOf(t *testing.T, p *kubernetes.Provider, o kubernetes.Options, id compute.ID) string {
	t.Helper()
	list, err := p.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list {
		if i.ID == id {
			return strings.TrimPrefix(i.ProviderID, o.Namespace+"/")
		}
	}
	t.Fatalf("%s is not listed", id)
	return ""
}

// TestEnds has pods end as clusters end them, while commands run: who runs one is told why, and so
// is who oversees all.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name, why string
		end       func(t *testing.T, o kubernetes.Options, pod, node string)
	}{
		{"evicted", "evicted by request", func(t *testing.T, o kubernetes.Options, pod, _ string) {
			lab.Ctl(
				t,
				fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q}}`, pod, o.Namespace),
				"create", "--raw", "/api/v1/namespaces/"+o.Namespace+"/pods/"+pod+"/eviction", "-f", "-",
			)
		}},
		{"tainted", "its node was lost or tainted", func(t *testing.T, _ kubernetes.Options, _, node string) {
			lab.Ctl(t, "", "taint", "node", node, "broken=yes:NoExecute")
		}},
		{"preempted", "preempted by a pod of higher priority", func(t *testing.T, o kubernetes.Options, _, node string) {
			lab.Ctl(t, fmt.Sprintf(`
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: %[1]s}
value: 1000
---
apiVersion: v1
kind: Pod
metadata: {name: above, namespace: %[1]s}
spec:
  priorityClassName: %[1]s
  nodeSelector: {kubernetes.io/hostname: %[2]s}
  tolerations: [{key: passing, operator: Exists}]
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: x, resources: {requests: {cpu: "31"}}}]
`, o.Namespace, node), "apply", "-f", "-")
			t.Cleanup(func() { lab.Ctl(t, "", "delete", "priorityclass", o.Namespace) })
		}},
		{"deleted", "deleted", // seen on its way, or gone
			func(t *testing.T, o kubernetes.Options, pod, _ string) {
				lab.Ctl(t, "", "delete", "pod", pod, "-n", o.Namespace, "--wait=false")
			}},
		{"memory", "out of memory", func(t *testing.T, o kubernetes.Options, pod, _ string) {
			lab.Ctl(t, "", "patch", "pod", pod, "-n", o.Namespace, "--subresource=status", "--type=merge", "-p",
				`{"status":{"phase":"Failed","containerStatuses":[{"name":"main","image":"x","imageID":"",`+
					`"ready":false,"restartCount":0,"state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}}`)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := site(t)
			own := "own-" + o.Namespace // what is done to it is done to no other test
			lab.Passing(t, own)
			o.Cores, o.Selector, o.Tolerations = 2, []string{"kubernetes.io/hostname=" + own}, []string{"passing"}
			p := open(t, o)
			conn := ready(t, p, "suite-1")
			out := &lines{first: make(chan struct{})}
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			go func() {
				_, err := conn.Run(ctx, &compute.Command{Args: []string{"sh", "-c", "echo here; exec sleep 1000"}, Stdout: out})
				done <- err
			}()
			<-out.first
			if ended, err := p.WatchHealth(t.Context()); err != nil || len(ended) != 0 {
				t.Fatalf("before: %v %v", ended, err)
			}
			pod := podOf(t, p, o, "suite-1")
			node := lab.Ctl(t, "", "get", "pod", pod, "-n", o.Namespace, "-o", "jsonpath={.spec.nodeName}")
			c.end(t, o, pod, node)
			computetest.Eventually(t, "it is told", func() error {
				ended, err := p.WatchHealth(t.Context())
				if err == nil && !strings.Contains(ended["suite-1"], c.why) {
					err = fmt.Errorf("%v", ended)
				}
				return err
			})
			_ = conn.Close() // what a kubelet would do: the lab's nodes let a command live on
			if err := <-done; !errors.Is(err, compute.ErrLost) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("the run: %v", err)
			}
		})
	}
}

// TestOwnEnds: what we delete ourselves has not ended by itself.
func TestOwnEnds(t *testing.T) {
	t.Parallel()
	p := open(t, site(t))
	_ = ready(t, p, "suite-1").Close()
	if _, err := p.WatchHealth(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone(t, p, "suite-1")
	computetest.Eventually(t, "nothing is listed", func() error {
		if list, err := p.List(t.Context()); err != nil || len(list) != 0 {
			return fmt.Errorf("%v %w", list, err)
		}
		return nil
	})
	if ended, err := p.WatchHealth(t.Context()); err != nil || len(ended) != 0 {
		t.Errorf("afterwards: %v %v", ended, err)
	}
}

// TestEndedUnwatched has a pod go while nobody watches: it is told all the same, once somebody does
// again.
func TestEndedUnwatched(t *testing.T) {
	t.Parallel()
	o := site(t)
	cut := cutAt(t, &o)
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	pod := podOf(t, p, o, "suite-1")
	cut.set(t, true)
	lab.Ctl(t, "", "delete", "pod", pod, "-n", o.Namespace)
	cut.set(t, false)
	computetest.Eventually(t, "it is told", func() error {
		ended, err := p.WatchHealth(t.Context())
		if err == nil && !strings.Contains(ended["suite-1"], "deleted, by somebody else") {
			err = fmt.Errorf("%v", ended)
		}
		return err
	})
}

// TestHeld has a pod be held by what is another's: it is said by whom, once its time is over by our
// own clock, whatever the cluster's says; a node that does not answer is said too, and what the key
// allows is done.
func TestHeld(t *testing.T) {
	t.Parallel()
	o := site(t)
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	pod := podOf(t, p, o, "suite-1")
	lab.Ctl(t, "", "patch", "pod", pod, "-n", o.Namespace, "--type=merge", "-p", `{"metadata":{"finalizers":["example.org/keeps"]}}`)
	if err := p.Destroy(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	if err := p.DestroyAfter(t.Context(), "suite-1", 0); err != nil { // its time is not over
		t.Errorf("at once: %v", err)
	}
	if err := p.DestroyAfter(t.Context(), "suite-1", 10*minute); !errors.Is(err, compute.ErrConflict) ||
		!strings.Contains(err.Error(), "example.org/keeps") {
		t.Errorf("held by a finalizer: %v", err)
	}
	lab.Ctl(t, "", "patch", "pod", pod, "-n", o.Namespace, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	gone(t, p, "suite-1")
}

// TestNodeAway has a node never say that a pod has ended: that is said, and with force-delete the
// pod goes all the same.
func TestNodeAway(t *testing.T) {
	o := site(t)
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	lab.Stop(t, "kwok")
	defer func() {
		if err := lab.Up(); err != nil {
			t.Fatal(err)
		}
	}()
	if err := p.Destroy(t.Context(), "suite-1"); err != nil {
		t.Fatal(err)
	}
	if err := p.DestroyAfter(t.Context(), "suite-1", 10*minute); !errors.Is(err, compute.ErrUnavailable) ||
		!strings.Contains(err.Error(), "does not say that it has") {
		t.Errorf("without the key: %v", err)
	}
	o.Force = 5 * minute
	forced := open(t, o)
	if err := forced.DestroyAfter(t.Context(), "suite-1", 2*minute); err == nil || errors.Is(err, compute.ErrNotFound) {
		t.Errorf("before its time: %v", err)
	}
	if err := forced.DestroyAfter(t.Context(), "suite-1", 10*minute); err != nil {
		t.Errorf("with the key: %v", err)
	}
	want(t, compute.ErrNotFound, "no such pod", func() error { return forced.Destroy(t.Context(), "suite-1") })
}

// TestNamespaceEnds has the namespace be deleted under us: nothing is made there any more, and it
// is said why; what was there is found to be gone.
func TestNamespaceEnds(t *testing.T) {
	t.Parallel()
	o := site(t)
	lab.Ctl(t, "", "create", "configmap", "stays", "-n", o.Namespace)
	finalizers := func(to string) {
		lab.Ctl(t, "", "patch", "configmap", "stays", "-n", o.Namespace, "--type=merge", "-p", `{"metadata":{"finalizers":`+to+`}}`)
	}
	finalizers(`["example.org/keeps"]`)
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	lab.Ctl(t, "", "delete", "namespace", o.Namespace, "--wait=false")
	defer finalizers("null")
	if _, err := p.Create(t.Context(), compute.Spec{ID: "suite-2"}); !errors.Is(err, compute.ErrUnavailable) ||
		!strings.Contains(err.Error(), "being terminated") || !provider.WasUnasked(err) {
		t.Errorf("Create: %v", err)
	}
	computetest.Eventually(t, "it is told", func() error {
		ended, err := p.WatchHealth(t.Context())
		if err == nil && ended["suite-1"] == "" {
			err = errors.New("nothing")
		}
		return err
	})
	gone(t, p, "suite-1")
}

// TestHistoryGone has so much happen while nobody watches that the API server cannot tell all of
// it: it is known all the same afterwards. It takes as long as an API server takes to start.
func TestHistoryGone(t *testing.T) {
	o := site(t)
	direct := open(t, o)
	cut := cutAt(t, &o)
	p := open(t, o)
	_ = ready(t, p, "suite-1").Close()
	_ = ready(t, p, "suite-2").Close()
	cut.set(t, true)
	lab.Ctl(t, "", "delete", "pod", podOf(t, direct, o, "suite-1"), "-n", o.Namespace)
	_ = ready(t, direct, "suite-3").Close()
	compact(t)
	lab.Stop(t, "apiserver") // it remembers for itself what etcd has forgotten
	if err := lab.Up(); err != nil {
		t.Fatal(err)
	}
	cut.set(t, false)
	computetest.Eventually(t, "all is known", func() error {
		list, err := p.List(t.Context())
		if err == nil && (len(list) != 2 || list[0].ID == "suite-1" || list[1].ID == "suite-1") {
			err = fmt.Errorf("%v", list)
		}
		if err == nil {
			ended, e := p.WatchHealth(t.Context())
			if err = e; e == nil && (len(ended) != 1 || !strings.Contains(ended["suite-1"], "deleted")) {
				err = fmt.Errorf("%v", ended)
			}
		}
		return err
	})
	_ = enter(t, p, "suite-2").Close()
}

// TestMute has whoever stands before the API server close each connection without a word, which the
// library would take for a watch that has nothing to tell: it is noticed all the same, and from
// then on at once.
func TestMute(t *testing.T) {
	t.Parallel()
	o := site(t)
	o.Fresh(time.Nanosecond)
	cut := cutAt(t, &o)
	p := open(t, o)
	if _, err := p.WatchHealth(t.Context()); err != nil {
		t.Fatal(err)
	}
	cut.mute()
	want(t, compute.ErrUnavailable, "", func() error {
		_, err := p.WatchHealth(t.Context())
		return err
	})
}

// TestNodeDeleted: a pod whose node was deleted is told to have ended before the cluster says so,
// so that who acquired it takes another.
func TestNodeDeleted(t *testing.T) {
	t.Parallel()
	o := site(t)
	node := "going-" + o.Namespace
	lab.Passing(t, node)
	o.Tolerations = []string{"passing"}
	o.Selector = []string{"kubernetes.io/hostname=" + node}
	for _, way := range []string{"agent", "exec"} {
		o.Way = way
		_ = ready(t, open(t, o), compute.ID("suite-"+way)).Close()
	}
	lab.Ctl(t, "", "delete", "node", node)
	for _, way := range []string{"agent", "exec"} {
		o.Way = way
		c, err := open(t, o).Connect(t.Context(), compute.ID("suite-"+way))
		if err == nil {
			_ = c.Close()
		}
		if !errors.Is(err, compute.ErrEnded) || !strings.Contains(err.Error(), "its node "+node+" is gone") {
			t.Errorf(`%s: err = %v; want error compute.ErrEnded and err.Error() with "its node " + node + " is gone"`, way, err)
		}
	}
}
