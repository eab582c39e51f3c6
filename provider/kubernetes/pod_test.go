package kubernetes

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/hostler-project/hostler/compute"
)

// TestFate reads pods as clusters show them: which are computers, which may become one, and why the
// others never will.
func TestFate(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, status string
		extra        string // more of metadata
		kind         error
		says         string
	}{
		{"runs", `{"phase":"Running","containerStatuses":[{"name":"main","state":{"running":{}}}]}`, "", nil, ""},
		{"new", `{"phase":"Pending"}`, "", compute.ErrNotReady, "waits for a node"},
		{
			"no node yet",
			`{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",` +
				`"message":"0/2 nodes are available: 2 Insufficient cpu.","lastTransitionTime":"2026-11-22T11:59:50Z"}]}`,
			"", compute.ErrNotReady, "Insufficient cpu",
		},
		{
			"no node",
			`{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",` +
				`"message":"0/2 nodes are available: 2 Insufficient cpu.","lastTransitionTime":"2026-11-22T11:59:00Z"}]}`,
			"", compute.ErrNoCapacity, "Insufficient cpu",
		},
		{
			"image",
			`{"phase":"Pending","containerStatuses":[{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff",` +
				`"message":"Back-off pulling image \"nowhere/none\""}}}]}`,
			"", compute.ErrFailed, `ImagePullBackOff: Back-off pulling image "nowhere/none"`,
		},
		{
			"init image",
			`{"phase":"Pending","initContainerStatuses":[{"name":"hostler-agent",` +
				`"state":{"waiting":{"reason":"ErrImagePull","message":"not found"}}}]}`,
			"", compute.ErrFailed, "container hostler-agent: ErrImagePull: not found",
		},
		{
			"config",
			`{"phase":"Pending","containerStatuses":[{"name":"main",` +
				`"state":{"waiting":{"reason":"CreateContainerConfigError","message":"secret \"x\" not found"}}}]}`,
			"", compute.ErrFailed, `secret "x" not found`,
		},
		{
			"loops",
			`{"phase":"Running","containerStatuses":[{"name":"main","state":{"waiting":{"reason":"CrashLoopBackOff"}},` +
				`"lastState":{"terminated":{"exitCode":3,"reason":"Error"}}}]}`,
			"", compute.ErrFailed, "container main ended with status 3",
		},
		{
			"pulls",
			`{"phase":"Pending","containerStatuses":[{"name":"main","state":{"waiting":{"reason":"ContainerCreating"}}}]}`,
			"", compute.ErrNotReady, "ContainerCreating",
		},
		{
			"ended",
			`{"phase":"Succeeded","containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":0,"reason":"Completed"}}}]}`,
			"", compute.ErrFailed, "ended with status 0",
		},
		{
			"memory",
			`{"phase":"Failed","containerStatuses":[{"name":"main","state":{"terminated":{"exitCode":137,"reason":"OOMKilled"}}}]}`,
			"", compute.ErrFailed, "out of memory",
		},
		{
			"evicted", `{"phase":"Failed","reason":"Evicted","message":"The node was low on resource: memory."}`, "",
			compute.ErrFailed, "evicted: The node was low on resource: memory.",
		},
		{
			"preempted",
			`{"phase":"Running","conditions":[{"type":"DisruptionTarget","status":"True",` +
				`"reason":"PreemptionByScheduler","message":"default-scheduler: preempting"}]}`,
			`,"deletionTimestamp":"2026-11-22T12:00:30Z"`, compute.ErrNotFound, "preempted by a pod of higher priority",
		},
		{
			"node lost",
			`{"phase":"Running","conditions":[{"type":"DisruptionTarget","status":"True","reason":"DeletionByTaintManager"}]}`,
			`,"deletionTimestamp":"2026-11-22T12:00:30Z"`, compute.ErrNotFound, "its node was lost or tainted",
		},
		{"odd", `{"phase":"Unheard","containerStatuses":[{"name":"other","state":{}}],"conditions":null}`, "", compute.ErrNotReady, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var u unstructured.Unstructured
			if err := u.UnmarshalJSON(
				[]byte(
					`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"` + c.extra + `},"spec":{"containers":[{"name":"main"}]},"status":` + c.status + `}`,
				),
			); err != nil {
				t.Fatal(err)
			}
			p, err := readPod(&u)
			if err != nil {
				t.Fatal(err)
			}
			wait, err := p.fate("main", 30*time.Second, now)
			switch {
			case c.kind == nil && err != nil, c.kind != nil && !errors.Is(err, c.kind), wait != errors.Is(err, compute.ErrNotReady):
				t.Errorf("wait %v, error %v", wait, err)
			case err != nil && !strings.Contains(err.Error(), c.says):
				t.Errorf("%q is not in %q", c.says, err)
			}
		})
	}
}

// TestKinds reads refusals in the words that API servers use.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		code int32
		text string
		kind error
	}{
		{403, `pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2`, compute.ErrNoCapacity},
		{403, `pods "x" is forbidden: maximum cpu usage per Pod is 1, but limit is 2`, compute.ErrTooLarge},
		{403, `pods "x" is forbidden: failed quota: q: must specify cpu for: main`, compute.ErrInvalid},
		{403, `pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true`, compute.ErrInvalid},
		{
			403,
			`pods is forbidden: User "system:serviceaccount:ns:x" cannot create resource "pods" in API group "" in the namespace "ns"`,
			compute.ErrDenied,
		},
		{403, `pods "x" is forbidden: unable to create new content in namespace ns because it is being terminated`, compute.ErrUnavailable},
		{403, `pods "x" is forbidden: error looking up service account ns/none: serviceaccount "none" not found`, compute.ErrInvalid},
		{401, `Unauthorized`, compute.ErrDenied},
		{404, `namespaces "ns" not found`, compute.ErrInvalid},
		{400, `admission webhook "guard.example.org" denied the request: no`, compute.ErrDenied},
		{500, `Internal error occurred: failed calling webhook "guard.example.org": connection refused`, compute.ErrUnavailable},
		{422, `Pod "x" is invalid: spec.containers[0].image: Required value`, compute.ErrInvalid},
		{429, `too many requests`, compute.ErrUnavailable},
		{503, `apiserver is shutting down`, compute.ErrUnavailable},
		{418, `?`, compute.ErrFailed},
	} {
		err := &apierrors.StatusError{ErrStatus: metav1.Status{Code: c.code, Message: c.text}}
		if _, kind := kindOf(err); !errors.Is(kind, c.kind) || !errors.Is(c.kind, kind) {
			t.Errorf("%d %s: %v, not %v", c.code, c.text, kind, c.kind)
		}
	}
	if hint, _ := read(404, `namespaces "ns" not found`); !strings.HasSuffix(hint, "kubectl create namespace ns") {
		t.Errorf("of a namespace that is not there: %s", hint)
	}
	// an exec into a pod whose node was deleted
	if hint, _ := read(404, `pods "node-1" not found`); hint != "" {
		t.Errorf("of what is no namespace: %s", hint)
	}
	if hint, kind := kindOf(&http.MaxBytesError{}); kind != compute.ErrFailed || hint != "" {
		t.Errorf("another error is %v", kind)
	}
}

// TestClocks has pods told by a cluster whose clock is hours away from ours, either way: how long
// something lasts is judged by ours alone.
func TestClocks(t *testing.T) {
	now := time.Now()
	for _, skew := range []time.Duration{-5 * time.Hour, 5 * time.Hour} {
		at := now.Add(skew).UTC().Format(time.RFC3339)
		w := newWatch(&cluster{}, watched{})
		see := func(status, extra string) *record {
			t.Helper()
			var u unstructured.Unstructured
			if err := u.UnmarshalJSON(
				[]byte(
					`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x","uid":"1","creationTimestamp":"` + at + `"` + extra + `},"spec":{"containers":[{"name":"main"}]},"status":` + status + `}`,
				),
			); err != nil {
				t.Fatal(err)
			}
			if err := w.Update(&u); err != nil {
				t.Fatal(err)
			}
			return w.get("x")
		}
		waiting := `{"phase":"Pending","conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable",` +
			`"message":"none","lastTransitionTime":"` + at + `"}]}`
		first := see(waiting, "")
		if _, err := first.fate("main", 30*time.Second, time.Now()); !errors.Is(err, compute.ErrNotReady) {
			t.Errorf("skew %v, at once: %v", skew, err)
		}
		second := see(waiting, `,"resourceVersion":"7"`)
		if second.waits != first.waits {
			t.Errorf("skew %v: it was told again, and waits anew", skew)
		}
		if _, err := second.fate("main", 30*time.Second, time.Now().Add(31*time.Second)); !errors.Is(err, compute.ErrNoCapacity) {
			t.Errorf("skew %v, after its time: %v", skew, err)
		}
		going := see(`{"phase":"Running"}`, `,"deletionTimestamp":"`+at+`"`)
		if since := time.Since(going.going); since < 0 || since > time.Minute {
			t.Errorf("skew %v: it is being deleted since %v", skew, since)
		}
	}
}

// TestBrief: of a request that was not answered the API server is named, not the whole address with
// its query.
func TestBrief(t *testing.T) {
	p := (&Provider{}).assemble()
	err := p.fault(
		"List", "web",
		fmt.Errorf(
			"watch: %w",
			&url.Error{
				Op: "Get", URL: "https://10.0.0.1:6443/api/v1/namespaces/n/pods?watch=true",
				Err: &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
			},
		),
	)
	if want := "kubernetes.List: web: unavailable: watch: https://10.0.0.1:6443: dial tcp: connection refused"; err.Error() != want ||
		!errors.Is(err, compute.ErrUnavailable) || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %s", err, want)
	}
}
