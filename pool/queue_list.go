package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// unqueued is the kind of the event that a request was canceled.
const unqueued = "unqueued"

// Queue returns the waiting requests of all processes, by source and then in the order of their
// turns.
func (p *Pool) Queue(ctx context.Context) ([]compute.Queued, error) {
	p.core.learnThroughput(ctx)
	var out []compute.Queued
	err := p.core.store.View(ctx, func(tx store.Tx) error {
		out = nil
		all, err := allocate.Survey(p.records.view(tx), func(int64) (is, fresh bool) { return false, false })
		for _, f := range all {
			q := compute.Queued{Waiter: *f.Waiter, Position: f.Progress.Position, Estimate: f.Progress.Estimate}
			q.Reason = f.Progress.Reason
			out = append(out, q)
		}
		return err
	})
	slices.SortStableFunc(out, func(a, b compute.Queued) int { return cmp.Compare(a.Source, b.Source) })
	return out, err
}

// Cancel takes a request out of the queue, whichever process it waits in. The request fails with
// ErrConflict, and the error names the user. Cancel returns ErrNotFound or ErrDenied.
func (p *Pool) Cancel(ctx context.Context, who compute.Who, id int64) error {
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		n := slices.IndexFunc(ws, func(w *compute.Waiter) bool { return w.ID == id })
		if n < 0 {
			return &compute.Error{ID: compute.ID(strconv.FormatInt(id, 10)), Kind: compute.ErrNotFound,
				Err:  errors.New("no request of this number waits"),
				Hint: "`hostler status -v` lists those that do"}
		}
		w := ws[n]
		if !who.Admin && who.Owner != w.Owner {
			return &compute.Error{
				ID: compute.ID(strconv.FormatInt(id, 10)), Kind: compute.ErrDenied,
				Err: fmt.Errorf("it is the request of %s", w.Owner),
			}
		}
		if err := tx.Leave(id); err != nil {
			return err
		}
		_, err = tx.Append(&compute.Event{Time: time.Now(), Kind: unqueued, Source: w.Source, Owner: w.Owner, Project: w.Project,
			Text: fmt.Sprintf("the request for %d was taken out of the queue by %s", w.Count, cmp.Or(who.Owner, "an administrator")),
			Data: map[string]string{"request": strconv.FormatInt(id, 10)}})
		return err
	})
	if err == nil {
		p.core.wake()
	}
	return err
}

// backIn handles a request that is not in the queue any more. If it was canceled, that is its end.
// If this process was taken for dead, as its connection to the store was cut for a moment, it waits
// anew.
func (p *queue) backIn(ctx context.Context, s *Source, st *waiter, w *compute.Waiter) error {
	events, err := p.core.events(ctx, compute.EventQuery{Source: s.Name, Newest: 200})
	if err != nil {
		return err
	}
	for _, ev := range events {
		if ev.Kind == unqueued && ev.Data["request"] == strconv.FormatInt(w.ID, 10) {
			return &compute.Error{
				ID: compute.ID(s.Name), Kind: compute.ErrConflict, Err: errors.New(ev.Text),
				Hint: "ask again if you still want it",
			}
		}
	}
	p.core.inflight.leave(requestKey(w.ID))
	w.ID, w.Worker = 0, p.core.store.Worker()
	if err := p.core.join(ctx, w); err != nil {
		return err
	}
	p.rejoined(st, w.ID)
	return nil
}
