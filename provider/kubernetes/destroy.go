package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// stuck is how long a pod may still exist after its time, until the error says what holds it.
const stuck = time.Minute

// nouns are the words for objects in errors.
var nouns = map[schema.GroupVersionResource]string{pods: "pod", sandboxes: "Sandbox", claims: "SandboxClaim"}

// Destroy deletes a pod. It is an error if others' finalizers hold it, or a node that does not
// confirm its end. With force-delete the pod is then deleted by force: the cluster forgets it, but
// its processes may run on. A sandbox or a claim is gone when its pod is.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return p.fault("Destroy", id, p.destroy(ctx, id, time.Now()))
}

// destroy is Destroy at a given time, so that tests can move the clock.
func (p *Provider) destroy(ctx context.Context, id compute.ID, now time.Time) error {
	p.entrance.starts(id)
	in, taken := p.leaves(id, now)
	var err error
	switch {
	case in == nil: // only the API server can prove that it is gone
		in, err = p.objects.read(ctx, id)
	case taken && in.Metadata.DeletionTimestamp == nil: // the watch will tell
		return nil
	}
	none := errors.Is(err, errNone)
	if err != nil && !none {
		return err
	}
	// its pod may still exist
	if p.gvr != pods && (none || in.Metadata.DeletionTimestamp != nil) {
		pod, e := p.left(ctx, id)
		if e != nil {
			return e
		}
		if pod != nil {
			if pod.Metadata.DeletionTimestamp == nil { // the cluster is about to
				return nil
			}
			return p.end(ctx, id, pods, pod, now)
		}
	}
	switch {
	case none:
		return err
	case in.Metadata.DeletionTimestamp != nil:
		return p.end(ctx, id, p.gvr, in, now)
	}
	return p.delete(ctx, p.gvr, in, metav1.DeleteOptions{})
}

// heeded is how long the watch alone is trusted on an object whose deletion was requested.
const heeded = 30 * time.Second

// leaves returns what the watch knows of an instance that is being deleted. taken: the API server
// has accepted that. nil: nothing, or it was so long ago that the watch may be broken.
func (p *Provider) leaves(id compute.ID, now time.Time) (in *record, taken bool) {
	w := p.watch()
	if in = w.sees(p.podName(id)); in == nil || !p.objects.owned(in) {
		return nil, false
	}
	d := w.ourDeletion(in.Metadata.UID)
	if d.taken && now.Sub(d.at) > heeded {
		return nil, false
	}
	return in, d.taken
}

// left returns the pod that agent-sandbox made for an instance, even if the sandbox or the claim is
// gone. nil: there is none.
func (p *Provider) left(ctx context.Context, id compute.ID) (*record, error) {
	w := p.podWatch()
	if err := w.trusted(ctx); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.all {
		if r.id() == id && p.objects.made(r) {
			return r, nil
		}
	}
	return nil, nil
}

// end handles an object that is being deleted. nil: it still has time.
func (p *Provider) end(ctx context.Context, id compute.ID, gvr schema.GroupVersionResource, in *record, now time.Time) error {
	over := now.Sub(in.going)
	if in.Metadata.Grace != nil {
		over -= time.Duration(*in.Metadata.Grace) * time.Second
	}
	what, since := fmt.Sprintf("the %s %s", nouns[gvr], in.Metadata.Name), in.Metadata.DeletionTimestamp.Format(time.RFC3339)
	others := slices.DeleteFunc(slices.Clone(in.Metadata.Finalizers), func(f string) bool { return f == metav1.FinalizerDeleteDependents })
	force := p.o.Force > 0 && over >= p.o.Force && gvr == pods
	switch {
	case over < stuck && !force:
		return nil
	case len(others) > 0:
		return &compute.Error{
			Kind: compute.ErrConflict, Err: fmt.Errorf(
				"%s has been held since %s by finalizers of others: %s", what, since, strings.Join(others, ", "),
			),
			Hint: fmt.Sprintf(
				`whoever set them removes them; where they are dead: kubectl patch %s %s -n %s --type merge -p '{"metadata":{"finalizers":null}}'`,
				gvr.GroupResource(), in.Metadata.Name, p.c.namespace,
			),
		}
	case gvr != pods:
		return &compute.Error{
			Kind: compute.ErrUnavailable,
			Err:  fmt.Errorf("%s has been on its way out since %s, and has no pod any more", what, since),
			Hint: "does the cluster's garbage collector run?",
		}
	case !force:
		return &compute.Error{
			Kind: compute.ErrUnavailable, Err: fmt.Errorf(
				"%s was to end at %s, and its node %s does not say that it has", what, since,
				cmp.Or(in.Spec.NodeName, "(none)"),
			),
			Hint: "does the node run? force-delete in the source has such pods deleted all the same, though what runs in them may run on",
		}
	}
	p.log.Warn("deleting a pod by force: its node does not end it", "instance", id, "pod", in.Metadata.Name, "node", in.Spec.NodeName)
	zero := int64(0)
	return p.delete(ctx, gvr, in, metav1.DeleteOptions{GracePeriodSeconds: &zero})
}

// delete requests an object's end. If the object has a pod, it goes after the pod.
func (p *Provider) delete(ctx context.Context, gvr schema.GroupVersionResource, in *record, how metav1.DeleteOptions) error {
	uid := types.UID(in.Metadata.UID)
	how.Preconditions = &metav1.Preconditions{UID: &uid}
	if gvr != pods {
		after := metav1.DeletePropagationForeground
		how.PropagationPolicy = &after
	}
	if err := p.at("delete"); err != nil {
		return err
	}
	if gvr == p.gvr {
		p.watch().deleting(in.Metadata.UID, false)
		if gvr != pods {
			if pod := p.objects.pod(in); pod != nil {
				p.podWatch().deleting(pod.Metadata.UID, false)
			}
		}
	}
	err := p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		return d.Resource(gvr).Namespace(p.c.namespace).Delete(ctx, in.Metadata.Name, how)
	})
	switch {
	case gvr != p.gvr:
	case err == nil:
		p.watch().deleting(in.Metadata.UID, true)
	case absent(err, in.Metadata.Name):
		p.watch().gone(in.Metadata.Name)
	}
	// it is gone meanwhile, or another object has its name
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
