package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// The phases of a Lease.
const (
	waiting = "Waiting"
	leased  = "Leased"
	ended   = "Ended"
)

// reconcile does for an object what is to be done next, and tells when to look again; 0: when it has changed.
func (r *Reconciler) reconcile(ctx context.Context, l *Lease) (again time.Duration, err error) {
	switch {
	case l.DeletionTimestamp != nil:
		return 0, r.depart(ctx, l)
	case l.Status.Phase == ended:
		return 0, nil
	case l.Status.Phase == leased:
		return 0, r.follow(ctx, l)
	case !slices.Contains(l.Finalizers, finalizer): // it is not to go before its lease has
		r.opt.Step("lease:finalizer")
		change := operation{"add", "/metadata/finalizers", append(slices.Clone(l.Finalizers), finalizer)}
		u, err := r.cluster.patch(ctx, resourceOf("leases"), l.Namespace, l.Name, []operation{{"test", "/metadata/resourceVersion", l.ResourceVersion}, change})
		if err != nil {
			return 0, err
		}
		r.watchOf(l.Namespace).note(u)
		if l = r.find(nameOf(l)); l == nil {
			return 0, nil
		}
	}
	return r.ask(ctx, l)
}

// ask asks for the lease, and says how that comes on.
func (r *Reconciler) ask(ctx context.Context, l *Lease) (again time.Duration, err error) {
	f, room := r.fly(ctx, l)
	if !room {
		status := l.Status
		status.Phase, status.Place, status.Reason = waiting, 0, fmt.Sprintf("%d of this namespace wait for %s before it", mostWaiting, l.Spec.Source)
		return r.tell(ctx, l, status)
	}
	select {
	case <-f.done:
	default:
		status := l.Status
		f.mu.Lock()
		status.Phase, status.Place, status.Reason = waiting, int64(f.now.Position), f.now.Reason
		young := time.Since(f.begun) < time.Second
		if status.Reason == "" && f.now.Phase != "" && f.now.Phase != "wait" {
			status.Reason = f.now.Phase + " " + string(f.now.Instance)
		}
		f.mu.Unlock()
		if young {
			return time.Second, nil // most are given before, and one write is enough then
		}
		setCondition(&status.Conditions, l.Generation, leased, metav1.ConditionFalse, "Waiting", cmp.Or(status.Reason, "it is being seen to"))
		return r.tell(ctx, l, status)
	}
	if f.err != nil {
		r.land(f)
		return 0, r.failed(ctx, l, f)
	}
	r.opt.Step("lease:acquired")
	given := f.leases[0]
	status := LeaseStatus{
		Phase: leased, Lease: given.ID, Instance: string(given.Instance), Generation: given.Generation, Holder: given.Owner, Project: given.Project,
		Given: seconds(given.Given), Expires: seconds(given.Expires),
		Steps: f.steps(), Conditions: l.Status.Conditions, Secret: l.Status.Secret,
	}
	setCondition(&status.Conditions, l.Generation, leased, metav1.ConditionTrue, leased, string(given.Instance))
	if l.Spec.Token && status.Secret == "" {
		if err := r.secret(ctx, l, f, &status); err != nil {
			if _, lives, e := r.living(ctx, given.ID, given.Instance); e != nil || lives {
				now := l.Status
				now.Phase, now.Place, now.Lease, now.Instance = waiting, 0, given.ID, string(given.Instance)
				now.Reason = "there is a lease, and the Secret with its token cannot be made: " + api.Text(err)
				setCondition(&now.Conditions, l.Generation, leased, metav1.ConditionFalse, "NoSecret", now.Reason)
				return 0, cmp.Or(r.watchOf(l.Namespace).write(ctx, l, now), errAgain)
			}
			status.Secret = ""
		}
	}
	reach(&status, l.Namespace)
	if err := r.watchOf(l.Namespace).write(ctx, l, status); err != nil {
		if apierrors.IsNotFound(err) {
			r.land(f) // the object is gone: the lease is found by its label
		}
		return 0, err
	}
	r.land(f)
	r.opt.Step("lease:told")
	return 0, nil
}

// reach says how a lease is used: with its token, or by who may use what others have.
func reach(s *LeaseStatus, namespace string) {
	s.Run = "hostler run --any " + s.Instance + " -- COMMAND"
	if s.Secret != "" {
		with := "HOSTLER_TOKEN=$(kubectl get secret -n " + namespace + " " + s.Secret + " -o 'jsonpath={.data.token}' | base64 -d) "
		s.Run, s.SSH = with+"hostler run "+s.Instance+" -- COMMAND", with+"hostler ssh "+s.Instance
	}
}

// request is what an object asks for.
func (r *Reconciler) request(l *Lease) (req compute.Request, err error) {
	s := &l.Spec
	req = compute.Request{
		Source: s.Source, Count: 1, Name: s.Name, Cores: s.Cores, GPUs: int(s.GPUs), Image: s.Image, Flavor: s.Flavor, Location: s.Location, Priority: int(s.Priority), Wait: -time.Second, Idle: -1,
		Purpose: "Lease " + l.Namespace + "/" + l.Name, Labels: maps.Clone(s.Labels), Project: r.project(l.Namespace),
	}
	if s.Purpose != "" {
		req.Purpose += ": " + s.Purpose
	}
	if req.Labels == nil {
		req.Labels = map[string]string{}
	}
	req.Labels[labelUID], req.Labels[labelObject], req.Labels[labelWhere] = string(l.UID), l.Namespace+"/"+l.Name, r.cluster.leads()
	for _, size := range []struct {
		key, text string
		to        *int64
	}{{"memory", s.Memory, &req.Memory}, {"disk", s.Disk, &req.Disk}} {
		if size.text != "" {
			q, e := resource.ParseQuantity(size.text)
			if e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", size.key, e))
			}
			*size.to = q.Value()
		}
	}
	for _, d := range []struct {
		key, text string
		to        *time.Duration
	}{{"ttl", s.TTL, &req.TTL}, {"idle", s.Idle, &req.Idle}, {"wait", s.Wait, &req.Wait}} {
		if d.text == "" {
			continue
		}
		span, e := time.ParseDuration(d.text)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", d.key, e))
		}
		if *d.to = span; span == 0 && d.key != "wait" {
			*d.to = -1 // none
		}
	}
	if err != nil {
		err = &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	return req, err
}

// failed says why there is no lease, and has it tried again later. One that has waited for as long as it was to is over.
func (r *Reconciler) failed(ctx context.Context, l *Lease, f *flight) error {
	status := l.Status
	reason, text := wrong(f.err)
	status.Phase, status.Place, status.Reason = waiting, 0, text
	if l.Spec.Wait != "" && (errors.Is(f.err, compute.ErrTimeout) || l.Spec.Wait == "0" && errors.Is(f.err, compute.ErrNoCapacity)) {
		status.Phase, status.Ended = ended, seconds(time.Now())
	}
	setCondition(&status.Conditions, l.Generation, leased, metav1.ConditionFalse, reason, text)
	if err := r.watchOf(l.Namespace).write(ctx, l, status); err != nil || status.Phase == ended {
		return err
	}
	return errAgain
}

// wrong is an error as a condition has it.
func wrong(err error) (reason, text string) {
	reason, text = "Failed", api.Text(err)
	if hint := compute.Hint(err); hint != "" && !strings.HasPrefix(hint, "hostler --embedded") { // that is for who sits at a machine, and not for who writes objects
		text += " (" + hint + ")"
	}
	for _, k := range []struct {
		kind error
		name string
	}{
		{compute.ErrInvalid, "Invalid"}, {compute.ErrNotFound, "NotFound"}, {compute.ErrDenied, "Denied"}, {compute.ErrTimeout, "TimedOut"}, {compute.ErrNoCapacity, "NoCapacity"},
		{compute.ErrConflict, "Conflict"}, {compute.ErrUnavailable, "Unavailable"},
	} {
		if errors.Is(err, k.kind) {
			return k.name, text
		}
	}
	return reason, text
}

// errAgain is for an object that is tried again later, as what is wrong may be mended: a source may come.
var errAgain = errors.New("again later")

// follow looks whether a lease lives, and until when.
func (r *Reconciler) follow(ctx context.Context, l *Lease) error {
	status := l.Status
	now, lives, err := r.living(ctx, status.Lease, compute.ID(status.Instance))
	if err != nil {
		return err
	}
	if lives {
		status.Expires = seconds(now.Expires)
		return r.watchOf(l.Namespace).write(ctx, l, status)
	}
	over, err := r.opt.Book().Leases(ctx, compute.LeaseQuery{Instance: compute.ID(l.Status.Instance), Ended: true, Limit: 100})
	if err != nil {
		return err
	}
	status.Phase, status.Reason, status.Run, status.SSH = ended, "it has ended", "", ""
	status.Ended = seconds(time.Now())
	if i := slices.IndexFunc(over, func(o compute.Lease) bool { return o.ID == status.Lease }); i >= 0 {
		status.Reason, status.Ended = cmp.Or(over[i].Why, status.Reason), seconds(over[i].Ended)
	}
	setCondition(&status.Conditions, l.Generation, leased, metav1.ConditionFalse, ended, status.Reason)
	return r.watchOf(l.Namespace).write(ctx, l, status)
}

// living looks for a lease among those that live.
func (r *Reconciler) living(ctx context.Context, id string, instance compute.ID) (l compute.Lease, lives bool, err error) {
	r.mu.Lock()
	l, lives = r.known[id]
	r.mu.Unlock()
	if lives {
		return l, true, nil
	}
	all, err := r.opt.Book().Leases(ctx, compute.LeaseQuery{Instance: instance}) // it may be younger than the list
	if i := slices.IndexFunc(all, func(o compute.Lease) bool { return o.ID == id }); i >= 0 {
		return all[i], true, err
	}
	return l, false, err
}

// depart gives back what an object that is being deleted has, and then lets it go.
func (r *Reconciler) depart(ctx context.Context, l *Lease) error {
	if !slices.Contains(l.Finalizers, finalizer) {
		return nil
	}
	if err := r.returned(ctx, l); err != nil {
		if ctx.Err() != nil || time.Since(l.DeletionTimestamp.Time) < departure {
			return err
		}
		r.log.Error("a Lease of Kubernetes goes, and what it had is given back later", "lease", nameOf(l).String(), "err", err)
	}
	r.opt.Step("lease:returned")
	rest := slices.DeleteFunc(slices.Clone(l.Finalizers), func(f string) bool { return f == finalizer })
	_, err := r.cluster.patch(ctx, resourceOf("leases"), l.Namespace, l.Name,
		[]operation{{"test", "/metadata/uid", l.UID}, {"test", "/metadata/finalizers", l.Finalizers}, {"replace", "/metadata/finalizers", rest}})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return err
}

// returned gives back what an object has, if it has anything, and proves it.
func (r *Reconciler) returned(ctx context.Context, l *Lease) error {
	r.abandon(nameOf(l))
	if l.Status.Phase == ended {
		return nil
	}
	q := compute.LeaseQuery{Owner: Owner(l.Namespace), Instance: compute.ID(l.Status.Instance)} // without an instance: we may have been killed before it was noted
	return r.giveBack(ctx, l.Namespace, l.Name, string(l.UID), q)
}

// giveBack ends the request of an object, which is refused from then on, and what it was given, among what a query finds.
func (r *Reconciler) giveBack(ctx context.Context, namespace, name, uid string, q compute.LeaseQuery) error {
	door, err := r.door(namespace, name)
	if err != nil {
		return err
	}
	defer door.Close()
	r.opt.Step("lease:giving-up")
	if err := door.GiveUp(ctx, uid); err != nil {
		return err
	}
	all, err := r.opt.Book().Leases(ctx, q)
	if err != nil {
		return err
	}
	for _, l := range all {
		if l.Labels[labelUID] == uid {
			if err := door.Release(ctx, compute.Who{}, compute.ReleaseOptions{}, compute.ID(l.ID)); err != nil {
				return err
			}
		}
	}
	return nil
}

// secret has a token of a lease's own made, once, and keeps it in a Secret that goes with the object. Its name tells objects apart, so that one that is there is this one's.
func (r *Reconciler) secret(ctx context.Context, l *Lease, f *flight, status *LeaseStatus) error {
	given := f.leases[0]
	if f.token == "" {
		door, err := r.door(l.Namespace, l.Name)
		if err != nil {
			return err
		}
		defer door.Close()
		token, err := door.LeaseToken(ctx, given.ID, false)
		if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrConflict) {
			return nil // it has ended already, which is seen in a moment
		}
		if err != nil {
			return err
		}
		f.token = token.Secret
	}
	short, _, _ := strings.Cut(string(l.UID), "-")
	status.Secret = shortened(l.Name, 200) + "-" + short
	r.opt.Step("lease:secret")
	err := r.cluster.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(secrets).Namespace(l.Namespace).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
			"metadata": map[string]any{"name": status.Secret, "ownerReferences": []any{map[string]any{
				"apiVersion": Group + "/" + Version, "kind": "Lease", "name": l.Name, "uid": string(l.UID), "controller": true,
			}}},
			"stringData": map[string]any{"token": f.token, "lease": given.ID, "instance": string(given.Instance)},
		}}, metav1.CreateOptions{FieldManager: "hostler"})
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		err = nil // made before we were killed
	}
	return err
}

var secrets = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// tell writes a status that says how a request comes on, as long as there is room for that, and tells when to look again.
func (r *Reconciler) tell(ctx context.Context, l *Lease, status LeaseStatus) (time.Duration, error) {
	if same(l.Status, status) {
		return 5 * time.Second, nil
	}
	if !r.telling.Allow() {
		return 2 * time.Second, nil
	}
	return 5 * time.Second, r.watchOf(l.Namespace).write(ctx, l, status)
}

func shortened(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// seconds is a time as the API has it; nil: none.
func seconds(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	out := metav1.NewTime(t.Truncate(time.Second))
	return &out
}
