package ec2test

import (
	"slices"
	"time"
)

type spotRequest struct {
	id, instance, kind, state, status string
	tags                              map[string]string
	visible                           time.Time
}

func (c *Cloud) describeSpotInstanceRequests(f form) ([]elem, *Fault) {
	var found []*spotRequest
	ids := f.list("SpotInstanceRequestId")
	for _, id := range sortedKeys(c.spots) {
		s := c.spots[id]
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

func (c *Cloud) cancelSpotInstanceRequests(f form) ([]elem, *Fault) {
	ids := f.list("SpotInstanceRequestId")
	for _, id := range ids {
		s := c.spots[id]
		if s == nil {
			return nil, fault("InvalidSpotInstanceRequestID.NotFound", "The spot instance request ID '%s' does not exist", id)
		}
		if s.state == "active" || s.state == "open" || s.state == "disabled" {
			s.state, s.status = "cancelled", "request-canceled-and-instance-running"
		}
	}
	return []elem{set(
		"spotInstanceRequestSet", ids,
		func(id string) []elem { return []elem{tx("spotInstanceRequestId", id), tx("state", c.spots[id].state)} },
	)}, nil
}

// again makes another instance for a persistent request whose instance was terminated. The caller
// holds the mutex.
func (c *Cloud) again(s *spotRequest, was *instance) {
	i := *was
	i.id, i.volumes, i.reason, i.token = c.id("i"), nil, [2]string{}, ""
	i.guest, i.started, i.turn, i.number = Guest{}, false, 0, len(c.order)+1
	v := &volume{id: c.id("vol"), instance: i.id, size: 8, kind: "gp2", ends: true, tags: was.tags}
	c.volumes[v.id] = v
	i.volumes = []string{v.id}
	c.instances[i.id] = &i
	c.order = append(c.order, i.id)
	s.instance = i.id
	c.boot(&i)
}

// Warn announces that the spot instance with a tag Name will be taken away.
func (c *Cloud) Warn(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.called(name) {
		if s := c.spots[i.spot]; s != nil {
			s.status = "marked-for-termination"
		}
	}
}

// Interrupt takes away the spot instance with a name.
func (c *Cloud) Interrupt(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.called(name) {
		c.terminate(i, "Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")
		if s := c.spots[i.spot]; s != nil {
			s.state, s.status = "closed", "instance-terminated-no-capacity"
		}
	}
}

// Terminate terminates the instance with a name, as a user may by hand.
func (c *Cloud) Terminate(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.called(name) {
		c.terminate(i, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
	}
}

// Retire announces that the hardware of the instance with a name will be switched off.
func (c *Cloud) Retire(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.called(name) {
		i.events = append(i.events, "instance-retirement")
	}
}

// Impair makes the status checks of the instance with a name fail.
func (c *Cloud) Impair(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, i := range c.called(name) {
		i.broken = true
	}
}

// called returns the living instances with a tag Name. The caller holds the mutex.
func (c *Cloud) called(name string) (out []*instance) {
	for _, id := range c.order {
		if i := c.instances[id]; i.tags["Name"] == name && i.state != "terminated" {
			out = append(out, i)
		}
	}
	return out
}

func (c *Cloud) createTags(f form) ([]elem, *Fault) {
	for _, id := range f.list("ResourceId") {
		i := c.instances[id]
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
	for _, was := range c.called(name) {
		i := *was
		i.id, i.reservation, i.token, i.number = c.id("i"), c.id("r"), "", len(c.order)+1
		i.guest, i.started, i.turn, i.spot = Guest{}, false, 0, ""
		v := &volume{id: c.id("vol"), instance: i.id, size: 8, kind: "gp2", ends: true, tags: was.tags}
		c.volumes[v.id], i.volumes = v, []string{v.id}
		c.instances[i.id] = &i
		c.order = append(c.order, i.id)
		c.boot(&i)
	}
}
