package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// why adds to a lost contact what the cluster knows of its reason.
func (c *conn) why(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, compute.ErrLost) {
		return err
	}
	if said := c.pipe.said(); said != "" {
		err = errors.New(said)
	}
	return c.p.entrance.lostFor(ctx, c.id, c.on, c.in, err, &c.over, c.closed.Load())
}

const (
	// how long the cluster may take to learn what has become of a pod: its streams end first, and
	// then its node tells
	tidings = 3 * time.Second
	// for the API server to say, in the end, what the watch has not told
	lastWord = 2 * time.Second
	inquiry  = 200 * time.Millisecond // between two questions at first, where there is no watch
)

// lostFor is the error of contact that was lost to a pod, with what the cluster knows of its
// reason: the watch tells that when it happens, so it is waited for a while, and the API server is
// asked but once. on is the pod as it was entered; over, what its informer knows. ours: we
// ended the connection, so there may be no reason to wait for. When ctx ends nothing is waited for.
func (e *entrance) lostFor(
	ctx context.Context, id compute.ID, on sighted, inside inside, err error, over *atomic.Pointer[string], ours bool,
) error {
	lost := func(err error) error {
		return &compute.Error{Op: "kubernetes.Run", ID: id, Kind: compute.ErrLost, Err: err}
	}
	w := e.p.podWatch()
	was := w.get(inside.pod) // before it is known to be gone
	v, leave := w.await(inside.pod, on.uid)
	defer leave()
	waiting, cancel := context.WithTimeout(ctx, tidings)
	defer cancel()
	watched := w.trusted(waiting) == nil && w.works()
	for pause := inquiry; ; pause *= 2 {
		text, known := "", true
		if watched {
			text = e.fate(w.get(inside.pod), on, inside, was)
		} else {
			text, known = e.fell(waiting, id, on, inside, was)
		}
		text, known = toldOf(over.Load(), text, known)
		switch {
		case text != "" && known:
			return lost(compute.Ended(errors.New(text)))
		case text != "":
			return lost(fmt.Errorf("%s (%w)", text, err))
		case ours:
			return lost(err)
		}
		var again <-chan time.Time
		if !watched {
			again = time.After(pause)
		}
		select {
		case <-v.stirred:
			continue
		case <-again:
			continue
		case <-waiting.Done():
		}
		break
	}
	if ctx.Err() != nil || !watched {
		return lost(err)
	}
	asking, cancel := context.WithTimeout(ctx, lastWord)
	defer cancel()
	switch text, known := e.fell(asking, id, on, inside, was); {
	case text != "" && known:
		return lost(compute.Ended(errors.New(text)))
	case text != "":
		return lost(fmt.Errorf("%s (%w)", text, err))
	}
	return lost(err)
}

// podGone is what is said of a pod that is no more.
const podGone = "the pod is gone"

// toldOf is what is known of a pod's end, where its informer may know more: an object that
// we deleted afterwards leaves no reason behind.
func toldOf(told *string, text string, known bool) (string, bool) {
	if told != nil && (text == "" || text == podGone || !known) {
		return *told, true
	}
	return text, known
}

// fell asks what has become of a pod; "": it is well. known: it has ended, or what ran in it has.
func (e *entrance) fell(ctx context.Context, id compute.ID, on sighted, inside inside, was *record) (text string, known bool) {
	in, err := e.p.objects.read(ctx, id)
	if err == nil {
		in, err = e.p.objects.podOf(ctx, in)
	}
	switch {
	case errors.Is(err, errNone), errors.Is(err, compute.ErrNotReady):
		in = nil
	case err != nil:
		return "the cluster does not answer", false
	}
	return e.fate(in, on, inside, was), true
}

// fate says what has become of a pod that was entered, by what it is now; nil: it is gone. was is
// what it was before, where that is known. "": it is well.
func (e *entrance) fate(in *record, on sighted, inside inside, was *record) string {
	if in == nil || in.Metadata.UID != on.uid {
		why := e.p.podWatch().epitaph(inside.pod)
		if was != nil && was.Metadata.UID == on.uid {
			why = cmp.Or(was.end(), why)
		}
		return words(podGone, why)
	}
	if in.Metadata.DeletionTimestamp != nil && in.end() == "" && e.p.podWatch().ourDeletion(in.Metadata.UID) == (deletion{}) {
		return "the pod is being deleted, by somebody else"
	}
	if _, fate := in.fate(inside.name, e.p.o.Schedule, time.Now()); fate != nil {
		return fate.(*compute.Error).Err.Error()
	}
	if e.p.objects.sight(in) != on {
		return words("the container was started again", terminated(in.container(inside.name), true))
	}
	return ""
}
