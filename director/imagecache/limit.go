package imagecache

import (
	"cmp"
	"context"
	"time"

	"github.com/hostler-project/hostler/store"
)

// limiter lets at most N directives of a kind through in each period. The others are dropped, not
// queued: the next round decides anew. Its state may be kept as JSON. It is not safe for concurrent
// use.
type limiter struct {
	Start time.Time `json:"start"` // of the period
	Count int       `json:"count"` // so many were let through in it

	n      int
	period time.Duration
}

// newLimiter returns a limiter with its first period beginning now. n = 0: no limit.
func newLimiter(n int, period time.Duration, now time.Time) *limiter {
	return &limiter{n: n, period: period, Start: now}
}

// Grant returns how many of those offered may go, and counts them. A new period begins when the
// last one is over, or when the clock was set back before its beginning.
func (l *limiter) Grant(offered int, now time.Time) int {
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

// limits are the limiters of a loop.
type limits struct {
	Cache     limiter `json:"cache"`
	Eject     limiter `json:"eject"`
	Rebalance limiter `json:"rebalance"`
}

// newLimits returns the limits of options, with nothing spent.
func newLimits(opt *Options, now time.Time) limits {
	limiter := func(r Rate) limiter { return *newLimiter(r.N, cmp.Or(r.Period, usualPeriod), now) }
	return limits{limiter(opt.CacheRate), limiter(opt.EjectRate), limiter(opt.RebalanceRate)}
}

// limited grants directives by the limits, and by a person's permission to eject more. All
// processes on the store spend them together. Grants are recorded before they are used, so a
// process that dies in between has spent them. A dry run spends nothing. grant is called again when
// the transaction is repeated.
func (r *round) limited(ctx context.Context, grant func(l *limits, leave *int)) error {
	l, leave := r.limits, r.state.confirmed.ejectAllowance(r.now)
	if leave == 0 && l.Cache.n <= 0 && l.Eject.n <= 0 && l.Rebalance.n <= 0 {
		grant(&l, &leave)
		return nil
	}
	if r.opt.DryRun {
		err := r.book.view(ctx, func(tx store.Tx) error {
			_, err := store.ReadNote(tx, limitsNote, &l)
			return err
		})
		grant(&l, &leave)
		return err
	}
	return r.book.update(ctx, func(tx store.Tx) error {
		l := r.limits
		if _, err := store.ReadNote(tx, limitsNote, &l); err != nil {
			return err
		}
		var c Confirmation
		if _, err := store.ReadNote(tx, confirmedNote, &c); err != nil {
			return err
		}
		leave := c.ejectAllowance(r.now)
		before, had := l, leave
		grant(&l, &leave)
		if leave != had {
			c.Ejections = leave
			if err := store.WriteNote(tx, confirmedNote, c); err != nil {
				return err
			}
		}
		if l == before {
			return nil
		}
		return store.WriteNote(tx, limitsNote, &l)
	})
}
