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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// look follows the journal until ctx ends: where something has become of leases, all are listed, and what objects say of them is brought up to date. A list that
// takes long is made seldom.
func (r *Reconciler) look(ctx context.Context) {
	var listed, rest time.Time
	var last int64 = -1
	for ctx.Err() == nil {
		if news, err := r.news(ctx, &last); err != nil {
			r.log.Warn("custom resources: the journal", "err", err)
		} else if now := time.Now(); now.After(rest) && (news || listed.IsZero() || now.Sub(listed) > listEvery) {
			more, err := r.list(ctx)
			if err != nil && ctx.Err() == nil {
				r.log.Warn("custom resources: the leases", "err", err)
			}
			rest = time.Now().Add(20 * time.Since(now))
			if listed = now; more || err != nil {
				listed = time.Time{}
			}
		} else if news {
			listed = time.Time{} // when there is time for it
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
}

// news reports whether something has become of leases since an event, and goes on to the newest.
func (r *Reconciler) news(ctx context.Context, last *int64) (news bool, err error) {
	const some = 1000
	q := compute.EventQuery{After: *last, Limit: some}
	if *last < 0 {
		q, news = compute.EventQuery{Newest: 1}, true
	}
	for {
		events, err := r.opt.Book().Events(ctx, q)
		if err != nil {
			return news, err
		}
		for _, e := range events {
			*last, news = e.ID, news || e.Lease != ""
		}
		*last = max(0, *last)
		if q.After = *last; len(events) < some {
			return news, nil
		}
	}
}

// list compares all leases with the objects. more: there is more to be done soon.
func (r *Reconciler) list(ctx context.Context) (more bool, err error) {
	all, err := r.opt.Book().Leases(ctx, compute.LeaseQuery{})
	if err != nil {
		return false, err
	}
	known := make(map[string]compute.Lease, len(all))
	for _, l := range all {
		known[l.ID] = l
	}
	r.mu.Lock()
	r.known = known
	r.mu.Unlock()
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
		namespace, ours := strings.CutPrefix(l.Owner, ownerPrefix)
		switch uid := l.Labels[labelUID]; {
		case l.Worker != 0 || strings.HasPrefix(l.Owner, "pool:"): // not told to its user yet, or in another's hands
		case !ours || uid == "":
			others = append(others, l)
		case objects[types.UID(uid)] != nil || r.watchOf(namespace) == nil:
		case l.Labels[labelWhere] != r.cluster.leads():
			elsewhere++
		default:
			if err := r.orphan(ctx, namespace, uid, l); err != nil {
				r.log.Warn("a lease whose object is gone is not given back yet", "lease", l.ID, "err", err)
			}
		}
	}
	if elsewhere > 0 && r.elsewhere == 0 {
		r.log.Warn("leases of objects of another cluster than the kubeconfig leads to stay: nobody knows anything of their objects here", "leases", elsewhere,
			"hint", "set context of [resources] in hostler.conf; hostler release --any, if that cluster is gone")
	}
	r.elsewhere = elsewhere
	return r.show(ctx, others)
}

// orphan gives back a lease whose object is gone, by the word of the API server itself.
func (r *Reconciler) orphan(ctx context.Context, namespace, uid string, l compute.Lease) error {
	_, name, _ := strings.Cut(l.Labels[labelObject], "/")
	gone := false
	err := r.cluster.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		o, err := d.Resource(resourceOf("leases")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		gone = err == nil && string(o.GetUID()) != uid || absent(err, name)
		return err
	})
	if !gone || l.Labels[labelWhere] != r.cluster.leads() { // for the answer the configuration may have been read anew
		return err // the watch will tell of it
	}
	r.log.Info("a lease is given back, as its object is gone", "lease", l.ID, "object", namespace+"/"+name)
	return r.giveBack(ctx, namespace, name, uid, compute.LeaseQuery{Instance: l.Instance})
}

// show has objects for the leases that were made otherwise: the oldest, those that are a few seconds old, as far as they may be shown and a few writes go.
func (r *Reconciler) show(ctx context.Context, others []compute.Lease) (more bool, err error) {
	homes := map[string]string{} // of projects
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
			if o.Labels[labelShown] == "" || o.Annotations[noteOf] != r.opt.Installation {
				continue
			}
			l, ok := want[nameOf(o)]
			delete(want, nameOf(o))
			var err error
			switch {
			case !r.telling.Allow():
				more = true
			case !ok || o.Annotations[noteLease] != l.ID:
				err = r.cluster.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
					return d.Resource(w.gvr).Namespace(o.Namespace).Delete(ctx, o.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID}})
				})
			default:
				err = w.write(ctx, o, shownStatus(o, l))
			}
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return more, err
			}
		}
	}
	for name, l := range want {
		if !r.telling.Allow() {
			return true, nil
		}
		if err := r.showOne(ctx, name, l); err != nil {
			return more, err
		}
	}
	return more, nil
}

// showOne makes the object of a lease that was made otherwise.
func (r *Reconciler) showOne(ctx context.Context, name types.NamespacedName, l compute.Lease) error {
	w := r.watchOf(name.Namespace)
	if w == nil {
		return nil
	}
	var made *unstructured.Unstructured
	err := r.cluster.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		made, err = d.Resource(w.gvr).Namespace(name.Namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": Group + "/" + Version, "kind": "Lease",
			"metadata": map[string]any{"name": name.Name, "labels": map[string]any{labelShown: "true"}, "annotations": map[string]any{noteLease: l.ID, noteOf: r.opt.Installation}},
			"spec":     map[string]any{"source": l.Source},
		}}, metav1.CreateOptions{FieldManager: "hostler"})
		return err
	})
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) { // somebody's of this name; no such namespace
		return nil
	}
	if err != nil {
		return err
	}
	o, err := read[LeaseSpec, LeaseStatus](made)
	if err != nil {
		return err
	}
	w.put(o)
	return w.write(ctx, o, shownStatus(o, l))
}

// shownStatus is what the object of a lease that was made otherwise says.
func shownStatus(o *Lease, l compute.Lease) LeaseStatus {
	s := LeaseStatus{
		Phase: leased, Lease: l.ID, Instance: string(l.Instance), Generation: l.Generation, Holder: l.Owner, Project: l.Project, Given: seconds(l.Given), Expires: seconds(l.Expires), Conditions: o.Status.Conditions,
	}
	reach(&s, o.Namespace)
	setCondition(&s.Conditions, o.Generation, leased, metav1.ConditionTrue, "MadeOtherwise", "it was made otherwise, and is only shown here")
	return s
}

// shownName is the name of the object of a lease that was made otherwise.
func shownName(l compute.Lease) string {
	short := l.ID[strings.LastIndex(l.ID, "-")+1:] // it begins with the time
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '-'
	}, strings.ToLower(string(l.Instance)))
	return strings.Trim(shortened(name, 200), "-") + "-" + short
}
