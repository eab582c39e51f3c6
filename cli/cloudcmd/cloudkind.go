package cloudcmd

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// cloudKind is a project of a cloud, as the verbs use it.
type cloudKind interface {
	cloudLists

	// finds out which project this is; call it before the methods below
	enter(ctx context.Context) error
	where() (cloud, project, region string)
	deploy(ctx context.Context, opt deployment.Options, s deployment.Settings) (*deployment.Record, error)
	teardown(ctx context.Context, opt deployment.Options) error
	servers(ctx context.Context, installation, name string) ([]deployment.ServerInfo, error)
	destroy(ctx context.Context, opt deployment.Options, s deployment.ServerInfo) error
	keyFile(name string) string
}

// cloudLists is what a cloud can list.
type cloudLists interface {
	flavors(ctx context.Context) (*flavor.Table, error)
	// untold describes what these credentials may not see
	quota(ctx context.Context) (quotas []cloudQuotaView, untold string, err error)
	// newest first
	images(ctx context.Context, prefix string) ([]cloudImageView, error)
	// nil: a source with this image name gets an image
	image(ctx context.Context, name string) error
}

// typeOf returns the type of the cloud. rec is the deployment's record, or nil.
func (o *cloudOptions) typeOf(rec *deployment.Record) (string, error) {
	recorded := ""
	if rec != nil {
		recorded = cmp.Or(rec.Provider, "openstack")
	}
	typ := cmp.Or(o.provider, recorded, "openstack")
	if !slices.Contains(clouds.Types(), typ) {
		return "", fault.Invalid(term.DidYouMean(typ, clouds.Types(), "-p "), "-p %s: unknown provider name", typ)
	}
	if recorded != "" && typ != recorded {
		return "", fault.Conflict("-p "+recorded+", or another --resource-name", "%s: it is deployed with -p %s", rec.Name, recorded)
	}
	return typ, nil
}

// others refuses options that are for another type of cloud.
func (o *cloudOptions) others(typ string, flags ...string) error {
	for _, f := range flags {
		if o.said(f) {
			return fault.Invalid("leave it out", "--%s: not for -p %s", f, typ)
		}
	}
	return nil
}

// openKind returns the cloud of the chosen type. It asks the cloud nothing yet.
func (o *cloudOptions) openKind(a *cli.App, rec *deployment.Record, keys string) (cloudKind, error) {
	typ, err := o.typeOf(rec)
	if err != nil {
		return nil, err
	}
	if typ == "ec2" {
		if err := o.others(
			typ, "cloud", "clouds-file", "network", "network-cidr", "network-gateway-ip", "network-cidr6", "network-dns",
			"no-dhcp", "external-network", "config-drive", "rotate-key",
		); err != nil {
			return nil, err
		}
		return newEC2Cloud(a, o, rec, keys), nil
	}
	if err := o.others(typ, "profile", "endpoint", "subnets"); err != nil {
		return nil, err
	}
	c := &openstackCloud{keys: keys}
	where := openstack.Where{Cloud: o.cloud, File: o.file, Region: o.region}
	if rec != nil && where.Cloud == "" && os.Getenv("OS_CLOUD") == "" && os.Getenv("OS_AUTH_URL") == "" {
		where.Cloud = rec.Cloud
	}
	c.name = cmp.Or(where.Cloud, os.Getenv("OS_CLOUD"))
	cred, err := openstack.FindCredentials(where)
	if err != nil {
		return nil, err
	}
	if c.session, err = openstack.NewSession(cred, openstack.SessionOptions{}); err != nil {
		return nil, err
	}
	a.Host.OnClose(c.session.CloseIdle)
	return c, nil
}

// lists is openKind for verbs without a deployment.
func (o *cloudOptions) lists(a *cli.App) (cloudLists, error) { return o.openKind(a, nil, "") }

// openstackCloud is a project of an OpenStack.
type openstackCloud struct {
	session *openstack.Session
	name    string // in clouds.yaml
	keys    string
	at      deployment.Cloud
}

func (c *openstackCloud) enter(ctx context.Context) (err error) {
	c.at, err = deployment.Open(ctx, c.session, c.name)
	return err
}

func (c *openstackCloud) where() (cloud, project, region string) {
	return c.at.Name, c.at.Project, c.at.Region
}

func (c *openstackCloud) keyFile(name string) string { return deployment.KeyFile(c.keys, name) }

func (c *openstackCloud) deploy(ctx context.Context, opt deployment.Options, s deployment.Settings) (*deployment.Record, error) {
	return deployment.Deploy(ctx, c.at, opt, s)
}

func (c *openstackCloud) teardown(ctx context.Context, opt deployment.Options) error {
	return deployment.Teardown(ctx, c.at, opt)
}

// servers lists servers, with the names of flavors instead of their ids if the cloud tells them.
func (c *openstackCloud) servers(ctx context.Context, installation, name string) ([]deployment.ServerInfo, error) {
	all, err := deployment.Servers(ctx, c.at, installation, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	table, err := c.session.Catalog().Flavors(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, f := range table.All() {
		names[f.ID] = f.Name
	}
	for i := range all {
		all[i].Flavor = cmp.Or(names[all[i].Flavor], all[i].Flavor)
	}
	return all, nil
}

func (c *openstackCloud) destroy(ctx context.Context, opt deployment.Options, s deployment.ServerInfo) error {
	return deployment.DestroyServer(ctx, c.at, opt, s)
}

func (c *openstackCloud) flavors(ctx context.Context) (*flavor.Table, error) {
	return c.session.Catalog().Flavors(ctx)
}

func (c *openstackCloud) image(ctx context.Context, name string) error {
	_, err := c.session.Catalog().Image(ctx, name, false)
	return err
}

func (c *openstackCloud) images(ctx context.Context, prefix string) ([]cloudImageView, error) {
	all, err := c.session.Catalog().Images(ctx)
	if err != nil {
		return nil, err
	}
	if prefix != "" {
		if err := c.image(ctx, prefix); err != nil { // the error says what there is
			return nil, err
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(i images.Image) bool {
		return !strings.HasPrefix(i.Name, prefix) && !strings.HasPrefix(i.ID, prefix)
	})
	slices.SortFunc(all, func(x, y images.Image) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), strings.Compare(x.Name+x.ID, y.Name+y.ID))
	})
	out := []cloudImageView{}
	for _, i := range all {
		out = append(
			out,
			cloudImageView{
				i.ID, i.Name, string(i.Visibility), i.SizeBytes, int64(i.MinDiskGigabytes) << 30,
				int64(i.MinRAMMegabytes) << 20, i.CreatedAt,
			},
		)
	}
	return out, nil
}

func (c *openstackCloud) quota(ctx context.Context) ([]cloudQuotaView, string, error) {
	q, err := c.session.Quota(ctx)
	if err != nil {
		return nil, "", err
	}
	out := []cloudQuotaView{}
	for _, l := range []struct {
		name  string
		limit openstack.Limit
	}{
		{"instances", q.Instances}, {"cores", q.Cores}, {"memory", q.Memory}, {"volumes", q.Volumes},
		{"volume-bytes", q.VolumeBytes}, {"networks", q.Networks}, {"routers", q.Routers},
		{"ports", q.Ports}, {"floating-ips", q.FloatingIPs}, {"security-groups", q.Groups}, {"key-pairs", q.KeyPairs},
	} {
		v := cloudQuotaView{Name: l.name}
		if l.name != "key-pairs" { // the cloud does not count these
			v.Used = &l.limit.Used
		}
		if l.limit.Max >= 0 {
			v.Max = &l.limit.Max
			if free := l.limit.Free(); v.Used != nil {
				v.Free = &free
			}
		}
		out = append(out, v)
	}
	return out, "", nil
}

var _ cloudKind = (*openstackCloud)(nil)
