package clouds

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// region is an account of EC2 in a region.
type region struct {
	log  *slog.Logger
	base ec2.Options

	mu    sync.Mutex
	place *Place  // nil: not asked yet, or not known
	self  *string // nil: not asked yet
}

var _ Cloud = (*region)(nil)

// EC2 returns the account and the region of base. The rest of base is what servers have beside what
// is deployed: their security groups, and the subnets that they run in.
func EC2(log *slog.Logger, base ec2.Options) Cloud { return &region{log: log, base: base} }

// openRegion takes what is not given from the record.
func openRegion(w Where) (Cloud, error) {
	o := ec2.Options{
		Region: w.Region, Profile: w.Profile, Endpoint: w.Endpoint, Subnets: w.Subnets,
		Installation: cmp.Or(w.Installation, "none"), Source: "cloud", Dir: cmp.Or(w.Keys, os.TempDir()),
	}
	if rec := w.Record; rec != nil {
		if os.Getenv("AWS_PROFILE") == "" && os.Getenv("AWS_ACCESS_KEY_ID") == "" {
			o.Profile = cmp.Or(o.Profile, rec.Cloud)
		}
		o.Region, o.Endpoint = cmp.Or(o.Region, rec.Region), cmp.Or(o.Endpoint, rec.Notes[noteEndpoint])
		if len(o.Subnets) == 0 && rec.Notes[noteSubnets] != "" {
			o.Subnets = strings.Split(rec.Notes[noteSubnets], ", ")
		}
	}
	return EC2(w.Log, o), nil
}

// secretDir returns the directory with the secret of a deployment, and with the private key that is
// derived from it.
func secretDir(keys, name string) string { return deployment.KeyFile(keys, name) + ".ec2" }

// keyFile returns the private key of a deployment.
func keyFile(keys, name string) string { return filepath.Join(secretDir(keys, name), "key") }

// open returns a provider that needs no deployment.
func (r *region) open(ctx context.Context) (*ec2.Provider, error) {
	return ec2.Open(ctx, r.log, r.base)
}

// options returns the options of a deployment's provider. It makes no file before it needs a key.
func (r *region) options(o deployment.Options) ec2.Options {
	out := r.base
	out.Source, out.Deployment, out.Installation = o.Name, o.Name, o.Installation
	out.Dir, out.Metadata = secretDir(o.Keys, o.Name), cmp.Or(o.Metadata, out.Metadata)
	return out
}

// Place remembers the answer, unless the account is not known.
func (r *region) Place(ctx context.Context) (Place, error) {
	r.mu.Lock()
	known := r.place
	r.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	p, err := r.open(ctx)
	if err != nil {
		return Place{}, err
	}
	account, name, err := p.Deployment().Account(ctx)
	if err != nil {
		return Place{}, err
	}
	place := Place{Cloud: r.base.Profile, Project: account, Region: name}
	if account == "" {
		return place, nil
	}
	place.Identity = "account " + account + " in " + name
	r.mu.Lock()
	defer r.mu.Unlock()
	r.place = &place
	return place, nil
}

// Self asks the metadata service.
func (r *region) Self(ctx context.Context) (string, error) {
	r.mu.Lock()
	known := r.self
	r.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	p, err := r.open(ctx)
	if err != nil {
		return "", err
	}
	instance, err := p.Deployment().Self(ctx)
	if err != nil {
		return "", err
	}
	name := ""
	if instance != nil {
		name = cmp.Or(string(instance.Instance), instance.ID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = &name
	return name, nil
}

// Servers opens a provider of instances, with the key pair and the security group of the deployment
// if there is one, and with the default group of the network if base names none.
func (r *region) Servers(ctx context.Context, d deployment.Options, login Login) (compute.Provider, error) {
	rec, err := recorded(ctx, d, ec2.Kind.Name)
	if err != nil {
		return nil, err
	}
	o := r.options(d)
	o.User, o.Pair = cmp.Or(login.User, o.User), ""
	if login.External {
		o.PublicIP, o.Address = "yes", "public"
	}
	if rec != nil {
		if o.Key == "" && o.IdentityFile == "" {
			o.Pair = rec.ID(deployment.KeyPair)
		}
		groups := rec.IDs(deployment.Group)
		if len(o.SecurityGroups) > 0 {
			groups = groups[:min(1, len(groups))] // without the default one
		}
		o.SecurityGroups = append(groups, o.SecurityGroups...)
	}
	p, err := ec2.Open(ctx, r.log, o)
	if err != nil {
		return nil, err // not p: a typed nil is not nil
	}
	return p, nil
}

// List returns the servers of this installation, whichever is asked for.
func (r *region) List(ctx context.Context, _, name string) (out []deployment.ServerInfo, err error) {
	p, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	all, err := p.Deployment().Servers(ctx, name)
	for _, s := range all {
		out = append(out, deployment.ServerInfo{
			Mark: openstack.Mark{Installation: r.base.Installation, Source: s.Source, Instance: s.Instance, Deployment: s.Deployment},
			ID:   s.ID, Name: string(s.Instance), Status: s.State, Addresses: s.Addresses, Flavor: s.Type, Zone: s.Zone,
			Created: s.Launched, Problem: s.Problem,
		})
	}
	return out, err
}

// Destroy gives the cloud ServersPatience, or 4 minutes by default.
func (r *region) Destroy(ctx context.Context, o deployment.Options, s deployment.ServerInfo) error {
	if o.DryRun {
		return nil
	}
	p, err := r.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(o.ServersPatience, 4*time.Minute))
	defer cancel()
	return p.Deployment().DestroyServer(ctx, s.ID)
}

// NoHardware reports whether there was no capacity for the type.
func (r *region) NoHardware(err error) bool { return session.ReasonOf(err) == session.NoHardware }

// Flavors returns the region's instance types.
func (r *region) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	p, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	return p.Flavors(ctx, fresh)
}

// Quota counts what runs, and has the limit of instances. The limits of processors are of Service
// Quotas, by class of types and market.
func (r *region) Quota(ctx context.Context, all bool) (out []Quota, untold string, err error) {
	p, err := r.open(ctx)
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
	count := func(name string, most, used int64) Quota {
		q := Quota{Name: name, Used: &used}
		if most > 0 {
			free := max(most-used, 0)
			q.Max, q.Free = &most, &free
		}
		return q
	}
	out = []Quota{
		count(QuotaInstances, int64(limit), int64(sum.Instances)), count(QuotaCores, 0, int64(sum.Cores)),
		count(QuotaMemory, 0, int64(sum.RAM)<<20),
	}
	if !all {
		return out, "", nil
	}
	classes, untold, err := p.Limits(ctx)
	for _, l := range classes {
		most, used, free := int64(l.Max), int64(l.Used), int64(max(l.Max-l.Used, 0))
		out = append(out, Quota{Name: "cores " + l.Class, Max: &most, Used: &used, Free: &free})
	}
	return out, untold, err
}

// Images says of an image that it needs a disk of its own size. EC2 states no other minimum.
func (r *region) Images(ctx context.Context, prefix string) (out []Image, err error) {
	p, err := r.open(ctx)
	if err != nil {
		return nil, err
	}
	all, err := p.Images(ctx, prefix)
	for _, i := range all {
		visibility := map[bool]string{true: "public", false: "private"}[i.Public]
		out = append(out, Image{ID: i.ID, Name: i.Name, Visibility: visibility, Size: i.Size, MinDisk: i.Size, Created: i.Created})
	}
	return out, err
}

func (r *region) HasImage(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "resolve:ssm:") { // EC2 looks it up as it launches
		return nil
	}
	p, err := r.open(ctx)
	if err == nil {
		_, err = p.ImageDigest(ctx, name, false)
	}
	return err
}

// regionSection returns the section of a source of instances.
func regionSection(rec *deployment.Record, s Source) []Setting {
	out := []Setting{
		{"profile", rec.Cloud}, {"region", rec.Region}, {"type-match", s.Flavor}, {"volume-size", s.Disk},
	}
	if s.Floating {
		out = append(out, Setting{"public-ip", "yes"}, Setting{"address", "public"})
	}
	return out
}
