package deploycmd

import (
	"cmp"
	"maps"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/units"
)

// ttlMadeUp is how long a node with a made-up name lives by default.
const ttlMadeUp = 24 * time.Hour

// request returns the request for each node of a variant.
func (d *deploying) request(v *variant) (compute.Request, error) {
	req, err := d.opt.AcquireFlags.Request(d.app, d.source)
	if err != nil {
		return req, err
	}
	req.Image, req.Flavor, req.Location = v.image, v.flavor, v.location
	req.Idle = -1 // a node stays until it is destroyed or its ttl has passed
	source, _ := d.app.Source(d.source)
	switch {
	case d.opt.old:
		req.TTL, req.Wait = -1, 0
	case d.opt.Ttl.Given:
	case !d.madeUp:
		req.TTL = -1
	case d.settings.TTL != "":
		if req.TTL, err = nodeTTL(d.settings.TTL); err != nil {
			return req, err
		}
	case source.TTL == 0:
		req.TTL = ttlMadeUp
	}
	if s := d.settings; req.Cores == 0 {
		req.Cores = s.Cores
	}
	req.Memory, req.Disk = cmp.Or(req.Memory, d.settings.Memory), cmp.Or(req.Disk, d.settings.Disk)
	labels := map[string]string{}
	maps.Copy(labels, req.Labels)
	var names []string
	if v.plan != nil {
		for _, b := range v.plan.Bundles() {
			names = append(names, b.Name)
		}
	}
	for key, value := range map[string]string{"bundles": strings.Join(names, ","), "image": v.image, "flavor": v.flavor} {
		if _, taken := labels[key]; value != "" && !taken {
			labels[key] = value
		}
	}
	req.Labels = labels
	return req, nil
}

// nodeTTL reads [deploy] ttl.
func nodeTTL(text string) (time.Duration, error) {
	if text == "none" {
		return -1, nil
	}
	d, err := units.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fault.Invalid("90m, 2d or none", "[deploy] ttl = %s: not a time", text)
	}
	return d, nil
}
