package deploycmd

import (
	"cmp"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
)

// NodeView is a node in `deploy --json` and `list --json`: its description, and how it stands.
type NodeView struct {
	deploy.Description
	Instance string `json:"instance"`
	Status   string `json:"status"`
	Error    string `json:"error,omitempty"`
	Owner    string `json:"owner,omitempty"`
}

// viewNode describes a node that is there.
func viewNode(n deploy.Existing) NodeView {
	i, l := n.Instance, n.Lease
	d := deploy.Description{
		ID: cmp.Or(i.ProviderID, string(l.Instance)), Name: n.Name(), State: deploy.StateUnknown, Provider: l.Source, Lease: l.ID,
		ImageID: cmp.Or(i.Facts["image_id"], l.Labels["image"]), ImageName: cmp.Or(i.Facts["image"], l.Labels["image"]),
		Region: i.Facts["region"],
		Size:   cmp.Or(i.Facts["flavor"], l.Labels["flavor"]), SSH: nodeSSH(i), Bundles: []deploy.Bundle{}, Scripts: []deploy.Script{},
	}
	d.PublicIP, d.PrivateIP = n.Addresses()
	if !l.Given.IsZero() {
		d.CreatedAt = &l.Given
	}
	if i.State == compute.Leased {
		d.State = deploy.StateRunning
	}
	if l.Holds.Cost > 0 {
		d.CostPerHour = &l.Holds.Cost
	}
	for name := range strings.SplitSeq(l.Labels["bundles"], ",") {
		if name != "" {
			d.Bundles = append(d.Bundles, deploy.Bundle{Name: name})
		}
	}
	return NodeView{Description: d, Instance: string(l.Instance), Status: string(i.State), Owner: l.Owner}
}

// view describes a node that this deployment made, or tried to.
func (d *deploying) view(n *deploy.Node) NodeView {
	v := viewNode(deploy.Existing{Lease: n.Lease, Instance: n.Instance})
	v.Name, v.Status, v.Provider, v.Owner = n.Name, string(n.State), d.source, d.owner
	switch n.State {
	case deploy.Done, deploy.Failed:
		v.State = deploy.StateRunning
	default:
		v.State = deploy.StateUnknown
	}
	if n.Err != nil {
		v.Error = d.show.mask(term.ErrorText(n.Err))
	}
	v.Bundles = append([]deploy.Bundle{}, n.Bundles...)
	// the boot sets them up
	if _, booting := d.booting.Load(n.Name); booting && len(n.Bundles) == 0 {
		v.Bundles = d.by[n.Name].bundles()
	}
	for _, s := range n.Steps {
		if s.Script && !s.Same {
			v.Scripts = append(
				v.Scripts,
				deploy.Script{Name: s.Name, ExitStatus: s.Status, Seconds: s.Took.Seconds(), Log: d.show.logFile(n.Name)},
			)
		}
	}
	return v
}
