package deployment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/routers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/security/groups"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/hostler-project/hostler/compute"
)

// atOnce is how many servers, ports or volumes are deleted at the same time.
const atOnce = 8

// Teardown deletes all of a deployment: servers, ports, volumes, floating IPs, router interfaces,
// routers, subnets, networks, security groups, and the key pair with its private half. Missing
// things are no error. After a failure it tries the rest. At the end it looks again: if anything is
// left, the errors say what. The server that it runs on stays with its parts, for a teardown from
// elsewhere. It may be repeated, and continues what a dead process began. ErrNotFound: there is no
// such deployment. ErrConflict: it is another project's.
func Teardown(ctx context.Context, cloud Cloud, opt Options) error {
	w, err := begin(cloud, opt)
	if err != nil {
		return err
	}
	if w.rec, err = w.known(ctx); err != nil {
		return err
	}
	recorded := w.rec != nil
	if !recorded {
		w.rec = &Record{
			Name: opt.Name, Installation: opt.Installation, Cloud: cloud.Name, Project: cloud.Project,
			Region: cloud.Region, Things: []Thing{},
		}
	}
	self, err := w.self(ctx) // the record only has the server of the Deploy
	if err != nil {
		return err
	}
	if self != nil {
		w.here = self.ID
	}
	inv, err := w.inventory(ctx)
	if err != nil {
		return err
	}
	if !recorded && len(inv.All()) == 0 {
		return &compute.Error{
			ID: compute.ID(opt.Name), Kind: compute.ErrNotFound,
			Err:  errors.New("nothing to tear down; did you deploy with the current credentials?"),
			Hint: "hostler cloud servers shows what there is",
		}
	}
	if opt.DryRun {
		for _, t := range inv.All() {
			w.tell(WouldDrop, t.Kind, t.Name, t.ID, "")
		}
		w.left(inv)
		return nil
	}
	w.rec.State, w.rec.Since = TearingDown, time.Now().UTC()
	if err := w.save(ctx); err != nil {
		return err
	}
	errs := w.takeDown(ctx, inv)
	if ctx.Err() != nil {
		return errors.Join(append(errs, ctx.Err())...)
	}
	rest, err := w.inventory(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if all := rest.All(); len(all) > 0 {
		if len(errs) == 0 {
			return &compute.Error{
				ID: compute.ID(opt.Name), Kind: compute.ErrUnavailable,
				Err:  fmt.Errorf("still there after it was deleted: %s", counts(all)),
				Hint: "the same command goes on where this one stopped",
			}
		}
		return errors.Join(errs...)
	}
	w.left(inv)
	if err := w.dropKeyFiles(); err != nil {
		return err
	}
	return opt.Store.DropDeployment(ctx, opt.Name)
}

// left tells the things that stay because they are not ours.
func (w *work) left(inv *inventory) {
	for _, t := range w.rec.Things {
		if !t.Made && !has(inv.All(), t.ID) {
			w.tell(Left, t.Kind, t.Name, t.ID, "not made by hostler")
		}
	}
	for _, t := range inv.Own {
		w.tell(Left, t.Kind, t.Name, t.ID, "of the server that this runs on")
	}
	for _, t := range inv.Strange {
		w.tell(Left, t.Kind, t.Name, t.ID, "not made by hostler, on a network of the deployment")
	}
}

// counts returns the number of things of each kind, in words.
func counts(all []Thing) string {
	var kinds, out []string
	n := map[string]int{}
	for _, t := range all {
		if n[t.Kind]++; n[t.Kind] == 1 {
			kinds = append(kinds, t.Kind)
		}
	}
	for _, k := range kinds {
		out = append(out, fmt.Sprintf("%s: %d", k, n[k]))
	}
	return strings.Join(out, ", ")
}

// takeDown deletes everything in an inventory, and returns the errors.
func (w *work) takeDown(ctx context.Context, inv *inventory) (errs []error) {
	add := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	add(w.servers(ctx, inv.Servers))
	add(w.each(ctx, inv.Ports, func(ctx context.Context, t Thing) error {
		return ports.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
	}))
	add(w.each(ctx, inv.Volumes, func(ctx context.Context, t Thing) error {
		return w.volume(ctx, t.ID)
	}))
	add(w.each(ctx, inv.FloatingIPs, func(ctx context.Context, t Thing) error {
		return floatingips.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
	}))
	net := topology{w}
	for _, k := range []struct {
		things []Thing
		drop   func(ctx context.Context, t Thing) error
	}{
		{inv.Interfaces, func(ctx context.Context, t Thing) error { return net.part(ctx, inv.routerOf[t.ID], t.ID) }},
		{inv.Routers, func(ctx context.Context, t Thing) error {
			return routers.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
		}},
		{inv.Subnets, func(ctx context.Context, t Thing) error {
			return subnets.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
		}},
		{inv.Networks, func(ctx context.Context, t Thing) error {
			return networks.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
		}},
		{inv.Groups, func(ctx context.Context, t Thing) error {
			return groups.Delete(ctx, w.cloud.Network, t.ID).ExtractErr()
		}},
		{inv.KeyPairs, func(ctx context.Context, t Thing) error {
			return keypairs.Delete(ctx, w.cloud.Compute, t.ID, nil).ExtractErr()
		}},
	} {
		for _, t := range k.things {
			if len(inv.Strange) > 0 && (t.Kind == Network || t.Kind == Subnet) {
				add(&compute.Error{Op: "delete " + t.Kind, ID: compute.ID(t.Name), Kind: compute.ErrConflict,
					Err:  fmt.Errorf("it has what hostler did not make: %s", strange(inv.Strange)),
					Hint: "take that away, then tear down again"})
				continue
			}
			add(w.drop(ctx, t, k.drop))
		}
	}
	return errs
}

func strange(all []Thing) string {
	var out []string
	for _, t := range all {
		out = append(out, t.Kind+" "+t.ID+" ("+t.Name+")")
	}
	return strings.Join(out, ", ")
}

// drop deletes one thing. It waits while something still uses it.
func (w *work) drop(ctx context.Context, t Thing, f func(context.Context, Thing) error) error {
	if ctx.Err() != nil {
		return nil // an error is reported once
	}
	err := w.again(ctx, func() error { return f(ctx, t) })
	switch {
	case isGone(err):
		w.tell(gone, t.Kind, t.Name, t.ID, "")
	case err != nil:
		return failed("delete "+t.Kind, t.Name, err)
	default:
		w.tell(Deleted, t.Kind, t.Name, t.ID, "")
	}
	return nil
}

// each calls f for all things, some at a time.
func (w *work) each(ctx context.Context, things []Thing, f func(context.Context, Thing) error) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	told := w.opt.Tell
	w.opt.Tell = func(s Step) {
		mu.Lock()
		defer mu.Unlock()
		told(s)
	}
	defer func() { w.opt.Tell = told }()
	for _, t := range things {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := w.drop(ctx, t, f); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// servers deletes servers and waits until they are gone. It polls one list for all.
func (w *work) servers(ctx context.Context, things []Thing) error {
	if len(things) == 0 {
		return nil
	}
	err := w.each(ctx, things, func(ctx context.Context, t Thing) error {
		return servers.Delete(ctx, w.cloud.Compute, t.ID).ExtractErr()
	})
	const pause = time.Second
	for end := time.Now().Add(w.opt.ServersPatience); ; {
		all, listErr := list(ctx, servers.List(w.cloud.Compute, servers.ListOpts{}), servers.ExtractServers)
		if listErr != nil {
			return errors.Join(err, failed("list servers of", w.opt.Name, listErr))
		}
		left := slices.DeleteFunc(slices.Clone(things), func(t Thing) bool {
			return !slices.ContainsFunc(all, func(s servers.Server) bool { return s.ID == t.ID && s.Status != "DELETED" })
		})
		if len(left) == 0 || err != nil && len(left) == len(things) {
			return err
		}
		if time.Now().After(end) {
			return errors.Join(
				err,
				&compute.Error{
					ID: compute.ID(w.opt.Name), Kind: compute.ErrTimeout,
					Err: fmt.Errorf(
						"%d of %d servers are not gone after %v, %s first", len(left), len(things),
						w.opt.ServersPatience, left[0].Name,
					),
					Hint: "the same command goes on where this one stopped",
				},
			)
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
}

// volume waits until nothing uses a volume, deletes it, and waits until it is gone.
func (w *work) volume(ctx context.Context, id string) error {
	const pause = time.Second
	asked := false
	for end := time.Now().Add(6 * w.opt.Patience); ; {
		v, err := volumes.Get(ctx, w.cloud.Volume, id).Extract()
		if isGone(err) && asked {
			return nil
		}
		if err != nil {
			return err
		}
		if v.Status != "deleting" && v.Status != "in-use" && v.Status != "detaching" {
			if err := volumes.Delete(ctx, w.cloud.Volume, id, volumes.DeleteOpts{}).ExtractErr(); err != nil && !isGone(err) {
				return err
			}
			asked = true
		}
		if time.Now().After(end) {
			return &compute.Error{
				ID: compute.ID(id), Kind: compute.ErrTimeout, Err: fmt.Errorf("the volume is not gone: %s", v.Status),
				Hint: "the same command goes on where this one stopped",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// dropKeyFiles removes the private half of a deleted key pair.
func (w *work) dropKeyFiles() error {
	file := KeyFile(w.opt.Keys, w.opt.Name)
	for _, f := range []string{file, file + ".old"} {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &compute.Error{Op: "remove the private key", Kind: compute.ErrFailed, Err: err}
		}
	}
	return nil
}
