package resource

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// syncLeases compares leases and objects when the journal has news, until ctx ends. A slow list
// of leases is made rarely, not counting the API server's time. When the API server answers
// again after a failure, failed work is retried at once.
func (r *Reconciler) syncLeases(ctx context.Context) {
	due, listed, resumed, last := true, time.Time{}, time.Time{}, int64(0)
	for ; ctx.Err() == nil; pause(ctx, lookEvery) {
		if r.cluster.mute.Load() {
			r.probe(ctx)
		}
		if time.Since(resumed) >= resumeEvery && r.cluster.returned.Swap(false) {
			r.resume()
			due, resumed = true, time.Now()
		}
		newest, err := r.opt.Reader().Events(ctx, inventory.EventQuery{Newest: 1})
		if err != nil {
			r.log.Warn("custom resources: the journal", "err", err)
			continue
		}
		if len(newest) > 0 && newest[0].ID != last {
			due, last = true, newest[0].ID
		}
		now := time.Now()
		if now.Before(r.rest) || !due && now.Sub(listed) < listEvery {
			continue
		}
		due, err = r.compareLeases(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Warn("custom resources: the leases", "err", err)
		}
		due, listed = due || err != nil, now
	}
}

// probe checks whether the API server answers, which open watches may hide.
func (r *Reconciler) probe(ctx context.Context) {
	w := r.leases[0]
	// heard notes the result
	_ = r.cluster.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(w.gvr).Namespace(w.namespace).List(ctx, metav1.ListOptions{Limit: 1})
		return err
	})
}

// compareLeases compares all leases with the objects. more: more will be due soon.
func (r *Reconciler) compareLeases(ctx context.Context) (more bool, err error) {
	began := time.Now()
	all, err := r.opt.Reader().Leases(ctx, inventory.LeaseQuery{})
	r.rest = time.Now().Add(20 * time.Since(began))
	if err != nil {
		return false, err
	}
	known := make(map[string]compute.Lease, len(all))
	for _, l := range all {
		known[l.ID] = l
	}
	objects := map[types.UID]*Lease{}
	for _, w := range r.leases {
		for _, o := range w.list() {
			objects[o.UID] = o
			if l, lives := known[o.Status.Lease]; o.Status.Phase == leased && (!lives || !seconds(l.Expires).Equal(o.Status.Expires)) {
				r.queue.Add(nameOf(o))
			}
		}
	}
	var others []compute.Lease
	elsewhere := 0 // leases of objects of another cluster
	for _, l := range all {
		namespace, _, _ := strings.Cut(l.Labels[labelObject], "/")
		ours := l.Owner == Owner(namespace) // anybody may set labels
		switch uid := l.Labels[labelUID]; {
		case l.Worker != 0 || l.Pool != "":
			// its client was not told yet, or a pool holds it
		case !ours || uid == "":
			others = append(others, l)
		case objects[types.UID(uid)] != nil || r.watchOf(namespace) == nil:
		case l.Labels[labelWhere] != r.cluster.server():
			elsewhere++
		default:
			if err := r.releaseOrphan(ctx, namespace, uid, l); err != nil {
				r.log.Warn("a lease whose object is gone is not given back yet", "lease", l.ID, "err", err)
			}
		}
	}
	if elsewhere > 0 && r.elsewhere == 0 {
		r.log.Warn("leases of objects of another cluster than the kubeconfig leads to stay: nobody knows anything of their objects here", "leases", elsewhere,
			"hint", "set context of [resources] in hostler.conf; hostler release --any, if that cluster is gone")
	}
	r.elsewhere = elsewhere
	return r.showOthers(ctx, others)
}

// releaseOrphan releases a lease whose object is gone, according to the API server itself.
func (r *Reconciler) releaseOrphan(ctx context.Context, namespace, uid string, l compute.Lease) error {
	_, name, _ := strings.Cut(l.Labels[labelObject], "/")
	gone := false
	err := r.cluster.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
		o, err := d.Resource(resourceOf("leases")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		gone = err == nil && string(o.GetUID()) != uid || absent(err, name)
		return err
	})
	// the call may have read a new kubeconfig
	if !gone || l.Labels[labelWhere] != r.cluster.server() {
		return err // the watch will report it
	}
	r.log.Info("a lease is given back, as its object is gone", "lease", l.ID, "object", namespace+"/"+name)
	return r.cancelAndReleaseBy(ctx, namespace, name, uid, inventory.LeaseQuery{Instance: l.Instance})
}

// showOthers creates, updates and deletes objects for leases that were made by other means. It
// shows the oldest leases that are some seconds old, up to Show, within the rate limit.
func (r *Reconciler) showOthers(ctx context.Context, others []compute.Lease) (more bool, err error) {
	homes := map[string]string{} // namespaces of projects
	for _, namespace := range slices.Backward(slices.Sorted(maps.Keys(r.opt.Namespaces))) {
		if namespace != "*" {
			homes[r.opt.Namespaces[namespace]] = namespace
		}
	}
	slices.SortFunc(others, func(a, b compute.Lease) int { return cmp.Or(a.Given.Compare(b.Given), cmp.Compare(a.ID, b.ID)) })
	want := map[types.NamespacedName]compute.Lease{}
	for _, l := range others {
		home, ok := homes[l.Project]
		if !ok && r.opt.Namespaces["*"] == "*" && l.Project != "" {
			home, ok = l.Project, true
		}
		if !ok || len(want) >= r.opt.Show {
			continue
		}
		if young := time.Since(l.Given) < 2*lookEvery; young {
			more = true
		} else {
			want[types.NamespacedName{Namespace: home, Name: shownName(l)}] = l
		}
	}
	for _, w := range r.leases {
		for _, o := range w.list() {
			delete(r.unreported, nameOf(o))
			if o.Labels[labelShown] == "" || o.Annotations[noteOf] != r.opt.Installation {
				continue
			}
			l, ok := want[nameOf(o)]
			delete(want, nameOf(o))
			var err error
			switch {
			case !r.writeLimit.Allow():
				more = true
			case !ok || o.Annotations[noteLease] != l.ID:
				err = r.cluster.one(ctx, func(ctx context.Context, d dynamic.Interface) error {
					return d.Resource(w.gvr).Namespace(o.Namespace).Delete(
						ctx, o.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID}},
					)
				})
			default:
				err = w.write(ctx, o, given(o, l, "", "MadeOtherwise", "it was made otherwise, and is only shown here"))
			}
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return more, err
			}
		}
	}
	for name, l := range want {
		w := r.watchOf(name.Namespace)
		if w == nil {
			continue
		}
		if !r.writeLimit.Allow() {
			return true, nil
		}
		err := r.cluster.make(ctx, w.gvr, name.Namespace, map[string]any{
			"apiVersion": Group + "/" + Version, "kind": "Lease",
			"metadata": map[string]any{
				"name": name.Name, "labels": map[string]any{labelShown: "true"},
				"annotations": map[string]any{noteLease: l.ID, noteOf: r.opt.Installation},
			},
			"spec": map[string]any{"source": l.Source},
		})
		switch {
		case err == nil:
			// its status is written after the watch has reported it
			r.unreported[name], more = true, true
		case apierrors.IsAlreadyExists(err): // another's, or not reported yet
			more = more || r.unreported[name]
		case !apierrors.IsNotFound(err): // no such namespace
			return more, err
		}
	}
	return more, nil
}

// shownName returns the name of the object for a lease that was made by other means.
func shownName(l compute.Lease) string {
	short := l.ID[strings.LastIndex(l.ID, "-")+1:] // the id begins with the time
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '-'
	}, strings.ToLower(string(l.Instance)))
	return strings.Trim(shortened(name, 200), "-") + "-" + short
}
