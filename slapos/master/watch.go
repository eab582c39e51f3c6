package master

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// lookEvery is how often the store is looked at for changes that others have made, while somebody
// waits for one.
const lookEvery = time.Second

// Await returns when what is wanted on a computer has changed after a revision, with the revision
// to wait for the next change with: when ctx ends before that, its error. It may return though
// nothing has changed, after a start; a revision that this master's store does not have yet is
// answered at once.
func (m *Master) Await(ctx context.Context, who Who, guid string, after int64) (revision int64, err error) {
	for first := true; ; first = false {
		if err := m.fresh(ctx); err != nil {
			return 0, err
		}
		revision, next, err := m.changed(who, guid, after)
		// of a computer that nobody knows nothing is kept
		if err == nil && first && who.speaks(guid) == nil {
			m.met(ctx, guid)
		}
		if err != nil || revision != 0 {
			return revision, err
		}
		if err := m.look(ctx, next); err != nil {
			return 0, err
		}
	}
}

// changed is the revision that there is now, where a computer has changed after one, and else 0 and
// what is closed at its next change.
func (m *Master) changed(who Who, guid string, after int64) (int64, <-chan struct{}, error) {
	m.known.mu.Lock()
	defer m.known.mu.Unlock()
	mem := m.known.memory
	of := mem.computers[guid]
	if of == nil {
		if guid != m.opt.Computer || guid == "" {
			return 0, nil, firstOf(who.speaks(guid), unknownComputer(guid))
		}
		of = mem.nobody()
	}
	if err := who.owns(guid, of.record); err != nil {
		return 0, nil, err
	}
	if of.changed > after || after > mem.revision {
		return max(mem.revision, 1), nil, nil
	}
	next := m.known.next[guid]
	if next == nil {
		next = make(chan struct{})
		m.known.next[guid] = next
	}
	return 0, next, nil
}

// look waits until there may be a change. One of those that wait looks at the store from time to
// time, for all.
func (m *Master) look(ctx context.Context, next <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
		return nil
	case m.watch <- struct{}{}:
	}
	defer func() { <-m.watch }()
	soon := time.NewTimer(lookEvery)
	defer soon.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-next:
	case <-soon.C:
	}
	return nil
}

const (
	watchPath = "/hostler.watch.v0.compute_node"
	watchFor  = 60 * time.Second
)

// Watch is the handler of GET /hostler.watch.v0.compute_node?computer_guid=…&after=REVISION, which
// answers {"computer_guid", "revision"} when what is wanted on the computer is beyond that
// revision, and 204 when it is not so for a minute. The node gives the revision with its next
// question; 0, or none, is answered at once.
func (m *Master) Watch(opt LegacyOptions) http.Handler {
	l := &legacy{master: m, opt: opt.whole()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			answerError(w, http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
			return
		}
		guid, after, who, err := l.watched(r)
		if err != nil {
			fail(m.log, w, r, err)
			return
		}
		// Servers that end slow answers are to let this one be; those that cannot be told have no
		// such end.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(watchFor + 30*time.Second))
		ctx, cancel := context.WithTimeout(r.Context(), watchFor)
		defer cancel()
		go func() { // which ends with the request
			select {
			case <-l.opt.Ending:
				cancel()
			case <-ctx.Done():
			}
		}()
		revision, err := m.Await(ctx, who, guid, after)
		switch {
		case err == nil:
			_ = answerJSON(w, http.StatusOK, struct {
				Computer string `json:"computer_guid"`
				Revision int64  `json:"revision"`
			}{guid, revision})
		case ctx.Err() != nil && errors.Is(err, ctx.Err()) && r.Context().Err() == nil:
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusNoContent)
		default:
			fail(m.log, w, r, err)
		}
	})
}

func (l *legacy) watched(r *http.Request) (guid string, after int64, who Who, err error) {
	if who, err = l.opt.Who(r); err != nil {
		return "", 0, who, err
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return "", 0, who, invalid("the query cannot be read: %v", err)
	}
	if guid = query.Get("computer_guid"); guid == "" {
		return "", 0, who, invalid("computer_guid: this parameter is missing")
	}
	if text := query.Get("after"); text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return "", 0, who, invalid("after: %.40q is no revision", text)
		}
	}
	return guid, after, who, nil
}
