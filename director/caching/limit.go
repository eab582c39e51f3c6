package caching

import (
	"cmp"
	"context"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Limiter lets at most N directives of a kind through in each period. What it does not let through
// is dropped and not queued: the next round decides anew. Its period and what was let through in it
// may be kept as JSON. It is not safe for use by several goroutines at once.
type Limiter struct {
	Start time.Time `json:"start"` // of the period
	Count int       `json:"count"` // so many were let through in it

	n      int
	period time.Duration
}

// newLimiter makes one whose first period begins now. n = 0 limits nothing.
func newLimiter(n int, period time.Duration, now time.Time) *Limiter {
	return &Limiter{n: n, period: period, Start: now}
}

// Grant says how many of those offered may go, and counts them. A new period begins, now, when the
// last one is over, or when the clock was put back before its beginning.
func (l *Limiter) Grant(offered int, now time.Time) int {
	if l.n <= 0 {
		return offered
	}
	if now.Before(l.Start) || now.Sub(l.Start) >= l.period {
		l.Start, l.Count = now, 0
	}
	granted := max(0, min(offered, l.n-l.Count))
	l.Count += granted
	return granted
}

// limits are those of a loop.
type limits struct {
	Cache     Limiter `json:"cache"`
	Eject     Limiter `json:"eject"`
	Rebalance Limiter `json:"rebalance"`
}

// newLimits are those of options, as they are where nothing is recorded.
func newLimits(opt *Options, now time.Time) limits {
	limiter := func(r Rate) Limiter { return *newLimiter(r.N, cmp.Or(r.Period, usualPeriod), now) }
	return limits{limiter(opt.CacheRate), limiter(opt.EjectRate), limiter(opt.RebalanceRate)}
}

// limited has directives granted by the limits, and by the leave that a person gave to eject more,
// as all processes on the store have spent them. What is granted is recorded before it is done, so
// that one that ends in between has spent it; in a dry run nothing is spent. grant is called anew
// when the transaction is.
func (r *rounding) limited(ctx context.Context, grant func(l *limits, leave *int)) error {
	l, leave := r.limits, r.state.confirmed.leave(r.now)
	if leave == 0 && l.Cache.n <= 0 && l.Eject.n <= 0 && l.Rebalance.n <= 0 {
		grant(&l, &leave)
		return nil
	}
	if r.opt.DryRun {
		err := r.book.view(ctx, func(tx compute.NotesTx) error {
			_, err := get(tx, limitsNote, &l)
			return err
		})
		grant(&l, &leave)
		return err
	}
	return r.book.update(ctx, func(tx compute.NotesTx, _ compute.JournalTx) error {
		l := r.limits
		if _, err := get(tx, limitsNote, &l); err != nil {
			return err
		}
		var c Confirmation
		if _, err := get(tx, confirmedNote, &c); err != nil {
			return err
		}
		leave := c.leave(r.now)
		before, had := l, leave
		grant(&l, &leave)
		if leave != had {
			c.Ejections = leave
			if err := put(tx, confirmedNote, c); err != nil {
				return err
			}
		}
		if l == before {
			return nil
		}
		return put(tx, limitsNote, &l)
	})
}
