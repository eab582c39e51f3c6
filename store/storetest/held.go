package storetest

import (
	"errors"
	"testing"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// heldSums: the sums over leases are right for all handles, whichever wrote, also after a
// transaction that was rolled back.
func heldSums(t *testing.T, r *rig) {
	lent := func(id, project, owner string, cores float64) *compute.Lease {
		return &compute.Lease{
			ID: id, Instance: compute.ID("i-" + id), Project: project, Owner: owner,
			Holds: compute.Capacity{Count: 1, Cores: cores, Memory: 1 << 30, Cost: 0.5},
		}
	}
	other := r.open()
	check := func(want map[[2]string]float64) {
		t.Helper()
		var got map[[2]string]compute.Capacity
		sums := func(tx store.Tx) (err error) { // it may run more than once
			got = map[[2]string]compute.Capacity{}
			for who := range want {
				if got[who], err = tx.Held(who[0], who[1]); err != nil {
					return err
				}
			}
			return nil
		}
		judge := func() {
			t.Helper()
			for who, cores := range want {
				if n := int(cores / 2); got[who] != (compute.Capacity{
					Count: n, Cores: cores, Memory: int64(n) << 30, Cost: float64(n) / 2,
				}) {
					t.Errorf("%q has %+v, want %v cores", who, got[who], cores)
				}
			}
		}
		for _, s := range []Handle{r.Handle, other} {
			update(t, s, sums)
			judge()
			view(t, s, sums)
			judge()
		}
	}
	check(map[[2]string]float64{{"p", ""}: 0})
	ann, bob := lent("a", "p", "ann", 2), lent("b", "p", "bob", 2)
	behind, front := lent("c", "", "pool:x", 2), lent("d", "", "bob", 2)
	behind.Pool = "x-1"
	update(t, r, func(tx store.Tx) error {
		if _, err := tx.Held("p", ""); err != nil { // it knows before it changes
			return err
		}
		return errors.Join(tx.InsertLease(ann), tx.InsertLease(bob), tx.InsertLease(behind), tx.InsertLease(front))
	})
	check(map[[2]string]float64{
		{"p", ""}: 4, {"p", "ann"}: 2, {"p", "bob"}: 2, {"", ""}: 2, {"", "bob"}: 2, {"q", ""}: 0, {"", "pool:x"}: 0,
	})
	more := lent("e", "p", "ann", 2)
	update(t, other, func(tx store.Tx) error { return tx.InsertLease(more) })
	check(map[[2]string]float64{{"p", ""}: 6, {"p", "ann"}: 4})
	// A rolled back change counts as if it had never been.
	nothing := errors.New("nothing")
	err := r.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.InsertLease(lent("f", "p", "ann", 2)); err != nil {
			return err
		}
		return nothing
	})
	is(t, "one that failed", err, nothing)
	check(map[[2]string]float64{{"p", ""}: 6, {"p", "ann"}: 4})
	for _, l := range []*compute.Lease{ann, more} {
		l.Used = at(5)
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(l) })
		l.Ended = at(6)
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(l) })
		update(t, r, func(tx store.Tx) error { return tx.SaveLease(l) }) // ended before
	}
	check(map[[2]string]float64{{"p", ""}: 2, {"p", "ann"}: 0, {"p", "bob"}: 2, {"", "bob"}: 2})
}
