//go:build linux

package network

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/compute"
)

// Sweep removes the networks of sandboxes for which live is false, links that a dead process began,
// and forwarded ports without a link (a name space takes its links along). When no sandbox is left
// it removes the table too, and switches forwarding off again. It returns how many networks it
// removed. With a nil live it removes all.
func (n *Network) Sweep(ctx context.Context, live func(compute.ID) bool) (int, error) {
	unlock, err := n.lock(ctx)
	if err != nil {
		return 0, &compute.Error{Op: "network.Sweep", Kind: compute.ErrUnavailable, Err: err}
	}
	defer unlock()
	gone, err := n.sweep(ctx, live)
	if err != nil {
		return gone, opError("network.Sweep", "", err)
	}
	return gone, nil
}

// sweep is Sweep, with the lock held.
func (n *Network) sweep(ctx context.Context, live func(compute.ID) bool) (gone int, err error) {
	s, err := dial(unix.NETLINK_ROUTE)
	if err != nil {
		return 0, err
	}
	defer s.close()
	t, err := openTable(n.table, n.links)
	if err != nil {
		return 0, err
	}
	defer t.close()
	links, err := s.links()
	if err != nil {
		return 0, err
	}
	ports, err := t.ports()
	if err != nil {
		return 0, err
	}
	var errs []error
	var stay []string
	var living []netip.Addr
	var dead []link
	for _, l := range links {
		if !strings.HasPrefix(l.name, n.links) {
			continue
		}
		id, addr, ours := n.owned(l.alias)
		// another's with a name like ours; or a living one
		if l.alias != "" && !ours || ours && live != nil && live(id) {
			stay, living = append(stay, l.name), append(living, addr)
			continue
		}
		if err := ctx.Err(); err != nil {
			return gone, errors.Join(append(errs, err)...)
		}
		if err := n.doom(s, t, l, ownedBy(ports, l.name)); err != nil {
			errs = append(errs, err)
			stay, living = append(stay, l.name), append(living, addr)
			continue
		}
		dead = append(dead, l)
	}
	if err := n.bury(s, dead); err != nil { // before the table: without it they would have no walls
		return 0, errors.Join(append(errs, err)...)
	}
	gone = len(dead)
	if err := n.dismiss(t, func(a netip.Addr) bool { return slices.Contains(living, a) }); err != nil {
		errs = append(errs, err)
	}
	if len(stay) == 0 {
		if err := n.at("table"); err != nil {
			return gone, err
		}
		return gone, errors.Join(append(errs, t.remove(), n.restore(t))...)
	}
	if ports, err = t.ports(); err == nil {
		ports = slices.DeleteFunc(ports, func(p port) bool { return slices.Contains(stay, p.owner) })
	}
	if len(ports) > 0 && err == nil {
		if err = t.dropPorts(ports); err == nil {
			err = t.flush("remove forwarded ports")
		}
	}
	return gone, errors.Join(append(errs, err)...)
}
