package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
)

// deletedTTL is how long the end of a deleted object is remembered.
const deletedTTL = 2 * time.Minute

// deletes is how long our own deletion of an object is remembered. An object that its node or
// finalizers hold is deleted again and again.
const deletes = time.Hour

// deletedPod is what is remembered of an object that is gone and that we did not delete.
type deletedPod struct {
	of  *record
	why string
	at  time.Time
}

// rememberDeleted remembers why an object is gone. The caller holds mu.
func (w *watch) rememberDeleted(r *record) {
	defer w.toll(r, true) // after the tombstone is made
	// our note stays, as the watch may report the end later than a call
	if _, ours := w.ours[r.Metadata.UID]; ours {
		return
	}
	now := time.Now()
	for name, g := range w.deleted {
		if now.Sub(g.at) > deletedTTL {
			delete(w.deleted, name)
		}
	}
	why := r.end()
	if first := w.deleted[r.Metadata.Name]; why == "" && first.of != nil && first.of.id() == r.id() {
		// agent-sandbox replaces a pod that was evicted under the same name. The reason of the
		// eviction is the reason of the instance's end.
		return
	}
	w.news = true
	w.deleted[r.Metadata.Name] = deletedPod{r, cmp.Or(why, "it was deleted, by somebody else"), now}
}

// learn takes the reason of an object's end from the watch, if a call had found it gone before. The
// caller holds mu.
func (w *watch) learn(r *record) {
	if g := w.deleted[r.Metadata.Name]; g.of != nil && g.of.Metadata.UID == r.Metadata.UID && r.end() != "" && g.why != r.end() {
		g.of, g.why, w.news = r, r.end(), true
		w.deleted[r.Metadata.Name] = g
		w.toll(r, true)
	}
}

// deletion says that we delete an object.
type deletion struct {
	at    time.Time // of our last request
	taken bool      // the API server has accepted it
}

// deleting notes that we delete an object. It is called before the API server is asked, and again
// when that has accepted.
func (w *watch) deleting(uid string, taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if now.Sub(w.swept) > deletedTTL {
		w.swept = now
		maps.DeleteFunc(w.ours, func(_ string, d deletion) bool { return now.Sub(d.at) > deletes })
	}
	w.ours[uid] = deletion{now, taken}
}

// ourDeletion returns our deletion of an object. The zero value: we do not delete it.
func (w *watch) ourDeletion(uid string) deletion {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ours[uid]
}

// deletionReason says why the object with a name is gone. "": nothing is known.
func (w *watch) deletionReason(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deleted[name].why
}

// ends adds to out which of the meant objects have ended, or are being deleted by others, and the
// reasons.
func (w *watch) ends(ctx context.Context, meant func(*record) bool, out map[compute.ID]string) error {
	if err := w.trusted(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.deleted {
		if meant(g.of) && time.Since(g.at) <= deletedTTL {
			out[g.of.id()] = g.why
		}
	}
	for _, r := range w.all {
		going, ended := r.Metadata.DeletionTimestamp != nil &&
			w.ours[r.Metadata.UID].at.IsZero(), r.Status.Phase == "Failed" || r.Status.Phase == "Succeeded"
		switch {
		case !going && !ended || !meant(r):
		case going:
			out[r.id()] = cmp.Or(r.end(), "it is being deleted, by somebody else")
		default:
			out[r.id()] = cmp.Or(r.end(), "it has ended")
		}
	}
	return nil
}

// answers checks that the API server answers, if the last call or the watch had no answer. The
// watch's last state stays valid for a while, but without the API server nothing can be used or
// made. If the last call had an answer, it calls nothing.
func (s *objects) answers(ctx context.Context) error {
	if !s.p.c.unheard.Load() {
		return nil
	}
	err := s.p.c.call(ctx, func(ctx context.Context, d dynamic.Interface) error {
		_, err := d.Resource(s.p.gvr).Namespace(s.p.c.namespace).List(
			ctx, metav1.ListOptions{LabelSelector: labelInstallation + "=" + s.p.o.Installation, Limit: 1},
		)
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) || err == nil {
		return err
	}
	if _, kind := kindOf(err); kind != compute.ErrUnavailable { // a refusal is an answer
		return nil
	}
	return err
}

// NotifyHealth makes f be called when WatchHealth may have news.
func (p *Provider) NotifyHealth(f func()) {
	end := p.c.heed(f)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		end()
	}
	p.heeds = append(p.heeds, end)
}

// WatchHealth tells which pods have ended, and why: evicted, preempted, drained, out of memory,
// deleted by somebody, or lost with their nodes. It answers from the watch.
func (p *Provider) WatchHealth(ctx context.Context) (map[compute.ID]string, error) {
	return p.oversee(ctx, time.Now())
}

func (p *Provider) oversee(ctx context.Context, now time.Time) (map[compute.ID]string, error) {
	out := map[compute.ID]string{}
	_, err := p.c.ask()
	if err == nil {
		err = p.objects.answers(ctx)
	}
	if err == nil {
		err = p.watch().ends(ctx, p.objects.owned, out)
	}
	if err == nil && p.gvr != pods {
		err = p.podWatch().ends(ctx, p.objects.made, out)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("the API server does not answer")}
	}
	if err != nil {
		return nil, p.fault("Oversee", compute.ID(p.o.Source), err)
	}
	if err := p.policies.patrol(ctx, now); err != nil && ctx.Err() == nil {
		p.log.Warn("the source's network policy is not seen to", "source", p.o.Source, "error", err)
	}
	return out, nil
}
