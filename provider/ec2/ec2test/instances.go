package ec2test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// instance is one computer.
type instance struct {
	id, image, typ, zone, subnet, key, token, reservation string

	tags      map[string]string
	groups    []string
	volumes   []string
	spot      string // its request; "": on demand
	hibernate bool   // it may

	state   string
	until   time.Time // when a passing state ends
	since   time.Time // the launch, or the last start
	visible time.Time
	reason  [2]string // why it is not running: code and message
	events  []string  // scheduled events

	inside inside
}

// inside is what runs in an instance.
type inside struct {
	userData []byte
	broken   bool // its status checks fail
	number   int
	guest    Guest
	ready    bool // the guest answers
	started  bool // it has started once
	turn     int  // counts the starts
}

// fleet is the instances.
type fleet struct {
	o      *Options
	places *places
	disks  *disks
	all    map[string]*instance
	order  []string // of their ids
}

// token is the use of a client token.
type token struct {
	digest   [32]byte
	instance string
}

var codes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

// settle makes the changes that are due. The caller holds the mutex.
func (c *Cloud) settle() {
	now := time.Now()
	for _, i := range c.fleet.all {
		if now.Before(i.until) {
			continue
		}
		switch i.state {
		case "pending":
			if i.inside.ready {
				i.state = "running"
			}
		case "stopping":
			i.state = "stopped"
		case "shutting-down":
			i.state = "terminated"
			for _, v := range i.volumes {
				if c.disks.volumes[v] != nil && c.disks.volumes[v].ends {
					delete(c.disks.volumes, v)
				} else if c.disks.volumes[v] != nil {
					c.disks.volumes[v].instance = ""
				}
			}
		}
	}
}

// boot starts an instance's guest in the background. The caller holds the mutex.
func (c *Cloud) boot(i *instance) {
	i.state, i.since, i.inside.ready = "pending", time.Now(), false
	i.until = i.since.Add(c.o.Boot)
	i.inside.turn++
	turn, told := i.inside.turn, Boot{Instance: i.id, UserData: i.inside.userData, First: !i.inside.started}
	if k := c.keys.all[i.key]; k != nil {
		told.Key = k.public
	}
	i.inside.started = true
	if c.o.Guest == nil {
		i.inside.ready, i.inside.guest = true, Guest{Console: "booted\n"}
		return
	}
	if c.closed {
		return
	}
	c.all.Go(func() {
		g, err := c.o.Guest(told)
		if err != nil {
			g.Console += "the machine does not start: " + err.Error() + "\n"
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if i.inside.turn == turn && !c.closed {
			i.inside.guest, i.inside.ready = g, true
		} else if g.Stop != nil {
			c.all.Go(g.Stop)
		}
	})
}

// halt ends the guest, in the background. The caller holds the mutex.
func (i *instance) halt(stopping *sync.WaitGroup) {
	i.inside.turn++
	if i.inside.guest.Stop != nil {
		stopping.Go(i.inside.guest.Stop)
	}
	i.inside.guest.Stop, i.inside.guest.Address = nil, ""
}

// runInstances launches one instance.
func (c *Cloud) runInstances(f form) ([]elem, *Fault) {
	now := time.Now()
	if f.int("MinCount") != 1 || f.int("MaxCount") != 1 {
		return nil, fault("InvalidParameterValue", "one instance at a time")
	}
	params := maps.Clone(f)
	delete(params, "ClientToken")
	text := ""
	for _, k := range sortedKeys(params) {
		text += fmt.Sprintf("%q=%q\n", k, params[k])
	}
	digest := sha256.Sum256([]byte(text))
	name := f.get("ClientToken")
	if t, ok := c.tokens[name]; ok && name != "" {
		if t.digest != digest {
			return nil, fault(
				"IdempotentParameterMismatch",
				"Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
			)
		}
		return c.fleet.reservation(c.fleet.all[t.instance]), nil
	}
	if len(name) > 64 {
		return nil, fault("InvalidParameterValue", "The client token is longer than 64 characters")
	}
	typ, ok := c.places.typeOf(f.get("InstanceType"))
	if !ok {
		return nil, fault("InvalidParameterValue", "Invalid value '%s' for InstanceType.", f.get("InstanceType"))
	}
	img := c.disks.images[f.get("ImageId")]
	if img == nil || now.Before(img.visible) {
		return nil, fault("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", f.get("ImageId"))
	}
	if img.arch() != typ.arch() {
		return nil, fault(
			"InvalidParameterValue",
			"The architecture '%s' of the specified instance type does not match the architecture '%s' of the specified AMI.",
			typ.arch(), img.arch(),
		)
	}
	key := f.get("KeyName")
	if key != "" && c.keys.all[key] == nil {
		return nil, fault("InvalidKeyPair.NotFound", "The key pair '%s' does not exist", key)
	}
	data, err := base64.StdEncoding.DecodeString(f.get("UserData"))
	if err != nil || len(data) > 16<<10 {
		return nil, fault("InvalidParameterValue", "User data is limited to 16384 bytes")
	}
	subnet, nic := f.get("SubnetId"), "NetworkInterface.1."
	groups := f.list("SecurityGroupId")
	if subnet == "" {
		subnet = f.get(nic + "SubnetId")
		groups = append(groups, f.list(nic+"SecurityGroupId")...)
	}
	zone := f.get("Placement.AvailabilityZone")
	switch s, ok := subnets[subnet]; {
	case subnet == "" && zone == "":
		zone = Zones[0]
	case subnet == "" && !slices.Contains(Zones, zone):
		return nil, fault("InvalidParameterValue", "Invalid availability zone: [%s]", zone)
	case subnet != "" && !ok:
		return nil, fault("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", subnet)
	case subnet != "":
		zone = s
	}
	for _, g := range groups {
		if c.groups.all[g] == nil {
			return nil, fault("InvalidGroup.NotFound", "The security group '%s' does not exist", g)
		}
	}
	market := "on-demand"
	if f.get("InstanceMarketOptions.MarketType") == "spot" {
		market = "spot"
	}
	if f.is("HibernationOptions.Configured") && !typ.hibernates() {
		return nil, fault("UnsupportedHibernationConfiguration", "Hibernation is not supported on %s", typ.Name)
	}
	if most, err := strconv.ParseFloat(f.get("InstanceMarketOptions.SpotOptions.MaxPrice"), 64); err == nil && market == "spot" {
		if price := c.places.spotPrice(typ.Name, zone); price > most {
			return nil, fault(
				"SpotMaxPriceTooLow",
				"Your Spot request price of %v is lower than the minimum required Spot request fulfillment price of %v.",
				most, price,
			)
		}
	}
	if bad := c.room(typ, zone, market); bad != nil {
		return nil, bad
	}
	if f.is("DryRun") {
		return nil, &Fault{
			Status: http.StatusPreconditionFailed, Code: "DryRunOperation",
			Message: "Request would have succeeded, but DryRun flag is set.",
		}
	}
	i := &instance{
		id: c.ids.next("i"), image: img.id, typ: typ.Name, zone: zone, subnet: subnet, key: key, token: name,
		reservation: c.ids.next("r"), groups: groups,
		tags: f.tags("instance"), visible: now.Add(c.o.Hidden), hibernate: f.is("HibernationOptions.Configured"),
		inside: inside{number: len(c.fleet.order) + 1, userData: data},
	}
	if market == "spot" {
		s := &spotRequest{id: c.ids.next("sir"), instance: i.id, tags: f.tags("spot-instances-request"), state: "active",
			status: "fulfilled", visible: i.visible,
			kind: f.get("InstanceMarketOptions.SpotOptions.SpotInstanceType")}
		c.spots.all[s.id], i.spot = s, s.id
	}
	v := &volume{id: c.ids.next("vol"), instance: i.id, tags: f.tags("volume"), size: img.size, kind: "gp2", ends: true, zone: zone}
	for _, m := range f.structs("BlockDeviceMapping") {
		if f.get(m+"DeviceName") != img.root {
			continue
		}
		if n := f.int(m + "Ebs.VolumeSize"); n > 0 && n < img.size {
			return nil, fault(
				"InvalidBlockDeviceMapping", "Volume of size %dGB is smaller than snapshot '%s', expect size>= %dGB", n,
				img.snapshot, img.size,
			)
		} else if n > 0 {
			v.size = n
		}
		if k := f.get(m + "Ebs.VolumeType"); k != "" {
			v.kind = k
		}
		v.encrypted = f.is(m + "Ebs.Encrypted")
		v.ends = f.get(m+"Ebs.DeleteOnTermination") != "false"
	}
	c.disks.volumes[v.id] = v
	i.volumes = []string{v.id}
	c.fleet.all[i.id] = i
	c.fleet.order = append(c.fleet.order, i.id)
	if name != "" {
		c.tokens[name] = token{digest, i.id}
	}
	c.boot(i)
	return c.fleet.reservation(i), nil
}

// room returns the fault if a quota or the capacity is exhausted.
func (c *Cloud) room(typ Type, zone, market string) *Fault {
	n, cpus := 0, 0
	for _, i := range c.fleet.all {
		if i.state == "terminated" {
			continue
		}
		n++
		if t, _ := c.places.typeOf(i.typ); i.state == "running" || i.state == "pending" {
			cpus += t.VCPUs
		}
	}
	switch {
	case c.o.Instances > 0 && n >= c.o.Instances:
		return fault(
			"InstanceLimitExceeded",
			"You have requested more instances (%d) than your current instance limit of %d allows for the specified instance type.",
			n+1, c.o.Instances,
		)
	case c.o.VCPUs > 0 && cpus+typ.VCPUs > c.o.VCPUs && market == "spot":
		return fault("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
	case c.o.VCPUs > 0 && cpus+typ.VCPUs > c.o.VCPUs:
		return fault(
			"VcpuLimitExceeded",
			"You have requested more vCPU capacity than your current vCPU limit of %d allows for the instance bucket that the specified instance type belongs to.",
			c.o.VCPUs,
		)
	}
	for _, k := range []string{typ.Name + "/" + zone + "/" + market, typ.Name + "//" + market} {
		if left := c.empty[k]; left != 0 {
			if left > 0 {
				c.empty[k]--
			}
			return &Fault{Status: http.StatusInternalServerError, Code: "InsufficientInstanceCapacity",
				Message: fmt.Sprintf(
					"We currently do not have sufficient %s capacity in the Availability Zone you requested (%s).",
					typ.Name, zone,
				)}
		}
	}
	return nil
}

func (fl *fleet) reservation(i *instance) []elem {
	return []elem{
		tx("reservationId", i.reservation), tx("ownerId", Account), el("groupSet"),
		set("instancesSet", []*instance{i}, fl.describe),
	}
}

// describe returns the XML of an instance.
func (fl *fleet) describe(i *instance) []elem {
	out := []elem{
		tx("instanceId", i.id), tx("imageId", i.image),
		el("instanceState", tx("code", codes[i.state]), tx("name", i.state)), tx("privateDnsName", ""),
		tx("dnsName", ""),
		tx("amiLaunchIndex", 0), tx("instanceType", i.typ), tx("launchTime", i.since),
		el("placement", tx("availabilityZone", i.zone), tx("tenancy", "default")),
		el("monitoring", tx("state", "disabled")), tx("rootDeviceType", "ebs"), tx("rootDeviceName", fl.disks.rootOf(i.image)),
		tx("virtualizationType", "hvm"), tx("hypervisor", "xen"),
		tx("clientToken", i.token), tagSet(i.tags), tx("architecture", fl.places.archOf(i.typ)),
		el("hibernationOptions", tx("configured", i.hibernate)),
		set("groupSet", i.groups, func(g string) []elem { return []elem{tx("groupId", g), tx("groupName", g)} }),
		set("blockDeviceMapping", i.volumes, func(v string) []elem {
			return []elem{
				tx("deviceName", fl.disks.rootOf(i.image)),
				el("ebs", tx("volumeId", v), tx("status", "attached"), tx("deleteOnTermination", true)),
			}
		}),
	}
	if i.key != "" {
		out = append(out, tx("keyName", i.key))
	}
	if i.spot != "" {
		out = append(out, tx("instanceLifecycle", "spot"), tx("spotInstanceRequestId", i.spot))
	}
	if i.reason[0] != "" {
		out = append(out, el("stateReason", tx("code", i.reason[0]), tx("message", i.reason[1])))
	}
	if i.state == "terminated" {
		return out
	}
	address := fmt.Sprintf("10.0.%d.%d", i.inside.number/250, 4+i.inside.number%250)
	out = append(out, tx("subnetId", i.subnet), tx("privateIpAddress", address))
	if i.inside.guest.Address != "" && i.state == "running" {
		out = append(out, tx("ipAddress", i.inside.guest.Address))
	}
	return out
}

// describeInstances hides an instance until its time to be visible has come. One unknown or
// hidden id fails the whole call.
func (fl *fleet) describeInstances(f form) ([]elem, *Fault) {
	now := time.Now()
	var found []*instance
	ids := f.list("InstanceId")
	for _, id := range ids {
		if i := fl.all[id]; i == nil || now.Before(i.visible) {
			return nil, fault("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
	}
	for _, id := range fl.order {
		i := fl.all[id]
		if now.Before(i.visible) || len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		ok, bad := f.filters(map[string]string{
			"instance-state-name": i.state, "client-token": i.token, "instance-id": i.id, "image-id": i.image,
			"instance-type": i.typ, "availability-zone": i.zone,
		}, i.tags)
		if bad != nil {
			return nil, bad
		}
		if ok {
			found = append(found, i)
		}
	}
	if len(ids) > 0 && f.int("MaxResults") > 0 {
		return nil, fault("InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults")
	}
	if fl.o.Page > 0 && (f.int("MaxResults") == 0 || f.int("MaxResults") > fl.o.Page) && len(ids) == 0 {
		f["MaxResults"] = []string{fmt.Sprint(fl.o.Page)}
	}
	part, next := page(f, found, func(i *instance) string { return fmt.Sprintf("%09d", i.inside.number) })
	return append([]elem{set("reservationSet", part, fl.reservation)}, next...), nil
}

// named returns the instances that a request names.
func (fl *fleet) named(f form) (out []*instance, bad *Fault) {
	for _, id := range f.list("InstanceId") {
		i := fl.all[id]
		if i == nil || time.Now().Before(i.visible) {
			return nil, fault("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
		}
		out = append(out, i)
	}
	return out, nil
}

// change applies a change to the named instances, and answers with their states.
func (c *Cloud) change(f form, to func(*instance) *Fault) ([]elem, *Fault) {
	all, bad := c.fleet.named(f)
	if bad != nil {
		return nil, bad
	}
	was := map[*instance]string{}
	for _, i := range all {
		was[i] = i.state
		if bad := to(i); bad != nil {
			return nil, bad
		}
	}
	c.settle()
	state := func(name, s string) elem { return el(name, tx("code", codes[s]), tx("name", s)) }
	return []elem{set("instancesSet", all, func(i *instance) []elem {
		return []elem{tx("instanceId", i.id), state("currentState", i.state), state("previousState", was[i])}
	})}, nil
}

// terminateInstances ends instances. An active persistent spot request then gets another one.
func (c *Cloud) terminateInstances(f form) ([]elem, *Fault) {
	return c.change(f, func(i *instance) *Fault {
		c.terminate(i, "Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
		if s := c.spots.all[i.spot]; s != nil && s.kind == "persistent" && s.state == "active" {
			c.again(s, i)
		}
		return nil
	})
}

// terminate begins an instance's end, and closes its one-time spot request. It leaves an
// instance that is ending as it is.
func (c *Cloud) terminate(i *instance, code, message string) {
	if i.state == "terminated" || i.state == "shutting-down" {
		return
	}
	i.state, i.until, i.reason = "shutting-down", time.Now().Add(c.o.End), [2]string{code, message}
	i.halt(&c.all)
	if s := c.spots.all[i.spot]; s != nil && s.kind != "persistent" {
		s.state, s.status = "closed", "instance-terminated-by-user"
	}
}

// stopInstances refuses instances of one-time spot requests, and hibernation that was not
// enabled at launch.
func (c *Cloud) stopInstances(f form) ([]elem, *Fault) {
	return c.change(f, func(i *instance) *Fault {
		s := c.spots.all[i.spot]
		switch {
		case s != nil && s.kind != "persistent":
			return fault(
				"UnsupportedOperation",
				"You can't stop the Spot Instance '%s' because it is associated with a one-time Spot Instance request.",
				i.id,
			)
		case f.is("Hibernate") && !i.hibernate:
			return fault("UnsupportedHibernationConfiguration", "Instance %s was not enabled for hibernation", i.id)
		case i.state == "stopped" || i.state == "stopping":
			return nil
		case i.state != "running" && i.state != "pending":
			return fault("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be stopped.", i.id)
		}
		i.state, i.until, i.reason = "stopping", time.Now().Add(c.o.Stop), [2]string{
			"Client.UserInitiatedShutdown", "User initiated shutdown",
		}
		if f.is("Force") {
			i.until = time.Now()
		}
		i.halt(&c.all)
		return nil
	})
}

// startInstances may fail for lack of capacity. It never fails in a cloud with a limit of
// instances, as stopped ones count in it already.
func (c *Cloud) startInstances(f form) ([]elem, *Fault) {
	return c.change(f, func(i *instance) *Fault {
		switch i.state {
		case "running", "pending":
			return nil
		case "stopped":
		default:
			return fault("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", i.id)
		}
		typ, _ := c.places.typeOf(i.typ)
		if bad := c.room(typ, i.zone, "on-demand"); bad != nil && c.o.Instances == 0 {
			return bad
		}
		i.reason = [2]string{}
		c.boot(i)
		return nil
	})
}

// describeInstanceStatus returns only running instances, as EC2 does by default.
func (fl *fleet) describeInstanceStatus(f form) ([]elem, *Fault) {
	all, bad := fl.named(f)
	if bad != nil {
		return nil, bad
	}
	if len(f.list("InstanceId")) == 0 {
		for _, id := range fl.order {
			all = append(all, fl.all[id])
		}
	}
	all = slices.DeleteFunc(all, func(i *instance) bool { return i.state != "running" })
	return []elem{set("instanceStatusSet", all, func(i *instance) []elem {
		status := "ok"
		if i.inside.broken {
			status = "impaired"
		}
		return []elem{
			tx("instanceId", i.id), tx("availabilityZone", i.zone), el("instanceState", tx("code", codes[i.state]), tx("name", i.state)),
			el("systemStatus", tx("status", status)), el("instanceStatus", tx("status", status)),
			set("eventsSet", i.events, func(e string) []elem {
				return []elem{
					tx("code", e), tx("description", "The instance is running on degraded hardware"),
					tx("notBefore", time.Now().Add(time.Hour)),
				}
			}),
		}
	})}, nil
}

// getConsoleOutput returns what the guest has printed, and nothing while the instance is
// pending.
func (fl *fleet) getConsoleOutput(f form) ([]elem, *Fault) {
	id := f.get("InstanceId")
	i := fl.all[id]
	if i == nil || time.Now().Before(i.visible) {
		return nil, fault("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
	}
	text := i.inside.guest.Console
	if i.state == "pending" {
		text = ""
	}
	return []elem{tx("instanceId", id), tx("timestamp", time.Now()), tx("output", base64.StdEncoding.EncodeToString([]byte(text)))}, nil
}
