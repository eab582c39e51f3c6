package cache

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	mostFlights = 64 // contents that are fetched at a time

	// The point from which callers get the first bytes of a content that is still being fetched. An
	// error before it has a status that says so; after it the connection breaks.
	streamFrom = 4 << 20 // bytes
	// the same, by time, if any bytes have come; a caller waits a minute for the first
	streamAfter = 10 * time.Second
)

// sharedFetch is one fetch of a content from the other cache. It is the cache's own: it has as many
// readers as ask for the content meanwhile, and goes on without any.
type sharedFetch struct {
	mu    sync.Mutex
	path  string        // of what is here of it, while it is no content yet; "": nothing
	bytes int64         // that are in the file
	over  bool          // the content is here, unless err says that it will not be
	err   error         // why it is not
	next  chan struct{} // closed at the next change
}

// change changes a flight, and wakes all waiting callers.
func (f *sharedFetch) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.next)
	f.next = make(chan struct{})
}

// wait returns when there is more than so much, the flight is over, or a channel has something.
func (f *sharedFetch) wait(have int64, until <-chan time.Time, given <-chan struct{}) (bytes int64, over bool, err error) {
	for {
		f.mu.Lock()
		bytes, over, err = f.bytes, f.over, f.err
		next := f.next
		f.mu.Unlock()
		if over || bytes > have {
			return bytes, over, err
		}
		select {
		case <-next:
		case <-until:
			return bytes, over, err
		case <-given:
			return bytes, over, err
		}
	}
}

// fetchWriter writes to the file of a sharedFetch.
type fetchWriter struct {
	f  *sharedFetch
	to io.Writer
}

func (t fetchWriter) Write(b []byte) (int, error) {
	n, err := t.to.Write(b)
	t.f.change(func() { t.f.bytes += int64(n) })
	return n, err
}

var errManyFlights = errors.New("too many contents are being fetched")

// fetchOf returns the fetch of a content. It begins one if there is none.
func (d *cacheServer) fetchOf(digest string) (*sharedFetch, error) {
	d.flying.Lock()
	defer d.flying.Unlock()
	if f := d.fetches[digest]; f != nil {
		return f, nil
	}
	if err := d.ctx.Err(); err != nil {
		return nil, err
	}
	if len(d.fetches) >= mostFlights {
		return nil, errManyFlights
	}
	f := &sharedFetch{next: make(chan struct{})}
	d.fetches[digest] = f
	d.all.Go(func() {
		err := d.fetch(d.ctx, digest, f)
		d.flying.Lock()
		delete(d.fetches, digest) // later callers find the content, or fetch anew
		d.flying.Unlock()
		f.change(func() { f.over, f.err = true, err })
	})
	return f, nil
}

// fetch fetches a content to the disk.
func (d *cacheServer) fetch(ctx context.Context, digest string, f *sharedFetch) error {
	path := filepath.Join(d.Content, digest)
	// the flight before us ended between a look and the other
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return d.writeFile(path, func(to io.Writer) error {
		if file, ok := to.(*os.File); ok {
			f.change(func() { f.path = file.Name() })
		}
		if err := d.UpstreamContent.Get(ctx, digest, fetchWriter{f, to}, d.Most); err != nil {
			return err
		}
		return d.makeRoom(f.bytes)
	})
}

// serveWhileFetching answers with a content of the other cache while it comes. If the fetch ends
// or fails before the first byte of an answer, answered is false: the caller then answers, from
// the file or by the error.
func (d *cacheServer) serveWhileFetching(w http.ResponseWriter, r *http.Request, digest string) (answered bool, err error) {
	f, err := d.fetchOf(digest)
	if err != nil {
		return false, err
	}
	given := r.Context().Done()
	timer := time.NewTimer(streamAfter)
	defer timer.Stop()
	_, over, err := f.wait(streamFrom-1, timer.C, given)
	if !over { // slowly
		_, over, err = f.wait(0, nil, given)
	}
	if over {
		return false, err
	}
	if r.Context().Err() != nil {
		return false, r.Context().Err()
	}
	f.mu.Lock()
	path := f.path
	f.mu.Unlock()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) { // it has another name by now, or none
		_, _, err = f.wait(d.Most, nil, given)
		return false, errors.Join(err, r.Context().Err())
	} else if err != nil {
		return false, err
	}
	defer file.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+digest+`"`)
	if r.Method == http.MethodHead {
		return true, nil
	}
	flush := http.NewResponseController(w)
	for sent := int64(0); ; {
		bytes, over, err := f.wait(sent, nil, given)
		if err == nil {
			err = r.Context().Err()
		}
		if err == nil && bytes > sent {
			_, err = io.CopyN(w, file, bytes-sent)
			sent = bytes
		} else if err == nil && over {
			return true, nil
		}
		if err == nil {
			err = flush.Flush()
		}
		if err != nil {
			panic(http.ErrAbortHandler) // so that no client takes it for the whole
		}
	}
}
