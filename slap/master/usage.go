package master

import (
	"context"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slap"
)

// Use keeps a usage report of a computer; of one that nobody knows it is not kept. One that is not of the format is a refusal.
func (m *Master) Use(ctx context.Context, who Who, computer, report string) error {
	if err := firstOf(who.speaks(computer), named("computer_id", computer, maxID)); err != nil {
		return err
	}
	if len(report) > maxUsage {
		return invalid("a usage report of %d bytes; one may be %d", len(report), maxUsage)
	}
	if _, err := slap.ParseUsage(report); err != nil {
		return unwell(err)
	}
	if err := m.fresh(ctx); err != nil {
		return err
	}
	var known *slap.ComputerRecord
	if err := m.read(func(b book) (err error) { known, err = b.computer(computer); return err }); err != nil || known == nil {
		return err
	}
	now := time.Now().UTC()
	err := m.store.Update(ctx, func(tx compute.Tx) error {
		t := tx.(Tx)
		old, err := t.SlapEntries(slap.EntryQuery{Kind: slap.KindUsage, Computer: computer, Limit: 2})
		if err != nil {
			return err
		}
		for _, e := range old { // two for one that comes, so that what is old goes in the end
			u, err := unpack[slap.UsageRecord](e)
			if err != nil {
				return err
			}
			if now.Sub(u.At) > usageKept {
				if err := t.SaveSlap(gone(slap.KindUsage, e.Key)); err != nil {
					return err
				}
			}
		}
		return t.SaveSlap(slap.Entry{Kind: slap.KindUsage, Key: key(computer, fmt.Sprintf("%020d", m.stamp(0))), Computer: computer,
			Data: pack(&slap.UsageRecord{Computer: computer, At: now, Report: report})})
	})
	if err == nil {
		m.heard.Add(1)
	}
	return err
}

// usageKept is how long reports are kept.
const usageKept = 90 * 24 * time.Hour

// Usage are the last reports of a computer, the newest first.
func (m *Master) Usage(ctx context.Context, who Who, computer string, limit int) (all []slap.UsageRecord, err error) {
	if err := who.speaks(computer); err != nil {
		return nil, err
	}
	err = m.store.View(ctx, func(tx compute.Tx) error {
		all = nil
		entries, err := tx.(Tx).SlapEntries(slap.EntryQuery{Kind: slap.KindUsage, Computer: computer, Last: true, Limit: limit})
		for _, e := range entries {
			u, err := unpack[slap.UsageRecord](e)
			if err != nil {
				return err
			}
			all = append(all, *u)
		}
		return err
	})
	return all, err
}
