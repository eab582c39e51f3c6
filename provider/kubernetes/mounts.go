package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// slow is how long a pod may take to start on its node before its events are read for the reason.
// The result holds for twice as long.
const slow = 5 * time.Second

// startCondition is what keeps a pod from starting, when it was last looked for.
type startCondition struct {
	next time.Time // when to look again
	said error     // nil: nothing was found
}

// event is something that the cluster reports of an object.
type event struct{ when, reason, message string }

// eventsOf lists the events of an object, the oldest first.
func (p *objects) eventsOf(ctx context.Context, uid, more string) (out []event, err error) {
	var list *unstructured.UnstructuredList
	err = p.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		list, err = d.Resource(events).Namespace(p.p.c.namespace).List(
			ctx, metav1.ListOptions{FieldSelector: "involvedObject.uid=" + uid + more, Limit: 500},
		)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, e := range list.Items {
		text := func(key string) string { s, _, _ := unstructured.NestedString(e.Object, key); return s }
		out = append(out, event{cmp.Or(text("lastTimestamp"), text("eventTime")), text("reason"), text("message")})
	}
	slices.SortStableFunc(out, func(a, b event) int { return cmp.Compare(a.when, b.when) })
	return out, nil
}

// hinders are the reasons of events that a pod's status does not tell.
var hinders = []string{"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}

// hindered says why a pod does not start on its node, by its events: they know more of volumes and
// the network than its status. A normal start costs no call. A missing secret or config map is
// final: nobody can know whether it will ever be made.
func (p *entrance) hindered(ctx context.Context, id compute.ID, in *record, unready error) error {
	if in.Spec.NodeName == "" {
		return unready
	}
	now := time.Now()
	p.p.mu.Lock()
	h, seen := p.waits[id]
	look := seen && !now.Before(h.next)
	if !seen {
		p.waits[id] = startCondition{next: now.Add(slow)}
	} else if look {
		p.waits[id] = startCondition{next: now.Add(2 * slow), said: h.said}
	}
	p.p.mu.Unlock()
	if !look {
		return cmp.Or(h.said, unready)
	}
	all, err := p.p.objects.eventsOf(ctx, in.Metadata.UID, ",type=Warning")
	if err != nil { // it would only add to the error
		return cmp.Or(h.said, unready)
	}
	for _, e := range slices.Backward(all) {
		if !slices.Contains(hinders, e.reason) {
			continue
		}
		out := &compute.Error{Kind: compute.ErrNotReady, Err: errors.New(words("it starts on "+in.Spec.NodeName+": "+e.reason, e.message))}
		if absent := strings.Contains(e.message, "not found") || strings.Contains(e.message, "non-existent"); absent &&
			(strings.Contains(e.message, "secret") || strings.Contains(e.message, "configmap")) {
			out.Kind, out.Hint = compute.ErrInvalid, "look at volumes and at the template: `kubectl get secrets,configmaps` lists those that there are in the namespace"
		}
		p.p.mu.Lock()
		if h, there := p.waits[id]; there {
			h.said = out
			p.waits[id] = h
		}
		p.p.mu.Unlock()
		return out
	}
	return unready
}

// starts forgets what was known of a pod's start.
func (e *entrance) starts(id compute.ID) {
	e.p.mu.Lock()
	delete(e.waits, id)
	e.p.mu.Unlock()
}
