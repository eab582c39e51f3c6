package openstack

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
)

// inventory is what the project has for this source. Its lists are read for many callers at once.
type inventory struct {
	o *Options
	s *Session

	servers  *singleflight[view]
	ports    *singleflight[[]ports.Port]
	floating *singleflight[[]floatingips.FloatingIP]
	volumes  *singleflight[[]volumes.Volume]
}

func newInventory(o *Options, s *Session) *inventory {
	inv := &inventory{o: o, s: s}
	inv.servers, inv.ports = newSingleflight(inv.listServers), newSingleflight(inv.listPorts)
	inv.floating, inv.volumes = newSingleflight(inv.listFloating), newSingleflight(inv.listVolumes)
	return inv
}

// mark returns the mark of all that is made for an instance.
func (inv *inventory) mark(id compute.ID) Mark {
	return Mark{Installation: inv.o.Installation, Deployment: inv.o.Deployment, Source: inv.o.Source, Instance: id}
}

// ours returns the instance of ours that a mark names.
func (inv *inventory) ours(m Mark, marked bool) (compute.ID, bool) {
	return m.Instance, marked && m.Installation == inv.o.Installation && m.Source == inv.o.Source && m.Instance != ""
}

// view is the source's servers at one moment. Of those with one name the oldest comes first.
type view struct {
	servers map[compute.ID][]servers.Server
	pages   int
}

func (v view) one(id compute.ID) (servers.Server, bool) {
	if all := v.servers[id]; len(all) > 0 {
		return all[0], true
	}
	return servers.Server{}, false
}

func (v view) ids() []compute.ID { return slices.Sorted(maps.Keys(v.servers)) }

// listServers lists all servers whose names begin as the source's do, and keeps those with our
// mark.
func (inv *inventory) listServers(ctx context.Context) (view, error) {
	c, err := inv.s.Compute(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{servers: map[compute.ID][]servers.Server{}}
	pages, err := servers.List(c, servers.ListOpts{Name: "^" + regexp.QuoteMeta(inv.o.Source) + "-"}).AllPages(ctx)
	if err != nil {
		return v, Classify("List", "", err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return v, Classify("List", "", err)
	}
	v.pages = 1 + len(all)/1000
	for _, s := range all {
		if id, ok := inv.ours(MarkOf(s.Metadata)); ok && s.Status != "DELETED" && s.Status != "SOFT_DELETED" {
			v.servers[id] = append(v.servers[id], s)
		}
	}
	for _, same := range v.servers {
		slices.SortFunc(same, func(a, b servers.Server) int {
			return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
		})
	}
	return v, nil
}

// tick is how old a view may be for a caller that polls. The more pages a list has, the older, so
// the cloud gets about one request in a tick.
func (inv *inventory) tick() time.Duration {
	inv.servers.mu.Lock()
	defer inv.servers.mu.Unlock()
	return inv.o.Poll * time.Duration(max(1, inv.servers.last.pages))
}

// find returns a server from a recent list. If it is missing there, a new list is read.
func (inv *inventory) find(ctx context.Context, op string, id compute.ID) (servers.Server, error) {
	then := time.Now()
	v, err := inv.servers.recent(ctx, inv.tick())
	if err == nil {
		if s, ok := v.one(id); ok {
			return s, nil
		}
		v, err = inv.servers.since(ctx, then)
	}
	if err != nil {
		return servers.Server{}, Classify(op, id, err)
	}
	if s, ok := v.one(id); ok {
		return s, nil
	}
	return servers.Server{}, &compute.Error{
		Op: "openstack." + op, ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("the project has no server of this name with our mark"),
	}
}

// fresh returns a server as it is now.
func (inv *inventory) fresh(ctx context.Context, id compute.ID) (servers.Server, error) {
	v, err := inv.servers.fresh(ctx)
	if err != nil {
		return servers.Server{}, Classify("Connect", id, err)
	}
	if s, ok := v.one(id); ok {
		return s, nil
	}
	return servers.Server{}, &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: compute.ErrNotFound, Err: errors.New("the server is gone"),
	}
}
