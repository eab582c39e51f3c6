package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// mourned is how long it is told what became of an object that is gone.
const mourned = 2 * time.Minute

// grave is what is remembered of an object that is gone, and was not deleted by us.
type grave struct {
	uid string
	why string
	at  time.Time
}

// mourn remembers why an object is gone. The caller holds mu.
func (w *watch) mourn(r *record) {
	if w.ours[r.Metadata.UID] {
		delete(w.ours, r.Metadata.UID)
		return
	}
	now := time.Now()
	for of, g := range w.graves {
		if now.Sub(g.at) > mourned {
			delete(w.graves, of)
		}
	}
	w.graves[instance{r.source(), r.id()}] = grave{r.Metadata.UID, cmp.Or(r.end(), "it was deleted, by somebody else"), now}
}

// deleting notes that it is we who delete an object.
func (w *watch) deleting(uid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ours[uid] = true
}

// epitaph says why an instance's object is gone; "": nothing is known of that.
func (w *watch) epitaph(source string, id compute.ID) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.graves[instance{source, id}].why
}

// ends adds what objects of a source have ended, or are being deleted by others, and why.
func (w *watch) ends(ctx context.Context, source string, out map[compute.ID]string) error {
	if err := w.trusted(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for of, g := range w.graves {
		if of.source == source && time.Since(g.at) <= mourned {
			out[of.id] = g.why
		}
	}
	for _, r := range w.all {
		switch {
		case r.source() != source:
		case r.Metadata.DeletionTimestamp != nil && !w.ours[r.Metadata.UID]:
			out[r.id()] = cmp.Or(r.end(), "it is being deleted, by somebody else")
		case r.Status.Phase == "Failed", r.Status.Phase == "Succeeded":
			out[r.id()] = cmp.Or(r.end(), "it has ended")
		}
	}
	return nil
}

// Oversee tells which pods have ended: evicted, preempted, drained, out of memory, deleted by somebody, with their nodes. It is answered from what the watch has told.
func (p *Provider) Oversee(ctx context.Context) (map[compute.ID]string, error) {
	out := map[compute.ID]string{}
	_, err := p.c.ask()
	if err == nil {
		err = p.watch().ends(ctx, p.o.Source, out)
	}
	if err == nil && p.gvr != pods {
		err = p.podWatch().ends(ctx, p.o.Source, out)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = &compute.Error{Kind: compute.ErrUnavailable, Err: errors.New("the API server does not answer")}
	}
	if err != nil {
		return nil, p.fault("Oversee", compute.ID(p.o.Source), err)
	}
	return out, nil
}
