package cloudcmd

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// kindOf returns the kind of cloud. rec is the deployment's record, or nil.
func (o *cloudOptions) kindOf(rec *deployment.Record) (clouds.Project, error) {
	recorded := ""
	if rec != nil {
		recorded = clouds.KindOf(rec)
	}
	kind := cmp.Or(o.provider, recorded, clouds.Types()[0])
	project, ok := clouds.ProjectOf(kind)
	if !ok {
		return project, fault.Invalid(term.DidYouMean(kind, clouds.Types(), "-p "), "-p %s: unknown provider name", kind)
	}
	if recorded != "" && kind != recorded {
		return project, fault.Conflict(
			"-p "+recorded+", or another --resource-name", "%s: it is deployed with -p %s", rec.Name, recorded,
		)
	}
	for _, other := range clouds.Projects() {
		for _, flag := range other.Options {
			if !slices.Contains(project.Options, flag) && o.said(flag) {
				return project, fault.Invalid("leave it out", "--%s: not for -p %s", flag, kind)
			}
		}
	}
	return project, nil
}

// open returns the cloud that is meant. It asks the cloud nothing yet.
func (o *cloudOptions) open(a *cli.App, rec *deployment.Record, keys string) (clouds.Cloud, error) {
	project, err := o.kindOf(rec)
	if err != nil {
		return nil, err
	}
	where := clouds.Where{
		Cloud: o.cloud, File: o.file, Profile: o.profile, Region: o.region, Endpoint: o.endpoint,
		Record: rec, Keys: keys, Log: a.Log,
	}
	if a.Host.Store() != nil {
		where.Installation = a.Host.Store().Installation()
	}
	if o.subnets != nil {
		where.Subnets = *o.subnets
	}
	cloud, err := project.Open(where)
	if err != nil {
		return nil, err
	}
	if c, ok := cloud.(interface{ CloseIdle() }); ok {
		a.Host.OnClose(c.CloseIdle)
	}
	return cloud, nil
}

// lists opens a cloud for verbs without a deployment.
func (o *cloudOptions) lists(a *cli.App) (clouds.Catalog, error) { return o.open(a, nil, "") }
