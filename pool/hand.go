package pool

import (
	"fmt"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// hand gives an instance to its lease: one row changed and one made.
func (p *Pool) hand(tx compute.Tx, u *unit, pending bool) error {
	i, l := u.inst, u.lease
	if err := p.advance(tx, u); err != nil {
		return err
	}
	i.Uses++
	i.Worker, i.Wanted, i.Resume, i.Booked = 0, "", 0, compute.Booking{}
	// else the look says whether what was said of it is over
	if i.State == compute.Ready && !u.look {
		i.Reason, i.Retry = "", time.Time{}
	}
	l.Generation = i.Generation
	if !strings.HasPrefix(l.Owner, "pool:") {
		var err error
		if l.Holds, err = p.count(tx, u, l); err != nil {
			return err
		}
	}
	if pending {
		l.Worker = p.store.Worker()
	}
	e := compute.Event{Lease: l.ID, Owner: l.Owner, Project: l.Project, Text: l.Purpose, Data: u.told()}
	if _, err := p.set(tx, i, compute.Leased, e); err != nil {
		return err
	}
	return tx.InsertLease(l)
}

// told is what the journal says of a hand-out: what it rests on, and how long its request waited
// where it did not get what stood ready at once.
func (u *unit) told() map[string]string {
	data := make(map[string]string, 2)
	if u.inst.Basis != 0 {
		data["rests_on"] = fmt.Sprint(u.inst.Basis)
	}
	waited := u.waited
	if u.fresh { // its phases have the time in the queue too
		ph := u.inst.Phases
		waited = max(waited, ph.Wait+ph.Create+ph.Connect+ph.SetUp)
	}
	if waited > 0 {
		data["waited"] = waited.Round(time.Microsecond).String()
	}
	return data
}

// advance raises an instance's generation. Machines that stay, and what pools put in front of them,
// are recorded anew under their old names: there the generation is counted by the name, so that it
// grows all the same.
func (p *Pool) advance(tx compute.Tx, u *unit) error {
	if o := p.ready(u.inst.SourceKey); u.src.Type != poolType && (o == nil || len(o.names) == 0) {
		u.inst.Generation++
		return nil
	}
	n, err := tx.NextNumber("generation of " + string(u.inst.ID))
	u.inst.Generation = n
	return err
}
