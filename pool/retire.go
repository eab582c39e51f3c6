package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// wornOut returns why an instance, or one behind it, must not be handed out again, or "". A pool's
// children age behind it, and each hand-out of the pool's instance is one of theirs.
func (p *Pool) wornOut(tx store.Tx, s *source, i *compute.Instance, now time.Time) (string, error) {
	why := s.worn(i, now)
	for uses := i.Uses; why == "" && i.Child != ""; {
		child, err := tx.Instance(i.Child)
		if err != nil {
			return "", err
		}
		uses += child.Uses - 1
		child.Uses = uses
		i = child
		if s = p.sources[i.Source]; s != nil {
			why = s.worn(i, now)
		}
	}
	return why, nil
}

// worn returns why an instance must not be handed out again, or "".
func (s *source) worn(i *compute.Instance, now time.Time) string {
	switch {
	case s.MaxAge > 0 && now.Sub(i.Created) >= s.MaxAge:
		return fmt.Sprintf("older than max-age %v", s.MaxAge)
	case s.MaxUses > 0 && i.Uses >= s.MaxUses:
		return fmt.Sprintf("used %d times, as often as max-uses allows", i.Uses)
	}
	return ""
}

// ages reports whether instances of a source, or those behind a pool's, may wear out while they are
// ready.
func (s *source) ages() bool {
	for _, c := range s.all() {
		if c.MaxAge > 0 || c.MaxUses > 0 && s.Type == poolType {
			return true
		}
	}
	return false
}

// wornAt returns when a ready instance, or one behind it, will have worn out if it stays ready;
// zero: never.
func (p *Pool) wornAt(tx store.Tx, s *source, i *compute.Instance, now time.Time) (at time.Time, err error) {
	if why := s.worn(i, now); why != "" {
		return now, nil
	}
	if s.MaxAge > 0 {
		at = i.Created.Add(s.MaxAge)
	}
	if s.Type != poolType {
		return at, nil
	}
	if why, err := p.wornOut(tx, s, i, now); errors.Is(err, compute.ErrNotFound) {
		return at, nil // the one behind it is gone; its next use will show that
	} else if err != nil || why != "" {
		return now, err
	}
	behind, err := chainOf(tx, i.Child)
	for _, j := range behind {
		if c := p.sources[j.Source]; c != nil && c.MaxAge > 0 {
			at = sooner(at, j.Created.Add(c.MaxAge))
		}
	}
	return at, err
}

// retire discards worn ready instances. A transaction that finds them and fails is undone, with its
// record of them. Without this it would find them again for ever.
func (p *Pool) retire(ctx context.Context, ids []compute.ID) error {
	err := p.store.Update(ctx, func(tx store.Tx) error {
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
			s := p.configured(rec)
			if s == nil {
				continue
			}
			if why, err := p.wornOut(tx, s, i, time.Now()); err != nil {
				return err
			} else if why == "" {
				continue
			} else if err := p.toDiscarding(tx, i, because(why)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	p.step("acquire:retired")
	p.opt.Left()
	return nil
}
