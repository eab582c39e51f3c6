package sshcmd

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// hostNames returns ssh's names for a lease's instance, without those that mean something else in
// its configuration.
func hostNames(l compute.Lease) []string {
	var out []string
	for _, n := range []string{string(l.Instance), l.Name} {
		if n != "" && !strings.ContainsAny(n, "@*?!, \"'\\%#=\t") {
			out = append(out, n)
		}
	}
	return out
}

// leasesOf returns the leases of these names, or all of the caller's; with all, those of all users.
func leasesOf(a *cli.App, ctx context.Context, engine cli.Engine, names []string, all bool) ([]compute.Lease, error) {
	if len(names) == 0 {
		q := inventory.LeaseQuery{Owner: a.Owner()}
		if all {
			q.Owner = ""
		}
		leases, err := engine.Leases(ctx, q)
		// the pool's instance is there too
		leases = slices.DeleteFunc(leases, func(l compute.Lease) bool { return l.Pool != "" })
		slices.SortFunc(leases, func(x, y compute.Lease) int { return cmp.Compare(x.Instance, y.Instance) })
		return leases, err
	}
	var out []compute.Lease
	for _, n := range names {
		_, l, err := engine.Resolve(ctx, n)
		if err == nil && l == nil {
			err = &compute.Error{ID: compute.ID(n), Kind: compute.ErrNotLeased, Hint: "hostler acquire"}
		}
		if err == nil && l.Owner != a.Owner() && !all {
			err = &compute.Error{
				ID: compute.ID(n), Kind: compute.ErrDenied, Err: errors.New("the lease is " + l.Owner + "'s"),
				Hint: "--all, as an administrator",
			}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *l)
	}
	return out, nil
}
