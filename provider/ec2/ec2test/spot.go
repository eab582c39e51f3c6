package ec2test

import (
	"slices"
	"time"
)

// spots are the requests for spot instances, by id.
type spots struct{ all map[string]*spotRequest }

type spotRequest struct {
	id, instance, kind, state, status string
	tags                              map[string]string
	visible                           time.Time
}

// describeSpotInstanceRequests hides a request until its time to be visible has come. It skips
// unknown ids.
func (q *spots) describeSpotInstanceRequests(f form) ([]elem, *Fault) {
	var found []*spotRequest
	ids := f.list("SpotInstanceRequestId")
	for _, id := range sortedKeys(q.all) {
		s := q.all[id]
		ok, bad := f.filters(
			map[string]string{"state": s.state, "status-code": s.status, "instance-id": s.instance, "spot-instance-request-id": id},
			s.tags,
		)
		if bad != nil {
			return nil, bad
		}
		if ok && !time.Now().Before(s.visible) && (len(ids) == 0 || slices.Contains(ids, id)) {
			found = append(found, s)
		}
	}
	part, next := page(f, found, func(s *spotRequest) string { return s.id })
	return append([]elem{set("spotInstanceRequestSet", part, func(s *spotRequest) []elem {
		return []elem{
			tx("spotInstanceRequestId", s.id), tx("instanceId", s.instance), tx("state", s.state), tx("type", s.kind),
			el("status", tx("code", s.status), tx("message", s.status)), tagSet(s.tags),
		}
	})}, next...), nil
}

// cancelSpotInstanceRequests leaves the requests' instances running, as EC2 does.
func (q *spots) cancelSpotInstanceRequests(f form) ([]elem, *Fault) {
	ids := f.list("SpotInstanceRequestId")
	for _, id := range ids {
		s := q.all[id]
		if s == nil {
			return nil, fault("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
		}
		if s.state == "active" || s.state == "open" || s.state == "disabled" {
			s.state, s.status = "cancelled", "request-canceled-and-instance-running"
		}
	}
	return []elem{set(
		"spotInstanceRequestSet", ids,
		func(id string) []elem { return []elem{tx("spotInstanceRequestId", id), tx("state", q.all[id].state)} },
	)}, nil
}

// again makes another instance for a persistent request whose instance was terminated. The caller
// holds the mutex.
func (c *Cloud) again(s *spotRequest, was *instance) {
	i := *was
	i.id, i.volumes, i.reason, i.token = c.ids.next("i"), nil, [2]string{}, ""
	i.inside.guest, i.inside.started, i.inside.turn, i.inside.number = Guest{}, false, 0, len(c.fleet.order)+1
	v := &volume{id: c.ids.next("vol"), instance: i.id, size: 8, kind: "gp2", ends: true, tags: was.tags}
	c.disks.volumes[v.id] = v
	i.volumes = []string{v.id}
	c.fleet.all[i.id] = &i
	c.fleet.order = append(c.fleet.order, i.id)
	s.instance = i.id
	c.boot(&i)
}

// Warn announces that the spot instance with a tag Name will be taken away.
func (c *Cloud) Warn(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fleet.called(name) {
		if s := c.spots.all[i.spot]; s != nil {
			s.status = "marked-for-termination"
		}
	}
}

// Interrupt takes away the spot instance with a name.
func (c *Cloud) Interrupt(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fleet.called(name) {
		c.terminate(i, "Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
		if s := c.spots.all[i.spot]; s != nil {
			s.state, s.status = "closed", "instance-terminated-no-capacity"
		}
	}
}

// Terminate terminates the instance with a name, as a user may by hand.
func (c *Cloud) Terminate(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fleet.called(name) {
		c.terminate(i, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
	}
}

// Retire announces that the hardware of the instance with a name will be switched off.
func (c *Cloud) Retire(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fleet.called(name) {
		i.events = append(i.events, "instance-retirement")
	}
}

// Impair makes the status checks of the instance with a name fail.
func (c *Cloud) Impair(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.fleet.called(name) {
		i.inside.broken = true
	}
}

// called returns the living instances with a tag Name. The caller holds the mutex.
func (fl *fleet) called(name string) (out []*instance) {
	for _, id := range fl.order {
		if i := fl.all[id]; i.tags["Name"] == name && i.state != "terminated" {
			out = append(out, i)
		}
	}
	return out
}

// createTags tags instances alone. The tags before an unknown id stay.
func (fl *fleet) createTags(f form) ([]elem, *Fault) {
	for _, id := range f.list("ResourceId") {
		i := fl.all[id]
		if i == nil {
			return nil, fault("InvalidID", "The ID '%s' is not valid", id)
		}
		for _, t := range f.structs("Tag") {
			i.tags[f.get(t+"Key")] = f.get(t + "Value")
		}
	}
	return []elem{tx("return", true)}, nil
}

// Copy makes a second instance like the one with a name, as two concurrent launches may.
func (c *Cloud) Copy(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, was := range c.fleet.called(name) {
		i := *was
		i.id, i.reservation, i.token, i.inside.number = c.ids.next("i"), c.ids.next("r"), "", len(c.fleet.order)+1
		i.inside.guest, i.inside.started, i.inside.turn, i.spot = Guest{}, false, 0, ""
		v := &volume{id: c.ids.next("vol"), instance: i.id, size: 8, kind: "gp2", ends: true, tags: was.tags}
		c.disks.volumes[v.id], i.volumes = v, []string{v.id}
		c.fleet.all[i.id] = &i
		c.fleet.order = append(c.fleet.order, i.id)
		c.boot(&i)
	}
}
