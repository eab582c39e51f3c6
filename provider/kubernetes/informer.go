package kubernetes

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// a connection that lives so long starts a watch, if there is none
	informerAfter = 10 * time.Second
	// so long the streams of an ended pod may still deliver its last output and end by themselves
	farewell = 2 * time.Second
	// so long a pod may exist after its time, as on a lost node, before its streams are given up
	overdue = 10 * time.Second
)

// passing says that a pod has ended, or is about to end.
type passing struct {
	why string
	in  time.Duration // until its streams should have ended
}

// informer waits for the end of one pod.
type informer struct {
	uid     string
	news    chan passing  // 1 slot, which has the latest
	stirred chan struct{} // 1 slot: the object of its name changed
}

// tell leaves news for the waiting goroutine.
func (v *informer) tell(news passing) {
	select {
	case <-v.news:
	default:
	}
	v.news <- news // cannot block: callers of tell hold the watch's mu
}

// passes reports whether a pod has ended or is about to, and when its streams should end.
func (p *record) passes() (passing, bool) {
	switch {
	case p.Status.Phase == "Failed" || p.Status.Phase == "Succeeded":
		return passing{words("the pod has ended", p.end()), farewell}, true
	case p.Metadata.DeletionTimestamp != nil:
		var grace int64
		if p.Metadata.Grace != nil {
			grace = *p.Metadata.Grace
		}
		return passing{words("the pod is being deleted", p.end()), time.Duration(grace)*time.Second + overdue}, true
	}
	return passing{}, false
}

// await starts to wait for the end of a pod, and over stops that. An earlier end is told too.
func (w *watch) await(name, uid string) (v *informer, over func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v = &informer{uid, make(chan passing, 1), make(chan struct{}, 1)}
	if w.informers == nil {
		w.informers = map[string][]*informer{}
	}
	w.informers[name] = append(w.informers[name], v)
	if r := w.all[name]; r != nil {
		w.toll(r, false)
	}
	return v, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.informers[name] = slices.DeleteFunc(w.informers[name], func(x *informer) bool { return x == v }); len(w.informers[name]) == 0 {
			delete(w.informers, name)
		}
	}
}

// toll tells what is known of a pod to all that wait for its end. The caller holds mu.
func (w *watch) toll(r *record, gone bool) {
	all := w.informers[r.Metadata.Name]
	if len(all) == 0 {
		return
	}
	news, ends := r.passes()
	if gone {
		news, ends = passing{words(podGone, cmp.Or(r.end(), w.deleted[r.Metadata.Name].why)), farewell}, true
	}
	for _, v := range all {
		select {
		case v.stirred <- struct{}{}:
		default:
		}
		if ends && v.uid == r.Metadata.UID {
			v.tell(news)
		}
	}
}

// awaitEnd watches over a connection until done. If its pod has ended and the streams have not, it
// calls end: on a lost node they hang for many minutes. why gets the reason of the pod's end.
func (e *entrance) awaitEnd(done <-chan struct{}, pod, uid string, why *atomic.Pointer[string], end context.CancelFunc) {
	v, over := e.p.podWatch().await(pod, uid)
	defer over()
	t := time.NewTimer(informerAfter)
	defer t.Stop()
	begin, ending, late := t.C, (<-chan time.Time)(nil), time.Time{}
	for {
		select {
		case <-done:
			return
		case <-begin:
			begin = nil
			e.p.podWatch().begin()
		case news := <-v.news:
			why.Store(&news.why)
			// a later note on a pod that is being deleted does not extend its time
			if at := time.Now().Add(news.in); late.IsZero() || at.Before(late) {
				ending, late = time.After(news.in), at
			}
		case <-ending:
			end()
			return
		}
	}
}
