package ec2test

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Image describes an image that exists from the beginning.
type Image struct {
	ID, Name string
	Owner    string    // "": Account
	Alias    string    // of the owner: "amazon"
	Arch     string    // "": x86_64
	Created  time.Time // zero: now
	Size     int       // GB; 0: 8
}

// disks are what instances boot from.
type disks struct {
	images    map[string]*image
	snapshots map[string]*snapshot
	volumes   map[string]*volume
}

type image struct {
	Image
	id, root, snapshot string
	size               int
	tags               map[string]string
	visible            time.Time
	available          time.Time
}

func (i *image) arch() string {
	if i.Arch == "" {
		return "x86_64"
	}
	return i.Arch
}

type snapshot struct {
	id   string
	tags map[string]string
}

// AddImage adds an image.
func (c *Cloud) AddImage(i Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i.Owner == "" {
		i.Owner = Account
	}
	if i.Created.IsZero() {
		i.Created = time.Now()
	}
	if i.Size == 0 {
		i.Size = 8
	}
	c.disks.images[i.ID] = &image{Image: i, id: i.ID, root: "/dev/xvda", size: i.Size, tags: map[string]string{}}
}

// RemoveImage removes an image.
func (c *Cloud) RemoveImage(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.disks.images, id)
}

func (d *disks) rootOf(id string) string {
	if i := d.images[id]; i != nil {
		return i.root
	}
	return "/dev/xvda"
}

// describeImages hides an image until its time to be visible has come. Owners are ids, aliases
// or "self".
func (d *disks) describeImages(f form) ([]elem, *Fault) {
	now := time.Now()
	ids, owners := f.list("ImageId"), f.list("Owner")
	for _, id := range ids {
		if i := d.images[id]; i == nil || now.Before(i.visible) {
			return nil, fault("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
		}
	}
	var found []*image
	for _, id := range sortedKeys(d.images) {
		i := d.images[id]
		if now.Before(i.visible) || len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		if len(owners) > 0 && !slices.Contains(owners, i.Owner) && !slices.Contains(owners, i.Alias) &&
			(i.Owner != Account || !slices.Contains(owners, "self")) {
			continue
		}
		ok, bad := f.filters(map[string]string{"name": i.Name, "state": i.state(), "architecture": i.arch(),
			"image-id": i.id, "owner-id": i.Owner, "owner-alias": i.Alias,
			"root-device-type": "ebs", "virtualization-type": "hvm", "is-public": "true"}, i.tags)
		if bad != nil {
			return nil, bad
		}
		if ok {
			found = append(found, i)
		}
	}
	part, next := page(f, found, func(i *image) string { return i.id })
	return append([]elem{set("imagesSet", part, func(i *image) []elem {
		return []elem{
			tx("imageId", i.id), tx("imageLocation", i.Owner+"/"+i.Name), tx("imageState", i.state()),
			tx("imageOwnerId", i.Owner), tx("isPublic", false), tx("architecture", i.arch()),
			tx("imageType", "machine"), tx("name", i.Name), tx("rootDeviceType", "ebs"), tx("rootDeviceName", i.root),
			tx("virtualizationType", "hvm"), tx("creationDate", i.Created), tagSet(i.tags),
			set("blockDeviceMapping", []string{i.snapshot}, func(s string) []elem {
				return []elem{
					tx("deviceName", i.root),
					el("ebs", tx("snapshotId", s), tx("volumeSize", i.size), tx("deleteOnTermination", true)),
				}
			}),
		}
	})}, next...), nil
}

func (i *image) state() string {
	if time.Now().Before(i.available) {
		return "pending"
	}
	return "available"
}

// createImage registers an image and its snapshot at once. The image is visible and available
// only after the times of the options.
func (c *Cloud) createImage(f form) ([]elem, *Fault) {
	all, bad := c.fleet.named(form{"InstanceId.1": {f.get("InstanceId")}})
	if bad != nil {
		return nil, bad
	}
	name := f.get("Name")
	if len(name) < 3 || len(name) > 128 ||
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()[] ./-'@_") != "" {
		return nil, fault(
			"InvalidAMIName.Malformed",
			"AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_'",
		)
	}
	for _, i := range c.disks.images {
		if i.Name == name && i.Owner == Account {
			return nil, fault("InvalidAMIName.Duplicate", "AMI name %s is already in use by AMI %s", name, i.id)
		}
	}
	now, from := time.Now(), all[0]
	snap := &snapshot{id: c.ids.next("snap"), tags: f.tags("snapshot")}
	c.disks.snapshots[snap.id] = snap
	i := &image{Image: Image{Name: name, Owner: Account, Created: now, Arch: c.places.archOf(from.typ)}, id: c.ids.next("ami"),
		root: c.disks.rootOf(from.image), snapshot: snap.id, size: 8, tags: f.tags("image"),
		visible: now.Add(c.o.Hidden), available: now.Add(c.o.Image)}
	i.Image.ID = i.id
	if v := c.disks.volumes[from.volumes[0]]; v != nil {
		i.size = v.size
	}
	c.disks.images[i.id] = i
	return []elem{tx("imageId", i.id)}, nil
}

func (d *disks) deregisterImage(f form) ([]elem, *Fault) {
	id := f.get("ImageId")
	if d.images[id] == nil {
		return nil, fault("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
	}
	delete(d.images, id)
	return []elem{tx("return", true)}, nil
}

// describeSnapshots returns all snapshots as completed, on one page.
func (d *disks) describeSnapshots(f form) ([]elem, *Fault) {
	var found []*snapshot
	ids := f.list("SnapshotId")
	for _, id := range sortedKeys(d.snapshots) {
		s := d.snapshots[id]
		ok, bad := f.filters(map[string]string{"status": "completed"}, s.tags)
		if bad != nil {
			return nil, bad
		}
		if ok && (len(ids) == 0 || slices.Contains(ids, id)) {
			found = append(found, s)
		}
	}
	return []elem{set("snapshotSet", found, func(s *snapshot) []elem {
		return []elem{tx("snapshotId", s.id), tx("status", "completed"), tagSet(s.tags)}
	})}, nil
}

// deleteSnapshot refuses the snapshot of a registered image.
func (d *disks) deleteSnapshot(f form) ([]elem, *Fault) {
	id := f.get("SnapshotId")
	if d.snapshots[id] == nil {
		return nil, fault("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", id)
	}
	for _, i := range d.images {
		if i.snapshot == id {
			return nil, fault("InvalidSnapshot.InUse", "The snapshot %s is currently in use by %s", id, i.id)
		}
	}
	delete(d.snapshots, id)
	return []elem{tx("return", true)}, nil
}

type volume struct {
	id, instance, kind, zone string
	size                     int
	ends                     bool // it is deleted with its instance
	encrypted                bool
	tags                     map[string]string
}

func (v *volume) state() string {
	if v.instance == "" {
		return "available"
	}
	return "in-use"
}

// describeVolumes selects by filters alone, and ignores a list of ids.
func (d *disks) describeVolumes(f form) ([]elem, *Fault) {
	var found []*volume
	for _, id := range sortedKeys(d.volumes) {
		v := d.volumes[id]
		ok, bad := f.filters(map[string]string{"status": v.state(), "volume-id": v.id}, v.tags)
		if bad != nil {
			return nil, bad
		}
		if ok {
			found = append(found, v)
		}
	}
	part, next := page(f, found, func(v *volume) string { return v.id })
	return append([]elem{set("volumeSet", part, func(v *volume) []elem {
		return []elem{
			tx("volumeId", v.id), tx("size", v.size), tx("status", v.state()), tx("volumeType", v.kind),
			tx("encrypted", v.encrypted), tx("availabilityZone", v.zone), tagSet(v.tags),
		}
	})}, next...), nil
}

// deleteVolume refuses a volume that an instance has.
func (d *disks) deleteVolume(f form) ([]elem, *Fault) {
	v := d.volumes[f.get("VolumeId")]
	switch {
	case v == nil:
		return nil, fault("InvalidVolume.NotFound", "The volume '%s' does not exist.", f.get("VolumeId"))
	case v.instance != "":
		return nil, fault("VolumeInUse", "Volume %s is currently attached to %s", v.id, v.instance)
	}
	delete(d.volumes, v.id)
	return []elem{tx("return", true)}, nil
}

// AddVolume makes a volume of no instance, as if it was forgotten, and returns its id.
func (c *Cloud) AddVolume(tags map[string]string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := &volume{id: c.ids.next("vol"), size: 1, kind: "gp3", tags: tags}
	c.disks.volumes[v.id] = v
	return v.id
}

// Things lists everything that would cost money or be in the way, one thing in a line. Terminated
// instances are left out.
func (c *Cloud) Things() (out []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	for _, id := range c.fleet.order {
		if i := c.fleet.all[id]; i.state != "terminated" {
			out = append(out, fmt.Sprintf("instance %s %s %s", id, i.state, i.tags["Name"]))
		}
	}
	for _, id := range sortedKeys(c.disks.volumes) {
		out = append(out, "volume "+id)
	}
	for _, id := range sortedKeys(c.disks.snapshots) {
		out = append(out, "snapshot "+id)
	}
	for _, id := range sortedKeys(c.disks.images) {
		out = append(out, "image "+id)
	}
	for _, id := range sortedKeys(c.keys.all) {
		out = append(out, "key pair "+id)
	}
	for _, id := range sortedKeys(c.groups.all) {
		out = append(out, "security group "+id)
	}
	for _, id := range sortedKeys(c.spots.all) {
		if s := c.spots.all[id]; s.state == "active" || s.state == "open" {
			out = append(out, "spot request "+id)
		}
	}
	return out
}
