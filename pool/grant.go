package pool

import (
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/store"
)

// hand gives an instance to its lease: it changes one row and makes one.
func (p *records) hand(tx store.Tx, u *allocate.Grant, pending bool) error {
	i, l := u.Instance, u.Lease
	if err := p.advance(tx, u); err != nil {
		return err
	}
	i.Uses++
	i.Work = compute.Work{Attempts: i.Attempts}
	// else the check says whether its note is out of date
	if i.State == compute.Ready && !u.Verify {
		i.Reason, i.Cause, i.Retry = "", "", time.Time{}
	}
	l.Generation = i.Generation
	if l.Pool == "" {
		var err error
		if l.Holds, err = p.view(tx).Count(tx, u, l); err != nil {
			return err
		}
	}
	if pending {
		l.Worker = p.core.store.Worker()
	}
	e := compute.Event{Lease: l.ID, Owner: l.Owner, Project: l.Project, Text: l.Purpose, Data: handOutData(u)}
	if _, err := p.core.set(tx, i, compute.Leased, e); err != nil {
		return err
	}
	return tx.InsertLease(l)
}

// handOutData returns the journal's data of a hand-out: what it rests on, and how long its
// request waited if no ready instance was there at once.
func handOutData(u *allocate.Grant) map[string]string {
	data := make(map[string]string, 2)
	if u.Instance.Basis != 0 {
		data["rests_on"] = fmt.Sprint(u.Instance.Basis)
	}
	waited := u.Waited
	if u.Fresh { // its phases include the time in the queue
		ph := u.Instance.Phases
		waited = max(waited, ph.Wait+ph.Create+ph.Connect+ph.SetUp)
	}
	if waited > 0 {
		data["waited"] = waited.Round(time.Microsecond).String()
	}
	return data
}

// advance raises an instance's generation. Machines that stay, and pools' instances in front of
// them, get new records under old names. So the generation is counted by name there, and grows all
// the same.
func (p *records) advance(tx store.Tx, u *allocate.Grant) error {
	if o := p.providers.ready(u.Instance.SourceKey); u.Source.Type != allocate.PoolType && (o == nil || len(o.names) == 0) {
		u.Instance.Generation++
		return nil
	}
	n, err := tx.NextNumber("generation of " + string(u.Instance.ID))
	u.Instance.Generation = n
	return err
}
