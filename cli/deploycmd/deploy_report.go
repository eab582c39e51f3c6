package deploycmd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/run/junit"
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

// reports writes and prints the reports that were asked for.
func (d *deploying) reports(nodes []*deploy.Node) error {
	if len(nodes) == 0 {
		return nil
	}
	a, o := d.app, d.opt
	var errs []error
	var descriptions []deploy.Description
	views := make([]NodeView, 0, len(nodes))
	for _, n := range nodes {
		v := d.view(n)
		views = append(views, v)
		if n.State == deploy.Done || n.State == deploy.Failed {
			descriptions = append(descriptions, v.Description)
		}
	}
	if o.description != "" && len(descriptions) > 0 {
		var what any = descriptions
		if len(d.names) == 1 {
			what = descriptions[0]
		}
		text, err := json.MarshalIndent(what, "", "  ")
		if err == nil {
			err = writeFile(a, o.description, append(text, '\n'))
		}
		errs = append(errs, err)
	}
	if o.report != "" {
		var b bytes.Buffer
		err := junit.Write(&b, deploy.JUnit(nodes, d.show.mask))
		if err == nil {
			err = writeFile(a, o.report, b.Bytes())
		}
		errs = append(errs, err)
	}
	switch {
	case o.old:
	case a.JSON:
		errs = append(errs, a.PrintJSON(views))
	default:
		for _, v := range views {
			if v.Status == string(deploy.Done) {
				words := []string{v.Name, v.Instance}
				for _, address := range append(v.PublicIP, v.PrivateIP...) {
					words = append(words, term.Line(address))
				}
				errs = append(errs, term.Printf(a.Out, "%s\n", strings.Join(words, " ")))
			}
		}
	}
	return errors.Join(errs...)
}

// writeFile writes a whole file, or standard output for "-".
func writeFile(a *cli.App, name string, data []byte) error {
	if name == "-" {
		_, err := a.Out.Write(data)
		return err
	}
	if err := renameio.WriteFile(name, data, 0o644); err != nil {
		return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s is not written: %w", name, err)}
	}
	return nil
}
