package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/podexec"
)

// why adds the reason that the cluster knows to the error of a lost connection.
func (c *conn) why(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, compute.ErrLost) {
		return err
	}
	if said := c.pipe.Said(); said != "" {
		err = errors.New(said)
	}
	return c.p.entrance.lostFor(ctx, c.id, c.on, c.in, err, &c.over, c.closed.Load())
}

const (
	// how long the cluster may take to learn what became of a pod: its streams end first, and then
	// its node reports
	tidings = 3 * time.Second
	// for the last call, if the watch has not told
	lastWord = 2 * time.Second
	inquiry  = 200 * time.Millisecond // between the first calls, where there is no watch
)

// lostFor returns the error of a lost connection to a pod, with the reason that the cluster knows.
// It waits a while for the watch to tell it, and calls the API server once. on is the pod when it
// was entered, and over is what its informer knows. ours says that we ended the connection, so
// there may be no reason. When ctx ends, it waits for nothing.
func (e *entrance) lostFor(
	ctx context.Context, id compute.ID, on sighted, inside podexec.Container, err error, over *atomic.Pointer[string], ours bool,
) error {
	lost := func(err error) error {
		return &compute.Error{Op: "kubernetes.Run", ID: id, Kind: compute.ErrLost, Err: err}
	}
	w := e.p.podWatch()
	was := w.get(inside.Pod) // before it is known to be gone
	v, leave := w.await(inside.Pod, on.uid)
	defer leave()
	waiting, cancel := context.WithTimeout(ctx, tidings)
	defer cancel()
	watched := w.trusted(waiting) == nil && w.works()
	for pause := inquiry; ; pause *= 2 {
		text, known := "", true
		if watched {
			text = e.fate(w.get(inside.Pod), on, inside, was)
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

// podGone is the reason when nothing else is known of a pod's end.
const podGone = "the pod is gone"

// toldOf returns what is known of a pod's end. Its informer may know more: a pod that we deleted
// afterwards leaves no reason.
func toldOf(told *string, text string, known bool) (string, bool) {
	if told != nil && (text == "" || text == podGone || !known) {
		return *told, true
	}
	return text, known
}

// fell asks what became of a pod. "": it is well. known: the pod or its container has ended.
func (e *entrance) fell(ctx context.Context, id compute.ID, on sighted, inside podexec.Container, was *record) (text string, known bool) {
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

// fate says what became of a pod that was entered, from what it is now; nil: it is gone. was is
// what it was before, if that is known. The result is "" if it is well.
func (e *entrance) fate(in *record, on sighted, inside podexec.Container, was *record) string {
	if in == nil || in.Metadata.UID != on.uid {
		why := e.p.podWatch().deletionReason(inside.Pod)
		if was != nil && was.Metadata.UID == on.uid {
			why = cmp.Or(was.end(), why)
		}
		return words(podGone, why)
	}
	if in.Metadata.DeletionTimestamp != nil && in.end() == "" && e.p.podWatch().ourDeletion(in.Metadata.UID) == (deletion{}) {
		return "the pod is being deleted, by somebody else"
	}
	if _, fate := in.fate(inside.Name, e.p.o.Schedule, time.Now()); fate != nil {
		return fate.(*compute.Error).Err.Error()
	}
	if e.p.objects.sight(in) != on {
		return words("the container was started again", terminated(in.container(inside.Name), true))
	}
	return ""
}
