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
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/queue"
	"github.com/hostler-project/hostler/store"
)

// Queue returns the waiting requests of all processes, by source and then in the order of their
// turns.
func (p *Pool) Queue(ctx context.Context) ([]inventory.Queued, error) {
	p.core.LearnThroughput(ctx)
	var out []inventory.Queued
	err := p.core.Store.View(ctx, func(tx store.Tx) error {
		out = nil
		all, err := allocate.Survey(p.records.View(tx), func(int64) (is, fresh bool) { return false, false })
		for _, f := range all {
			q := inventory.Queued{Waiter: *f.Waiter, Position: f.Progress.Position, Estimate: f.Progress.Estimate}
			q.Reason = f.Progress.Reason
			out = append(out, q)
		}
		return err
	})
	slices.SortStableFunc(out, func(a, b inventory.Queued) int { return cmp.Compare(a.Source, b.Source) })
	return out, err
}

// Cancel takes a request out of the queue, whichever process it waits in. The request fails with
// ErrConflict, and the error names the user. Cancel returns ErrNotFound or ErrDenied.
func (p *Pool) Cancel(ctx context.Context, who compute.Who, id int64) error {
	err := p.core.Store.Update(ctx, func(tx store.Tx) error {
		ws, err := tx.Waiters()
		if err != nil {
			return err
		}
		n := slices.IndexFunc(ws, func(w *inventory.Waiter) bool { return w.ID == id })
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
		_, err = tx.Append(&compute.Event{Time: time.Now(), Kind: queue.Canceled, Source: w.Source, Owner: w.Owner, Project: w.Project,
			Text: fmt.Sprintf("the request for %d was taken out of the queue by %s", w.Count, cmp.Or(who.Owner, "an administrator")),
			Data: map[string]string{"request": strconv.FormatInt(id, 10)}})
		return err
	})
	if err == nil {
		p.core.Wake()
	}
	return err
}
