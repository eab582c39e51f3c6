package otlp

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/observe/trace"
)

// Options say where to and how. Only URL is required.
type Options struct {
	URL      string            // of the receiver's path for traces
	Headers  map[string]string // of each request; they may be secrets
	Timeout  time.Duration     // of one request; 0: 10 s
	Gzip     bool
	TLS      *tls.Config            // nil: the system's
	Resource map[string]string      // the sender: "service.name" and so on
	Version  string                 // of hostler
	Sample   func(id [16]byte) bool // of traces that begin here; nil: all
	Queue    int                    // spans that may wait to be sent; more are dropped; 0: 2048
	Batch    int                    // spans in a request; 0: 512
	Every    time.Duration          // between two requests without a full batch; 0: 5 s
	Patience time.Duration          // for a receiver that cannot take a batch now; 0: 30 s
	Log      *slog.Logger           // nil: none
	// before a try after the first, by its number; nil: growing, from a second
	Pause func(int) time.Duration
}

// Exporter sends spans. It starts nothing: Run sends in time, Flush now.
type Exporter struct {
	opt    Options
	from   []trace.Attr
	client *http.Client
	bell   chan struct{} // 1 slot: there is a batch

	sending sync.Mutex // one request at a time, so that they arrive in order

	mu      sync.Mutex
	queue   []trace.EndedSpan
	dropped int // since it was last said
}

// New makes an exporter.
func New(opt Options) *Exporter {
	opt.Timeout = cmp.Or(opt.Timeout, 10*time.Second)
	opt.Queue, opt.Batch = cmp.Or(opt.Queue, 2048), cmp.Or(opt.Batch, 512)
	opt.Every, opt.Patience = cmp.Or(opt.Every, 5*time.Second), cmp.Or(opt.Patience, 30*time.Second)
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Pause == nil {
		opt.Pause = func(try int) time.Duration {
			most := min(time.Second<<min(try, 5), 20*time.Second)
			return most/2 + rand.N(most/2)
		}
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = opt.TLS
	return &Exporter{opt: opt, from: attributes(opt.Resource), bell: make(chan struct{}, 1),
		client: &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Tracer makes the spans that the exporter sends.
func (e *Exporter) Tracer() *trace.Tracer { return &trace.Tracer{Send: e.Send, Sample: e.opt.Sample} }

// Send takes a span, and never blocks. Where too many wait the span is dropped: tracing must not
// fill the memory.
func (e *Exporter) Send(d trace.EndedSpan) {
	e.mu.Lock()
	if len(e.queue) >= e.opt.Queue {
		e.dropped++
		e.mu.Unlock()
		return
	}
	e.queue = append(e.queue, d)
	whole := len(e.queue) >= e.opt.Batch
	e.mu.Unlock()
	if whole {
		select {
		case e.bell <- struct{}{}:
		default:
		}
	}
}

// Run sends in time until ctx ends. Spans that are left then are for Flush.
func (e *Exporter) Run(ctx context.Context) {
	t := time.NewTicker(e.opt.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-e.bell:
		}
		if err := e.Flush(ctx); err != nil && ctx.Err() == nil {
			e.opt.Log.Warn("traces are not sent", "err", err)
		}
	}
}

// Flush sends all that waits now. Spans that a receiver does not take are dropped after some tries.
func (e *Exporter) Flush(ctx context.Context) error {
	e.sending.Lock()
	defer e.sending.Unlock()
	var errs []error
	for {
		e.mu.Lock()
		n := min(len(e.queue), e.opt.Batch)
		batch := e.queue[:n:n]
		if e.queue = e.queue[n:]; len(e.queue) == 0 {
			e.queue = nil
		}
		dropped := e.dropped
		e.dropped = 0
		e.mu.Unlock()
		if dropped > 0 {
			e.opt.Log.Warn("traces are dropped, as more came than the receiver took", "spans", dropped)
		}
		if n == 0 {
			return errors.Join(errs...)
		}
		if err := e.deliver(ctx, document(e.from, e.opt.Version, batch)); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil {
				return errors.Join(errs...)
			}
		}
	}
}

// deliver makes a request, again where the receiver says that this may help, until it is taken or
// patience ends.
func (e *Exporter) deliver(ctx context.Context, doc []byte) error {
	if e.opt.Gzip {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(doc) // to memory
		_ = w.Close()
		doc = b.Bytes()
	}
	limit := time.Now().Add(e.opt.Patience)
	for try := 0; ; try++ {
		after, again, err := e.post(ctx, doc)
		if err == nil || !again {
			return err
		}
		pause := max(after, e.opt.Pause(try))
		if time.Now().Add(pause).After(limit) {
			return err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// post makes one request. again: it may be taken another time, not before after.
func (e *Exporter) post(ctx context.Context, doc []byte) (after time.Duration, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opt.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.opt.URL, bytes.NewReader(doc))
	if err != nil {
		return 0, false, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "hostler/"+e.opt.Version)
	if e.opt.Gzip {
		r.Header.Set("Content-Encoding", "gzip")
	}
	for k, v := range e.opt.Headers {
		r.Header.Set(k, v)
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return 0, true, err
	}
	defer answer.Body.Close()
	// so that the connection is used again
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 == 2 {
		return 0, false, nil
	}
	if n, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && n > 0 {
		after = time.Duration(min(n, 3600)) * time.Second
	}
	switch answer.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		again = true
	}
	return after, again, fmt.Errorf("%s answers %s", r.URL.Redacted(), answer.Status)
}
