package kubernetes

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"
)

const (
	// a connection has to live so long before it costs a watch, where there is none
	informerAfter = 10 * time.Second
	// for the streams of a pod that has ended to end by themselves, with the last of what was
	// written
	farewell = 2 * time.Second
	// that a pod whose time is over may still be there, as on a node that is lost, until nobody
	// waits for its streams any more
	overdue = 10 * time.Second
)

// passing is that a pod has ended, or is to end.
type passing struct {
	why string
	in  time.Duration // until its streams should have ended
}

// informer waits for the end of one pod.
type informer struct {
	uid     string
	news    chan passing  // 1 slot, the last counts
	stirred chan struct{} // 1 slot: something was told of what has its name
}

// tell leaves news for who waits.
func (v *informer) tell(news passing) {
	select {
	case <-v.news:
	default:
	}
	v.news <- news // whoever tells holds the watch's mu
}

// passes says whether a pod has ended, or is to end.
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

// await begins to wait for the end of a pod; over ends that. What has happened already is told too.
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

// toll tells those who wait for the end of a pod what is known of it now. The caller holds mu.
func (w *watch) toll(r *record, gone bool) {
	all := w.informers[r.Metadata.Name]
	if len(all) == 0 {
		return
	}
	news, ends := r.passes()
	if gone {
		news, ends = passing{words(podGone, cmp.Or(r.end(), w.tombstones[r.Metadata.Name].why)), farewell}, true
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

// awaitEnd is with a connection until done, and calls end when its pod has ended and the streams
// have not: those of a node that is lost end only after many minutes. why keeps what the pod ended
// of.
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
			// who notes something on a pod that is being deleted puts nothing off
			if at := time.Now().Add(news.in); late.IsZero() || at.Before(late) {
				ending, late = time.After(news.in), at
			}
		case <-ending:
			end()
			return
		}
	}
}
