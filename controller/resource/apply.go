package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// Applier applies sets, as `hostler apply` does; client.Applied is one.
type Applier interface {
	List(ctx context.Context, labels map[string]string) (api.AppliedSet, error)
	Apply(ctx context.Context, set api.ApplySet) (api.ApplyAnswer, error)
}

const (
	ready = "Ready" // the condition of objects that are in force
	// label of applied things: their namespace. With labelWhere, so that clusters do not prune each
	// other's
	labelSet  = "kubernetes"
	settle    = 250 * time.Millisecond // objects often come together
	countTime = 5 * time.Second        // how often the numbers of sources are written
	driftTime = 30 * time.Second       // how often the applied things are compared
)

// applySet is everything that a namespace has applied.
type applySet struct {
	r         *Reconciler
	namespace string
	kinds     []*watch[ThingSpec, ThingStatus] // one for each of applied, in its order
	bell      chan struct{}
	woken     atomic.Bool // the configuration has changed, so a failed apply may succeed

	tried  string // the objects at the last apply
	failed error  // the error of the last apply
	pause  time.Duration
	// when to apply again after a failure, or else to compare
	next    time.Time
	applied string // the applied things after it
}

func newApplySet(r *Reconciler, namespace string) *applySet {
	s := &applySet{r: r, namespace: namespace, bell: make(chan struct{}, 1)}
	for _, k := range applied {
		s.kinds = append(s.kinds, newWatch(r, k+"s", namespace, func(*Thing) { s.ring() }))
	}
	return s
}

// run applies the objects of a namespace whenever they change, until ctx ends.
func (s *applySet) run(ctx context.Context) {
	for _, w := range s.kinds {
		s.r.all.Go(func() { w.run(ctx) })
	}
	for _, w := range s.kinds { // unknown objects must not be pruned
		if !w.known(ctx) {
			return
		}
	}
	for ctx.Err() == nil {
		s.applyIfDue(ctx)
		if err := s.writeStatus(ctx); err != nil && ctx.Err() == nil {
			s.r.log.Warn("the status of custom resources", "namespace", s.namespace, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-s.bell:
			pause(ctx, settle)
		case <-time.After(countTime):
		}
	}
}

// ring makes it look again; it does not wait.
func (s *applySet) ring() {
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

// applyIfDue applies the objects if they have changed, if the last attempt failed a while ago,
// or if the applied things were changed by others.
func (s *applySet) applyIfDue(ctx context.Context) {
	now := ""
	for i, w := range s.kinds {
		for _, o := range alive(w) {
			now += fmt.Sprintln(i, o.Name, o.UID, o.Generation)
		}
	}
	if woken := s.woken.Swap(false); now == s.tried && !woken && time.Now().Before(s.next) {
		return
	}
	same := now == s.tried && s.failed == nil
	err := s.apply(ctx, same)
	if ctx.Err() != nil {
		return
	}
	if err != nil && (s.failed == nil || s.failed.Error() != err.Error()) {
		s.r.log.Warn("what the objects of a namespace say is not applied", "namespace", s.namespace, "err", err)
	}
	if s.pause = min(max(time.Second, 2*s.pause), longest); now != s.tried {
		s.pause = time.Second
	}
	if s.tried, s.failed, s.next = now, err, time.Now().Add(s.pause); err == nil {
		s.pause, s.next = 0, time.Now().Add(driftTime)
	}
}

// apply applies all objects; with same only if the applied things have changed.
func (s *applySet) apply(ctx context.Context, same bool) error {
	want := api.ApplySet{
		Labels: map[string]string{labelSet: s.namespace, labelWhere: s.r.cluster.server()}, Things: []api.WantedThing{},
		Prune: true,
	}
	for i, w := range s.kinds {
		for _, o := range alive(w) {
			files, err := filesOf(applied[i], o.Spec)
			if err != nil {
				return &compute.Error{ID: compute.ID(applied[i] + " " + o.Name), Kind: compute.ErrInvalid, Err: err}
			}
			want.Things = append(want.Things, api.WantedThing{Kind: applied[i], Name: o.Name, Files: files})
		}
	}
	to, conn, err := s.r.opt.Applier(s.namespace, "the objects of the namespace "+s.namespace)
	if err != nil {
		return err
	}
	defer conn.Close()
	there := func() (out string, err error) {
		all, err := to.List(ctx, want.Labels)
		for _, t := range all.Things {
			out += fmt.Sprintln(t.Kind, t.Name, t.Digest, t.Revision)
		}
		return out, err
	}
	if same {
		if now, err := there(); err != nil || now == s.applied {
			return err
		}
	}
	s.r.opt.Step("set:apply")
	if _, err = to.Apply(ctx, want); err == nil {
		s.r.opt.Step("set:applied")
		s.applied, err = there()
	}
	return err
}

// writeStatus writes the status of each object: whether it is in force, and the numbers of
// sources.
func (s *applySet) writeStatus(ctx context.Context) error {
	all, err := s.r.opt.Reader().Status(ctx)
	if err != nil {
		return err
	}
	numbers := map[string]inventory.SourceStatus{}
	for _, n := range all {
		numbers[n.Name] = n
	}
	for i, w := range s.kinds {
		for _, o := range alive(w) {
			status := ThingStatus{Conditions: o.Status.Conditions}
			before := meta.FindStatusCondition(o.Status.Conditions, ready)
			// otherwise an earlier apply put it in force
			refused := s.failed != nil &&
				(before == nil || before.Status != metav1.ConditionTrue || before.ObservedGeneration != o.Generation)
			now, known := numbers[o.Name]
			// then the numbers are of another definition
			known = known && applied[i] == "source" && !now.Orphaned && !refused
			if known {
				status.Cached, status.InUse, status.Max, status.Waiting = new(now.Counts.Cached()), new(now.Counts.InUse()), new(now.Maximum), new(now.Waiting)
			}
			set := func(is metav1.ConditionStatus, reason, text string) {
				setCondition(&status.Conditions, o.Generation, ready, is, reason, text)
			}
			switch {
			case refused:
				reason, text := failureReason(s.failed)
				set(metav1.ConditionFalse, reason, userError(text, s.hasFile))
			case s.failed != nil:
			case known && now.Broken != nil:
				_, text := failureReason(now.Broken)
				set(metav1.ConditionFalse, "Broken", userError(text, s.hasFile))
			default:
				set(metav1.ConditionTrue, "Applied", "")
			}
			if same(o.Status, status) {
				continue
			}
			if !s.r.writeLimit.Allow() {
				return nil // the next round writes it
			}
			// the object may have changed
			if err := w.write(ctx, o, status); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
				return err
			}
		}
	}
	return nil
}

// alive returns the objects that are not being deleted, by name.
func alive(w *watch[ThingSpec, ThingStatus]) []*Thing {
	all := slices.DeleteFunc(w.list(), func(o *Thing) bool { return o.DeletionTimestamp != nil })
	slices.SortFunc(all, func(a, b *Thing) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// filesOf returns the files of a thing: KIND.conf made from its keys and sections, and its other
// files.
func filesOf(kind string, spec ThingSpec) (out []api.ThingFile, err error) {
	out = slices.Clone(spec.Files)
	if spec.Conf == nil && slices.ContainsFunc(out, func(f api.ThingFile) bool { return f.Path == kind+".conf" }) {
		return out, nil
	}
	top, sections := "", ""
	for _, key := range slices.Sorted(maps.Keys(spec.Conf)) {
		below, ok := spec.Conf[key].(map[string]any)
		if !ok {
			line, e := lineOf(key, spec.Conf[key])
			top, err = top+line, errors.Join(err, e)
			continue
		}
		if strings.ContainsAny(key, "\r\n") {
			err = errors.Join(err, fmt.Errorf("spec.conf: %q cannot be a section", key))
		}
		sections += "\n[" + key + "]\n"
		for _, k := range slices.Sorted(maps.Keys(below)) {
			line, e := lineOf(k, below[k])
			sections, err = sections+line, errors.Join(err, e)
		}
	}
	return append(out, api.ThingFile{Path: kind + ".conf", Text: top + sections}), err
}

// lineOf formats a key for a file. A text of several lines continues in indented lines.
func lineOf(key string, value any) (string, error) {
	if key == "" || strings.ContainsAny(key, "=:\r\n") || strings.ContainsAny(key[:1], "[#; \t") {
		return "", fmt.Errorf("spec.conf: %q cannot be a key", key)
	}
	text, ok := textOf(value)
	if list, is := value.([]any); is {
		var words []string
		for _, v := range list {
			word, plain := textOf(v)
			ok, words = plain && (ok || len(words) == 0), append(words, word)
		}
		text, ok = strings.Join(words, ", "), ok || len(list) == 0
	}
	if !ok {
		return "", fmt.Errorf("spec.conf: %s: is neither a plain value nor a list of them", key)
	}
	return key + " = " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n", nil
}

// textOf formats a plain value for a file. kubectl has turned yes into true and no into false.
func textOf(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case bool:
		if v {
			return "yes", true
		}
		return "no", true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
