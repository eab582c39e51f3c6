package cloudcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/ec2"
	ec2deployment "github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// ec2Cloud is an account of EC2 in a region.
type ec2Cloud struct {
	log             *slog.Logger
	base            ec2.Options
	keys            string
	account, region string // from enter on; account "": these credentials may not look
}

var _ cloudKind = (*ec2Cloud)(nil)

// newEC2Cloud takes options that are not given from the record.
func newEC2Cloud(a *cli.App, o *cloudOptions, rec *deployment.Record, keys string) *ec2Cloud {
	c := &ec2Cloud{
		log: a.Log, keys: keys,
		base: ec2.Options{
			Region: o.region, Profile: o.profile, Endpoint: o.endpoint, Installation: "none", Source: "cloud",
			Dir: cmp.Or(keys, os.TempDir()),
		},
	}
	if a.Host.Store() != nil {
		c.base.Installation = a.Host.Store().Installation()
	}
	if o.subnets != nil {
		c.base.Subnets = *o.subnets
	}
	if rec == nil {
		return c
	}
	if os.Getenv("AWS_PROFILE") == "" && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
		c.base.Profile = cmp.Or(c.base.Profile, rec.Cloud)
	}
	c.base.Region, c.base.Endpoint = cmp.Or(c.base.Region, rec.Region), cmp.Or(c.base.Endpoint, rec.Notes[clouds.NoteEndpoint])
	if len(c.base.Subnets) == 0 && rec.Notes[clouds.NoteSubnets] != "" {
		c.base.Subnets = strings.Split(rec.Notes[clouds.NoteSubnets], ", ")
	}
	return c
}

// provider returns a deployment's provider, or for "" one without a deployment. It makes no file
// before Deploy.
func (c *ec2Cloud) provider(ctx context.Context, name string) (*ec2.Provider, error) {
	o := c.base
	if name != "" {
		o.Source, o.Dir = name, clouds.EC2KeyFile(c.keys, name)
	}
	return ec2.Open(ctx, c.log, o)
}

func (c *ec2Cloud) enter(ctx context.Context) error {
	p, err := c.provider(ctx, "")
	if err != nil {
		return err
	}
	c.account, c.region, err = p.Deployment().Account(ctx)
	return err
}

func (c *ec2Cloud) where() (cloud, project, region string) {
	return c.base.Profile, c.account, c.region
}

func (c *ec2Cloud) keyFile(name string) string {
	return filepath.Join(clouds.EC2KeyFile(c.keys, name), "key")
}

// known reads the record, and refuses that of another account or region. It returns nil if there is
// none.
func (c *ec2Cloud) known(ctx context.Context, opt deployment.Options) (*deployment.Record, error) {
	rec, err := opt.Store.Deployment(ctx, opt.Name)
	if errors.Is(err, compute.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if rec.Region != c.region || rec.Project != "" && rec.Project != c.account {
		return nil, &compute.Error{ID: compute.ID(opt.Name), Kind: compute.ErrConflict,
			Err: fmt.Errorf(
				"it is deployed in account %s in %s, and these credentials are for account %s in %s",
				term.OrDash(rec.Project), rec.Region, term.OrDash(c.account), c.region,
			),
			Hint: "use the credentials and the region that it was deployed with"}
	}
	return rec, nil
}

func (c *ec2Cloud) deploy(ctx context.Context, opt deployment.Options, s deployment.Settings) (*deployment.Record, error) {
	if opt.Metadata != "" {
		return nil, fault.Invalid("leave it out", "--metadata-service: not for -p ec2, where deploy makes the same wherever it runs")
	}
	rec, err := c.known(ctx, opt)
	if err != nil {
		return nil, err
	}
	if rec != nil && rec.State == deployment.TearingDown {
		return rec, &compute.Error{
			ID: compute.ID(opt.Name), Kind: compute.ErrConflict, Err: errors.New("it is being torn down"),
			Hint: "finish that first: hostler cloud teardown",
		}
	}
	if rec == nil {
		rec = &deployment.Record{
			Name: opt.Name, Provider: "ec2", Installation: opt.Installation, Project: c.account, Region: c.region,
			Notes: map[string]string{},
		}
	}
	p, err := c.provider(ctx, opt.Name)
	if err != nil {
		return nil, err
	}
	save := func(state string) error {
		if opt.DryRun {
			return nil // it stays in its state: in none, where nothing is deployed
		}
		rec.State, rec.Since = state, time.Now().UTC()
		return opt.Store.SaveDeployment(ctx, rec)
	}
	rec.Cloud, rec.Settings = c.base.Profile, deployment.Settings{Ports: s.Ports, From: s.From}
	if rec.Notes == nil {
		rec.Notes = map[string]string{}
	}
	rec.Notes[clouds.NoteEndpoint], rec.Notes[clouds.NoteSubnets] = c.base.Endpoint, strings.Join(c.base.Subnets, ", ")
	told := map[string]string{}
	begin := func() error { return save(deployment.Deploying) }
	got, err := p.Deployment().Deploy(ctx, ec2deployment.Deployment{
		Name: opt.Name, Ports: s.Ports, From: s.From, DryRun: opt.DryRun, Begin: begin,
	}, func(did, kind, name string) {
		if told[kind] = did; kind == deployment.Rule {
			opt.Tell(deployment.Step{Did: did, Kind: kind, Name: name})
		}
	})
	if err != nil {
		return rec, err
	}
	things := []deployment.Thing{{Kind: deployment.KeyPair, Name: got.Pair, ID: got.Pair, Made: true}}
	if len(s.Ports) > 0 {
		if told[deployment.Rule] != "" && told[deployment.Group] == "" {
			told[deployment.Group] = map[bool]string{false: deployment.Repaired, true: deployment.WouldFix}[opt.DryRun]
		}
		things = append(things, deployment.Thing{Kind: deployment.Group, Name: opt.Name, ID: got.Group, Made: true})
	}
	for _, t := range things {
		opt.Tell(deployment.Step{Did: cmp.Or(told[t.Kind], deployment.Found), Kind: t.Kind, Name: t.Name, ID: t.ID})
	}
	// instances in our group alone could not reach those in none
	if got.Default != "" && len(things) > 1 {
		things = append(things, deployment.Thing{Kind: deployment.Group, Name: "default", ID: got.Default})
	}
	rec.Things = things
	return rec, save(deployment.Deployed)
}

func (c *ec2Cloud) teardown(ctx context.Context, opt deployment.Options) error {
	rec, err := c.known(ctx, opt)
	if err != nil {
		return err
	}
	c.base.Metadata = opt.Metadata
	p, err := c.provider(ctx, opt.Name)
	if err != nil {
		return err
	}
	did := deployment.Deleted
	if opt.DryRun {
		did = deployment.WouldDrop
	} else if rec != nil {
		rec.State, rec.Since = deployment.TearingDown, time.Now().UTC()
		if err := opt.Store.SaveDeployment(ctx, rec); err != nil {
			return err
		}
	}
	deleted, kept, err := p.Deployment().Teardown(ctx, opt.Name, opt.DryRun)
	told := func(did, note string, things []ec2deployment.Thing) {
		for _, t := range things {
			kind := t.Kind
			if kind == "instance" {
				kind = deployment.Server
			}
			opt.Tell(deployment.Step{Did: did, Kind: kind, Name: t.Name, ID: t.ID, Note: note})
		}
	}
	told(did, "", deleted)
	told(deployment.Left, "of the server that this runs on", kept)
	if errors.Is(err, compute.ErrNotFound) && rec != nil {
		err = nil // deleted by hand, or by a killed process
	} else if errors.Is(err, compute.ErrNotFound) {
		return &compute.Error{
			ID: compute.ID(opt.Name), Kind: compute.ErrNotFound,
			Err:  errors.New("nothing to tear down; did you deploy with the current credentials?"),
			Hint: "hostler cloud servers -p ec2 shows what there is",
		}
	}
	if err != nil || opt.DryRun {
		return err
	}
	if err := os.RemoveAll(clouds.EC2KeyFile(c.keys, opt.Name)); err != nil {
		return &compute.Error{Op: "remove the private key", Kind: compute.ErrFailed, Err: err}
	}
	return opt.Store.DropDeployment(ctx, opt.Name)
}

func (c *ec2Cloud) servers(ctx context.Context, _, name string) (out []deployment.ServerInfo, err error) {
	p, err := c.provider(ctx, "")
	if err != nil {
		return nil, err
	}
	all, err := p.Deployment().Servers(ctx, name)
	for _, s := range all {
		out = append(out, deployment.ServerInfo{
			Mark: openstack.Mark{Installation: c.base.Installation, Source: s.Source, Instance: s.Instance, Deployment: s.Deployment},
			ID:   s.ID, Name: string(s.Instance), Status: s.State, Addresses: s.Addresses, Flavor: s.Type, Zone: s.Zone,
			Created: s.Launched, Problem: s.Problem,
		})
	}
	return out, err
}

func (c *ec2Cloud) destroy(ctx context.Context, opt deployment.Options, s deployment.ServerInfo) error {
	if opt.DryRun {
		return nil
	}
	p, err := c.provider(ctx, "")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(opt.ServersPatience, 4*time.Minute))
	defer cancel()
	return p.Deployment().DestroyServer(ctx, s.ID)
}

func (c *ec2Cloud) flavors(ctx context.Context) (*flavor.Table, error) {
	p, err := c.provider(ctx, "")
	if err != nil {
		return nil, err
	}
	return p.Flavors(ctx, false)
}

func (c *ec2Cloud) image(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "resolve:ssm:") { // EC2 looks it up as it launches
		return nil
	}
	p, err := c.provider(ctx, "")
	if err == nil {
		_, err = p.ImageDigest(ctx, name, false)
	}
	return err
}

func (c *ec2Cloud) images(ctx context.Context, prefix string) ([]cloudImageView, error) {
	p, err := c.provider(ctx, "")
	if err != nil {
		return nil, err
	}
	all, err := p.Images(ctx, prefix)
	if err != nil {
		return nil, err
	}
	out := []cloudImageView{}
	for _, i := range all {
		visibility := map[bool]string{true: "public", false: "private"}[i.Public]
		out = append(out, cloudImageView{ID: i.ID, Name: i.Name, Visibility: visibility, Size: i.Size, MinDisk: i.Size, Created: i.Created})
	}
	return out, nil
}

// quota counts what runs, and has the service's limits. For processors these are of Service Quotas,
// by class of types and market.
func (c *ec2Cloud) quota(ctx context.Context) (out []cloudQuotaView, untold string, err error) {
	p, err := c.provider(ctx, "")
	if err != nil {
		return nil, "", err
	}
	limit, used, err := p.Usage(ctx)
	if err != nil {
		return nil, "", err
	}
	var sum flavor.Resources
	for _, f := range used {
		sum = sum.Plus(f.Takes(0))
	}
	view := func(name string, most, used int64) cloudQuotaView {
		v := cloudQuotaView{Name: name, Used: &used}
		if most > 0 {
			free := max(most-used, 0)
			v.Max, v.Free = &most, &free
		}
		return v
	}
	out = []cloudQuotaView{
		view("instances", int64(limit), int64(sum.Instances)), view("cores", 0, int64(sum.Cores)),
		view("memory", 0, int64(sum.RAM)<<20),
	}
	classes, untold, err := p.Limits(ctx)
	for _, l := range classes {
		most, used, free := int64(l.Max), int64(l.Used), int64(max(l.Max-l.Used, 0))
		out = append(out, cloudQuotaView{Name: "cores " + l.Class, Max: &most, Used: &used, Free: &free})
	}
	return out, untold, err
}
