package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/observe/trace"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/lifecycle"
)

// Acquire gives leases on req.Count instances of a source, or none. Where enough are ready it costs
// one durable transaction.
func (p *Pool) Acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	ctx, span := trace.Start(
		ctx, "acquire", trace.Attr{Key: "hostler.source", Value: req.Source},
		trace.Attr{Key: "hostler.count", Value: req.Count},
	)
	if p.core.Opt.Observe == nil && span == nil {
		return p.acquireAndNote(ctx, req)
	}
	w := &acquireObserver{ctx: ctx, begin: time.Now(), notify: req.Notify}
	req.Notify = w.progress
	leases, err := p.acquireAndNote(ctx, req)
	hit := w.end()
	span.Set(trace.Attr{Key: "hostler.hit", Value: err == nil && hit})
	if len(leases) > 0 {
		span.Set(trace.Attr{Key: "hostler.instance", Value: string(leases[0].Instance)})
	}
	span.End(err)
	if p.core.Opt.Observe != nil {
		source := req.Source
		if _, ok := p.core.Sources[source]; !ok {
			source = "" // the caller may have made the name up
		}
		p.core.Opt.Observe(Sample{
			What: "acquire", Source: source, Class: lifecycle.ClassOf(err), Took: time.Since(w.begin), Waited: w.waited,
			Hit: err == nil && hit, Count: len(leases),
		})
	}
	return leases, err
}

// acquire is Acquire without metrics.
func (p *Pool) acquire(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
	start := time.Now()
	s, err := p.core.Find(req.Source)
	if err != nil {
		return nil, err
	}
	if err := p.records.Check(s, &req); err != nil {
		return nil, err
	}
	if _, err := p.records.BarredSources(s, req); err != nil {
		return nil, err
	}
	if err := p.templates.Prepare(ctx, s); err != nil {
		return nil, err
	}
	if req.Count == 0 {
		return nil, nil
	}
	if err := p.records.CheckChoice(ctx, s, &req); err != nil {
		return nil, err
	}
	if err := p.records.CheckPrice(ctx, s, req); err != nil {
		return nil, err
	}
	if err := p.records.Fits(s, req); err != nil {
		return nil, err
	}
	if err := p.background.CatchUp(ctx, s); err != nil {
		return nil, err
	}
	leases, err := p.handouts.TryAcquire(ctx, s, req, nil, 0)
	var short *allocate.ShortError
	if !errors.As(err, &short) {
		return leases, err
	}
	return p.queue.Enqueue(ctx, s, req, short, start)
}
