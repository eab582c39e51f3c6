package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
)

// wasRefused reports whether a request was refused, so that nothing was begun.
func wasRefused(err error) bool {
	switch openstack.ReasonOf(err) {
	case openstack.Conflicting, openstack.BadRequest, openstack.Missing, openstack.Denied:
		return true
	}
	return false
}

// allocate claims a node by an allocation, so no other allocation gets it.
func (c *Commander) allocate(ctx context.Context, r *record) error {
	type allocation struct {
		UUID  string `json:"uuid"`
		State string `json:"state"`
		Node  string `json:"node_uuid"`
		Error string `json:"last_error"`
	}
	id := standbyClaim(c.o.Installation, r.UUID)
	path := "allocations/" + id
	_, err := c.a.change(ctx, "Allocate", compute.ID(r.UUID), http.MethodPost, "allocations", map[string]any{
		"uuid": id, "name": "hostler-" + id, "resource_class": r.Class, "candidate_nodes": []string{r.UUID},
		"extra": map[string]any{"hostler": map[string]string{"installation": c.o.Installation}},
	})
	// 409: a dead process made one of this name
	if err != nil && openstack.ReasonOf(err) != openstack.Conflicting {
		return err
	}
	for end := time.Now().Add(c.a.patience); ; {
		var a allocation
		if err = c.a.get(ctx, "Allocate", compute.ID(r.UUID), path, &a); err != nil {
			return err
		}
		switch {
		case a.State == stateActive && a.Node == r.UUID:
			return nil
		case a.State != "allocating" || time.Now().After(end):
			err = conflict(
				"Allocate", r.label(), "the node could not be claimed: allocation %s is in state %s %s", a.UUID, a.State,
				a.Error,
			)
			if _, gone := c.a.change(ctx, "Allocate", compute.ID(r.UUID), http.MethodDelete, path, nil); gone != nil && !missing(gone) {
				err = errors.Join(err, gone)
			}
			return err
		}
		if err = sleep(ctx, c.a.pause); err != nil {
			return openstack.Classify("Allocate", compute.ID(r.UUID), err)
		}
	}
}

// passthru makes the vendor's driver write an image, as in Arsenal.
func (c *Commander) passthru(ctx context.Context, r *record, m *mark) error {
	image, err := c.image(ctx, m)
	if err != nil {
		return err
	}
	_, err = c.a.change(ctx, "Cache", compute.ID(r.UUID), http.MethodPost, "nodes/"+url.PathEscape(r.UUID)+"/vendor_passthru/cache_image", map[string]any{
		"image_info": map[string]any{"id": m.Image, "urls": []string{image}, "checksum": m.Checksum},
	})
	if err != nil {
		return err
	}
	next := *m
	next.Step = "asked"
	return c.a.patch(ctx, "Cache", r.UUID, []operation{{Op: "add", Path: "/extra/hostler", Value: next}})
}

// image returns the address of an image.
func (c *Commander) image(ctx context.Context, m *mark) (string, error) {
	client, err := c.a.s.Images(ctx)
	if err != nil {
		return "", err
	}
	i, err := images.Get(ctx, client, m.Image).Extract()
	if err != nil {
		return "", openstack.Classify("Image", compute.ID(m.Image), err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(client.Endpoint, "/"), "/v2") + i.File, nil
}

// steps returns the cleaning steps of a flavor for one image.
func (c *Commander) steps(ctx context.Context, f *flavorRule, m *mark) (map[string]any, error) {
	if f.Runbook != "" {
		return map[string]any{"runbook": f.Runbook}, nil
	}
	where := ""
	if strings.Contains(fmt.Sprint(f.Steps), "{url}") {
		var err error
		if where, err = c.image(ctx, m); err != nil {
			return nil, err
		}
	}
	fill := strings.NewReplacer("{image}", m.Image, "{checksum}", m.Checksum, "{name}", m.ImageName, "{url}", where)
	out := make([]Step, len(f.Steps))
	for i, s := range f.Steps {
		out[i] = Step{Interface: s.Interface, Step: s.Step, Args: map[string]any{}}
		for k, v := range s.Args {
			if text, ok := v.(string); ok {
				v = fill.Replace(text)
			}
			out[i].Args[k] = v
		}
	}
	return map[string]any{"clean_steps": out}, nil
}

// step takes the next step of writing an image. done: there is nothing left to do, or nothing that
// we may do.
func (c *Commander) step(ctx context.Context, id string) (done bool, err error) {
	defer c.hold(id)()
	r, err := c.a.node(ctx, "Cache", id)
	if missing(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	m := r.Extra.Mark
	if m == nil || m.State != caching || m.Installation != c.o.Installation || m.Instance != "" ||
		r.Instance != "" && !heldByCache(c.o.Installation, r) {
		return true, nil // it is used for something else now
	}
	state := r.state()
	switch {
	case r.Reservation != "" || r.blockedReason() != "":
		return false, nil
	case r.broken():
		return true, c.markAs(ctx, r, failed, false)
	case state == stateAvailable && m.Step == "" && m.Way != Passthru && r.Instance != "":
		// it was claimed, and the first request did not arrive
		return false, c.begin(ctx, r, m)
	case state == stateAvailable && m.Step == "" && m.Way != Prefetch && r.Instance == "":
		// it was released, or somebody undeployed it
		return true, nil
	case m.Way == Clean:
		return c.cleaning(ctx, r, m)
	case m.Way == Passthru:
		switch status := r.Driver.CacheStatus; {
		case status == caching:
			return false, nil
		case status == failed:
			return true, c.markAs(ctx, r, failed, true)
		case status == "" && m.Step == "": // no answer says that the call arrived
			return false, c.begin(ctx, r, m)
		}
		return true, c.markAs(ctx, r, cached, true)
	case state == stateActive && m.Way == Prefetch:
		return false, c.a.provision(ctx, "Cache", id, "deleted", nil)
	case state == stateAvailable && m.Way == Prefetch && r.Instance == "":
		return true, c.markAs(ctx, r, cached, false)
	case state == stateActive:
		if c.o.PowerOff && r.Power == "power on" {
			return false, c.a.power(ctx, "Cache", id, "off")
		}
		return true, c.markAs(ctx, r, cached, m.Way == Deploy)
	}
	return false, nil // it is being written
}

// cleaning follows the states of the way Clean: manageable, cleaning, manageable, available.
func (c *Commander) cleaning(ctx context.Context, r *record, m *mark) (done bool, err error) {
	switch state := r.state(); {
	case state == stateManageable && (m.Step == "" || m.Step == r.Updated):
		// the state has not changed since, so the request did not arrive
		more, err := c.steps(ctx, c.way(r), m)
		if err != nil && wasRefused(err) { // for instance, the image is gone
			return true, errors.Join(err, c.markAs(ctx, r, failed, false))
		}
		if err != nil {
			return false, err
		}
		next := *m
		next.Step = cmp.Or(r.Updated, "begun")
		if err := c.a.patch(ctx, "Cache", r.UUID, markOps(r, &next)); err != nil {
			return false, err
		}
		return false, c.a.provision(ctx, "Cache", r.UUID, "clean", more)
	case state == stateManageable && r.LastError != "":
		return true, c.markAs(ctx, r, failed, false)
	case state == stateManageable:
		return false, c.a.provision(ctx, "Cache", r.UUID, "provide", nil)
	case state == stateAvailable && m.Step != "":
		return true, c.markAs(ctx, r, cached, true)
	}
	return false, nil
}

// markAs notes the result of writing an image. With release the claim is removed, so that any
// instance can claim the node.
func (c *Commander) markAs(ctx context.Context, r *record, state string, release bool) error {
	m := *r.Extra.Mark
	m.State, m.Step, m.Since = state, "", time.Now().UTC().Truncate(time.Second)
	ops := markOps(r, &m)
	if release && r.Instance != "" {
		ops = append(ops, operation{Op: "remove", Path: "/instance_uuid"})
	}
	return c.a.patch(ctx, "Cache", r.UUID, ops)
}

// giveUp releases a node that was claimed and at which nothing was begun.
func (c *Commander) giveUp(ctx context.Context, id string) error {
	r, err := c.a.node(ctx, "Cache", id)
	if err != nil {
		return err
	}
	m := r.Extra.Mark
	if m == nil || m.State != caching || r.state() != stateAvailable || !heldByCache(c.o.Installation, r) {
		return nil
	}
	return c.letGo(ctx, r, failed)
}

// letGo removes the cache's claim from an available node. state is the new state of its mark. "":
// nothing is on the node.
func (c *Commander) letGo(ctx context.Context, r *record, state string) error {
	var ops []operation
	if m := r.Extra.Mark; m != nil {
		left := mark{Attempt: m.Attempt} // the count of writes goes on
		if state != "" {
			left = *m
			left.State = state
		}
		ops = append(ops, markOps(r, &left)...)
	}
	switch {
	case r.Instance != "" && r.Allocation == r.Instance: // it goes with the allocation
		if _, err := c.a.change(
			ctx, "Eject", compute.ID(r.UUID), http.MethodDelete, "allocations/"+r.Allocation, nil,
		); err != nil && !missing(err) {
			return err
		}
	case r.Instance != "":
		ops = append(ops, operation{Op: "remove", Path: "/instance_uuid"})
	}
	if len(ops) == 0 {
		return nil
	}
	return c.a.patch(ctx, "Eject", r.UUID, ops)
}
