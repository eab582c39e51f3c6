// Package usage keeps the nodes' reports of what they and their partitions use, and sums them up.
package usage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// Reports has the usage reports of a master.
type Reports struct {
	ledger *ledger.Ledger
	heard  func() // called when there is another report
}

// New makes the reports of a master, on its ledger. heard is called when there is another one.
func New(l *ledger.Ledger, heard func()) *Reports { return &Reports{l, heard} }

const maxUsage = 1 << 20 // bytes of a usage report

// Keep keeps a usage report of a computer. A report of an unknown computer is not kept; a malformed
// one is a refusal.
func (r *Reports) Keep(ctx context.Context, who access.Who, computer, report string) error {
	if err := cmp.Or(who.Speaks(computer), access.CheckName("computer_id", computer, access.MaxID)); err != nil {
		return err
	}
	if len(report) > maxUsage {
		return access.Invalid("a usage report of %d bytes; one may be %d", len(report), maxUsage)
	}
	said, err := proto.ParseUsage(report)
	if err != nil {
		return access.Malformed(err)
	}
	if err := r.ledger.Refresh(ctx); err != nil {
		return err
	}
	var known *record.Computer
	if err := r.ledger.Read(func(b ledger.View) (err error) { known, err = b.Computer(computer); return err }); err != nil || known == nil {
		return err
	}
	now := time.Now().UTC()
	err = r.ledger.Store.Update(ctx, func(tx store.Tx) error {
		t := tx
		if again, err := heard(t, computer, report, said); err != nil || again {
			return err
		}
		old, err := t.SlapEntries(store.SlapQuery{Kind: record.KindUsage, Computer: computer, Limit: 2})
		if err != nil {
			return err
		}
		for _, e := range old { // two for one that comes, so that what is old goes in the end
			u, err := ledger.Unpack[record.Usage](e)
			if err != nil {
				return err
			}
			if now.Sub(u.At) > usageKept {
				if err := t.SaveSlap(ledger.Deletion(record.KindUsage, e.Key)); err != nil {
					return err
				}
			}
		}
		return t.SaveSlap(store.SlapEntry{
			Kind: record.KindUsage, Key: ledger.Key(computer, fmt.Sprintf("%020d", r.ledger.Stamp(0))), Computer: computer,
			Data: ledger.Pack(&record.Usage{Computer: computer, At: now, Report: report})})
	})
	if err == nil {
		r.heard()
	}
	return err
}

// heard says whether a report is one of the last few, sent again by a node that missed our answer:
// in the same words and of the same times, which all its transactions have.
func heard(t store.SlapTx, computer, report string, said []proto.Transaction) (bool, error) {
	if slices.ContainsFunc(said, func(one proto.Transaction) bool { return one.Stop == "" }) {
		return false, nil
	}
	last, err := t.SlapEntries(store.SlapQuery{Kind: record.KindUsage, Computer: computer, Last: true, Limit: atOnce})
	if err != nil {
		return false, err
	}
	for _, e := range last {
		if u, err := ledger.Unpack[record.Usage](e); err != nil || u.Report == report {
			return err == nil, err
		}
	}
	return false, nil
}

// usageKept is how long reports are kept.
const usageKept = 90 * 24 * time.Hour

// How much is read of a computer's reports at a time: the newest, within these limits.
const (
	maxReports     = 100
	maxReportsRead = 16 << 20 // bytes
	atOnce         = 4        // reports in memory
)

// Sum is how much of a resource something has used, as one report says.
type Sum struct {
	At              time.Time // when it was reported
	About           string    // the partition, or the computer
	Resource, Title string
	Quantity        float64
}

// Last are the last reports of a computer, the newest first, for callers that may speak for it.
func (r *Reports) Last(ctx context.Context, who access.Who, computer string, limit int) (all []record.Usage, err error) {
	if err := who.Speaks(computer); err != nil {
		return nil, err
	}
	return all, r.each(ctx, computer, func(u *record.Usage) bool {
		all = append(all, *u)
		return len(all) < limit
	})
}

// each shows the last reports of a computer, the newest first, as many as are read, or until it
// is told to end.
func (r *Reports) each(ctx context.Context, computer string, each func(*record.Usage) (more bool)) error {
	q := store.SlapQuery{Kind: record.KindUsage, Computer: computer, Last: true, Limit: atOnce}
	for read, size := 0, 0; read < maxReports; {
		var some []store.SlapEntry
		err := r.ledger.Store.View(ctx, func(tx store.Tx) (err error) {
			some, err = tx.SlapEntries(q)
			return err
		})
		if err != nil {
			return err
		}
		for _, e := range some {
			if read, size, q.Before = read+1, size+len(e.Data), e.Key; size > maxReportsRead {
				return nil
			}
			if u, err := ledger.Unpack[record.Usage](e); err != nil || !each(u) {
				return err
			}
		}
		if len(some) < atOnce {
			return nil
		}
	}
	return nil
}

// Sums shows the sums of a computer's last reports, the newest report first, by thing and resource.
// The computer's owner sees all of it. The owner of a partition's instance sees that partition's,
// since the instance came. Use from before, also of the same day, is not shown.
func (r *Reports) Sums(ctx context.Context, who access.Who, computer, partition string, each func(Sum)) error {
	if err := r.ledger.Refresh(ctx); err != nil {
		return err
	}
	var since time.Time
	var alone bool
	err := r.ledger.Read(func(b ledger.View) (err error) {
		since, alone, err = usedSince(b, who, computer, partition)
		return err
	})
	if err != nil {
		return err
	}
	return r.each(ctx, computer, func(u *record.Usage) bool {
		if u.At.Before(since) {
			return false
		}
		for _, used := range sums(u, since) {
			if !alone || used.About == partition {
				each(used)
			}
		}
		return true
	})
}

// usedSince says from when a caller may see the use of a computer, and whether of one partition
// alone.
func usedSince(b ledger.View, who access.Who, computer, partition string) (since time.Time, alone bool, err error) {
	mem := b.(*ledger.Memory)
	var c *record.Computer
	if of := mem.Computers[computer]; of != nil {
		c = of.Record
	}
	denied := who.Owns(computer, c)
	if denied == nil && mem.Computers[computer] == nil {
		return since, false, access.UnknownComputer(computer)
	}
	if denied == nil {
		return since, false, nil
	}
	n, err := b.At(computer, partition)
	if err != nil || n == nil || partition == "" || who.Holds(n) != nil {
		return since, false, cmp.Or(err, denied)
	}
	if since = n.Created; n.Placed > 0 {
		since = time.UnixMicro(n.Placed)
	}
	return since, true, nil
}

// sums are a report's sums by user of a resource and resource, in the order of the report. Use from
// before since, and numbers that JSON cannot hold, are left out.
func sums(u *record.Usage, since time.Time) (all []Sum) {
	transactions, err := proto.ParseUsage(u.Report)
	if err != nil {
		return nil // it was of the format when it came
	}
	type thing struct{ about, resource string }
	at := map[thing]int{}
	for _, t := range transactions {
		if began, ok := day(t.Start); ok && began.Before(since) {
			continue
		}
		for _, move := range t.Movements {
			quantity, err := strconv.ParseFloat(strings.TrimSpace(move.Quantity), 64)
			if err != nil || quantity-quantity != 0 {
				continue
			}
			k := thing{cmp.Or(move.Reference, t.Reference, u.Computer), move.Resource}
			i, ok := at[k]
			if !ok {
				i = len(all)
				at[k] = i
				all = append(all, Sum{At: u.At, About: k.about, Resource: k.resource})
			}
			all[i].Title = cmp.Or(move.Title, all[i].Title)
			if sum := all[i].Quantity + quantity; sum-sum == 0 {
				all[i].Quantity = sum
			}
		}
	}
	return all
}

// day is the beginning of the day with which a date begins, as reports have them: 2026-11-22, with
// a time after it or not.
func day(date string) (time.Time, bool) {
	date = strings.TrimSpace(date)
	t, err := time.Parse(time.DateOnly, date[:min(len(date), len(time.DateOnly))])
	return t, err == nil
}
