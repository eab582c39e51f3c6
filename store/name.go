package store

import (
	"fmt"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// FreeName returns ErrConflict if a living lease of a project has a name; "" is always free.
func FreeName(tx interface {
	Leases(q inventory.LeaseQuery) ([]*compute.Lease, error)
}, name, project string) error {
	if name == "" {
		return nil
	}
	same, err := tx.Leases(inventory.LeaseQuery{Name: name, Projects: []string{project}, Limit: 1})
	if err != nil || len(same) == 0 {
		return err
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrConflict, Err: fmt.Errorf("a lease of this name holds %s", same[0].Instance),
		Hint: "release it, or choose another name",
	}
}
