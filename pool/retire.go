package pool

import (
	"context"
	"errors"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// wornAt returns when a ready instance, or one behind it, will have worn out if it stays ready;
// zero: never.
func (p *disposal) wornAt(tx store.Tx, s *Source, i *compute.Instance, now time.Time) (at time.Time, err error) {
	if why := s.Expired(i, now); why != "" {
		return now, nil
	}
	if s.MaxAge > 0 {
		at = i.Created.Add(s.MaxAge)
	}
	if s.Type != allocate.PoolType {
		return at, nil
	}
	if why, err := allocate.Expired(tx, p.core.sources, s, i, now); errors.Is(err, compute.ErrNotFound) {
		return at, nil // the one behind it is gone; its next use will show that
	} else if err != nil || why != "" {
		return now, err
	}
	behind, err := allocate.ChainOf(tx, i.Child)
	for _, j := range behind {
		if c := p.core.sources[j.Source]; c != nil && c.MaxAge > 0 {
			at = sooner(at, j.Created.Add(c.MaxAge))
		}
	}
	return at, err
}

// retire discards worn ready instances. A transaction that finds them and fails is undone, with its
// record of them. Without this it would find them again for ever.
func (p *disposal) retire(ctx context.Context, ids []compute.ID) error {
	err := p.core.store.Update(ctx, func(tx store.Tx) error {
		for _, id := range ids {
			i, err := tx.Instance(id)
			if errors.Is(err, compute.ErrNotFound) || err == nil && i.State != compute.Ready {
				continue
			} else if err != nil {
				return err
			}
			rec, err := tx.SourceByKey(i.SourceKey)
			if err != nil {
				return err
			}
			s := p.core.configured(rec)
			if s == nil {
				continue
			}
			if why, err := allocate.Expired(tx, p.core.sources, s, i, time.Now()); err != nil {
				return err
			} else if why == "" {
				continue
			} else if err := p.records.toDiscarding(tx, i, allocate.Because(why)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.core.step("acquire:retired")
	p.core.opt.Left()
	return nil
}
