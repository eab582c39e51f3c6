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
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// The phases of a Lease.
const (
	waiting = "Waiting"
	leased  = "Leased"
	ended   = "Ended"
)

// reconcile takes the next step for an object, and returns when to look again; 0: when it changes.
func (r *Reconciler) reconcile(ctx context.Context, l *Lease) (again time.Duration, err error) {
	switch {
	case l.DeletionTimestamp != nil:
		return 0, r.finalize(ctx, l)
	case l.Status.Phase == ended:
		return 0, nil
	case l.Status.Phase == leased:
		return 0, r.follow(ctx, l)
	case !slices.Contains(l.Finalizers, finalizer): // the object must not go before its lease
		r.opt.Step("lease:finalizer")
		add := operation{"add", "/metadata/finalizers", append(slices.Clone(l.Finalizers), finalizer)}
		if err := r.watchOf(l.Namespace).patch(
			ctx, l, "", operation{"test", "/metadata/resourceVersion", l.ResourceVersion}, add,
		); err != nil {
			return 0, err
		}
		if l = r.find(nameOf(l)); l == nil {
			return 0, nil
		}
	}
	return r.acquireFor(ctx, l)
}

// acquireFor requests the lease and writes the progress to the object.
func (r *Reconciler) acquireFor(ctx context.Context, l *Lease) (again time.Duration, err error) {
	f := r.startRequest(ctx, l)
	if f == nil {
		return r.reportWaiting(ctx, l, 0, fmt.Sprintf("%d of this namespace wait for %s before it", mostWaiting, l.Spec.Source))
	}
	select {
	case <-f.done:
	default:
		if time.Since(f.begun) < time.Second {
			return time.Second, nil // most leases are given sooner, and then one write is enough
		}
		place, why := f.waits()
		return r.reportWaiting(ctx, l, place, why)
	}
	if f.err != nil {
		r.finishRequest(f)
		return 0, r.failed(ctx, l, f.err)
	}
	r.opt.Step("lease:acquired")
	lease := f.leases[0]
	secret := l.Status.Secret
	if l.Spec.Token && secret == "" {
		if secret, err = r.secret(ctx, l, f); err != nil {
			if _, lives, e := r.living(ctx, lease.ID, lease.Instance); e != nil || lives {
				now := waits(l, 0, "NoSecret", "there is a lease, and the Secret with its token cannot be made: "+api.Text(err))
				now.Lease, now.Instance = lease.ID, string(lease.Instance)
				return 0, cmp.Or(r.write(ctx, l, now), errAgain)
			}
		}
	}
	status := given(l, lease, secret, leased, string(lease.Instance))
	status.Steps = f.steps()
	if err := r.write(ctx, l, status); err != nil {
		if apierrors.IsNotFound(err) {
			r.finishRequest(f) // the object is gone; the lease is found by its label
		}
		return 0, err
	}
	r.finishRequest(f)
	r.opt.Step("lease:told")
	return 0, nil
}

// waits returns the status of an object without a lease yet.
func waits(l *Lease, place int, reason, text string) LeaseStatus {
	s := l.Status
	s.Phase, s.Place, s.Reason = waiting, place, text
	setCondition(&s.Conditions, l.Generation, leased, metav1.ConditionFalse, reason, text)
	return s
}

// given returns the status of an object with a living lease, with the commands to use it: with the
// lease's token, or for users that may use others' leases.
func given(o *Lease, l compute.Lease, secret, reason, text string) LeaseStatus {
	s := LeaseStatus{
		Phase: leased, Lease: l.ID, Instance: string(l.Instance), Generation: l.Generation, Holder: l.Owner,
		Project: l.Project, Given: seconds(l.Given), Expires: seconds(l.Expires),
		Secret: secret, Conditions: o.Status.Conditions, Run: "hostler run --any " + string(l.Instance) + " -- COMMAND",
	}
	if secret != "" {
		with := "HOSTLER_TOKEN=$(kubectl get secret -n " + o.Namespace + " " + secret + " -o 'jsonpath={.data.token}' | base64 -d) hostler "
		s.Run, s.SSH = with+"run "+s.Instance+" -- COMMAND", with+"ssh "+s.Instance
	}
	setCondition(&s.Conditions, o.Generation, leased, metav1.ConditionTrue, reason, text)
	return s
}

// over returns the status of an object whose lease has ended, or will not be given.
func over(s LeaseStatus, at time.Time) LeaseStatus {
	s.Phase, s.Run, s.SSH, s.Ended = ended, "", "", seconds(at)
	return s
}

// setCondition sets a condition in a copy of the list. The time changes only with the status.
func setCondition(all *[]metav1.Condition, generation int64, what string, is metav1.ConditionStatus, reason, text string) {
	*all = slices.Clone(*all)
	meta.SetStatusCondition(
		all,
		metav1.Condition{Type: what, Status: is, Reason: reason, Message: shortened(text, 32<<10), ObservedGeneration: generation},
	)
}

// write writes an object's status.
func (r *Reconciler) write(ctx context.Context, l *Lease, status LeaseStatus) error {
	return r.watchOf(l.Namespace).write(ctx, l, status)
}

// reportWaiting writes the progress of a request, as far as the rate limit allows, and returns
// when to look again.
func (r *Reconciler) reportWaiting(ctx context.Context, l *Lease, place int, why string) (time.Duration, error) {
	status := waits(l, place, "Waiting", cmp.Or(why, "it is being seen to"))
	if !same(l.Status, status) && !r.writeLimit.Allow() {
		return 2 * time.Second, nil
	}
	return 5 * time.Second, r.write(ctx, l, status)
}

// request builds the request of an object.
func (r *Reconciler) request(l *Lease) (compute.Request, error) {
	var bad error
	size := func(key, text string) int64 {
		if text == "" {
			return 0
		}
		q, err := resource.ParseQuantity(text)
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("%s: %w", key, err))
		}
		return q.Value()
	}
	span := func(key, text string, unsaid, zero time.Duration) time.Duration {
		if text == "" {
			return unsaid
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("%s: %w", key, err))
		}
		return cmp.Or(d, zero)
	}
	const none = -1
	s := &l.Spec
	req := compute.Request{
		Source: s.Source, Count: 1, Name: s.Name, Cores: s.Cores, Memory: size("memory", s.Memory),
		Disk: size("disk", s.Disk), GPUs: s.GPUs, Image: s.Image, Flavor: s.Flavor, Location: s.Location,
		TTL: span("ttl", s.TTL, 0, none), Idle: span("idle", s.Idle, none, none),
		Wait: span("wait", s.Wait, -time.Second, 0), Priority: s.Priority, Project: r.project(l.Namespace),
		Purpose: strings.TrimSuffix("Lease "+l.Namespace+"/"+l.Name+": "+s.Purpose, ": "),
		Labels:  map[string]string{},
	}
	maps.Copy(req.Labels, s.Labels)
	req.Labels[labelUID], req.Labels[labelObject], req.Labels[labelWhere] = string(l.UID), l.Namespace+"/"+l.Name, r.cluster.server()
	if bad != nil {
		return req, &compute.Error{Kind: compute.ErrInvalid, Err: bad}
	}
	return req, nil
}

// failed writes why there is no lease, and retries later. A request that has waited as long as it
// may is over.
func (r *Reconciler) failed(ctx context.Context, l *Lease, err error) error {
	reason, text := failureReason(err)
	status := waits(l, 0, reason, text)
	if l.Spec.Wait != "" && (errors.Is(err, compute.ErrTimeout) || l.Spec.Wait == "0" && errors.Is(err, compute.ErrNoCapacity)) {
		return r.write(ctx, l, over(status, time.Now()))
	}
	return cmp.Or(r.write(ctx, l, status), errAgain)
}

// errAgain means that an object is tried again later, as the cause may go away: a source may be
// added.
var errAgain = errors.New("again later")

// failureReason returns an error in the form of a condition.
func failureReason(err error) (reason, text string) {
	p := api.PlainProblem(err)
	for word := range strings.SplitSeq(p.Code, "-") {
		reason += strings.ToUpper(word[:1]) + word[1:]
	}
	// that hint is for a user of this machine
	if text = p.Detail; p.Hint != "" && !strings.HasPrefix(p.Hint, "hostler --embedded") {
		text += " (" + p.Hint + ")"
	}
	return reason, text
}

// follow checks whether a lease lives, and until when.
func (r *Reconciler) follow(ctx context.Context, l *Lease) error {
	status := l.Status
	now, lives, err := r.living(ctx, status.Lease, compute.ID(status.Instance))
	if err != nil {
		return err
	}
	if lives {
		status.Expires = seconds(now.Expires)
		return r.write(ctx, l, status)
	}
	past, err := r.opt.Reader().Leases(ctx, inventory.LeaseQuery{Instance: compute.ID(status.Instance), Ended: true, Limit: 100})
	if err != nil {
		return err
	}
	why, at := "it has ended", time.Now()
	if i := slices.IndexFunc(past, func(o compute.Lease) bool { return o.ID == status.Lease }); i >= 0 {
		why, at = cmp.Or(past[i].Why, why), past[i].Ended
	}
	return r.write(ctx, l, over(waits(l, 0, ended, why), at))
}

// living looks for a lease among the living ones.
func (r *Reconciler) living(ctx context.Context, id string, instance compute.ID) (l compute.Lease, lives bool, err error) {
	all, err := r.opt.Reader().Leases(ctx, inventory.LeaseQuery{Instance: instance})
	i := slices.IndexFunc(all, func(o compute.Lease) bool { return o.ID == id })
	if i < 0 {
		return l, false, err
	}
	return all[i], true, err
}

// secret makes the lease's token, once, and stores it in a Secret that is deleted with the object.
// The Secret's name is unique to the object, so an existing one is its own. "": the lease has ended
// already.
func (r *Reconciler) secret(ctx context.Context, l *Lease, f *inflightRequest) (name string, err error) {
	lease := f.leases[0]
	if f.token == "" {
		c, err := r.client(l.Namespace, l.Name)
		if err != nil {
			return "", err
		}
		defer c.Close()
		token, err := c.LeaseToken(ctx, lease.ID, false)
		if errors.Is(err, compute.ErrNotFound) || errors.Is(err, compute.ErrConflict) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		f.token = token.Secret
	}
	short, _, _ := strings.Cut(string(l.UID), "-")
	name = shortened(l.Name, 200) + "-" + short
	r.opt.Step("lease:secret")
	owner := map[string]any{"apiVersion": Group + "/" + Version, "kind": "Lease", "name": l.Name, "uid": string(l.UID), "controller": true}
	err = r.cluster.make(ctx, schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, l.Namespace, map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": map[string]any{"name": name, "ownerReferences": []any{owner}},
		"stringData": map[string]any{"token": f.token, "lease": lease.ID, "instance": string(lease.Instance)},
	})
	if apierrors.IsAlreadyExists(err) { // made before a crash
		err = nil
	}
	if err != nil {
		name = ""
	}
	return name, err
}

func shortened(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// seconds converts a time to the API's form; nil: none.
func seconds(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	out := metav1.NewTime(t.Truncate(time.Second))
	return &out
}
