package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2"
	"github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/provider/flavor"
)

// EC2 opens EC2 regions for Options.Open. base says which region, and what servers have beside what
// an Order says, as for a source of type ec2. The zero value takes the credentials and the region
// that Amazon's own client would take. The fields User, PublicIP, Source, Installation, Deployment,
// Pair and Dir of base are ignored.
//
// Deploy makes a key pair and, if ports are required, a security group. Servers get this group and
// the groups that base names. They run in the subnets that base names, else in the region's own.
func EC2(base ec2.Options) func(context.Context, Setup) (Door, error) {
	return func(_ context.Context, setup Setup) (Door, error) {
		if setup.Dir == "" {
			return nil, &compute.Error{
				Op: "cloud.EC2", ID: compute.ID(setup.Resource), Kind: compute.ErrInvalid,
				Err: errors.New("a directory for private keys is missing"), Hint: "set Options.Dir",
			}
		}
		return &region{base: base, setup: setup}, nil
	}
}

// region is EC2 as a Door.
type region struct {
	base  ec2.Options
	setup Setup

	mu    sync.Mutex
	place *Place
}

var _ Door = (*region)(nil)

// deployed is what the store records of a deployment. It is written before anything is made.
type deployed struct {
	Project string `json:"project"`
	Pair    string `json:"pair,omitempty"`
	Group   string `json:"group,omitempty"`
	// the security group of servers for which no group is named
	Default string `json:"default,omitempty"`
}

func (r *region) key() string { return "cloud:" + r.setup.Resource + ":ec2" }

func (r *region) book() book { return book{r.setup.Store, r.setup.Resource} }

// known reads the record of the deployment; the zero value if there is none.
func (r *region) known(ctx context.Context) (d deployed, err error) {
	err = r.setup.Store.View(ctx, func(tx compute.Tx) error {
		n, err := notes(tx)
		if err != nil {
			return err
		}
		text, err := n.Note(r.key())
		if errors.Is(err, compute.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(text), &d)
	})
	return d, err
}

func (r *region) save(ctx context.Context, d deployed) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return r.book().saveText(ctx, r.key(), string(text))
}

func (r *region) open(ctx context.Context, login Login, d deployed) (*ec2.Provider, error) {
	o := r.base
	o.Source, o.Installation, o.Dir, o.Deployment = r.setup.Resource, r.setup.Store.Installation(), filepath.Join(r.setup.Dir, "ec2"), r.setup.Resource
	o.User, o.Pair = cmp.Or(login.User, o.User), d.Pair
	if d.Group != "" {
		o.SecurityGroups = append([]string{d.Group}, o.SecurityGroups...)
		if len(o.SecurityGroups) == 1 && d.Default != "" { // base names none of its own
			o.SecurityGroups = append(o.SecurityGroups, d.Default)
		}
	}
	if login.External {
		o.PublicIP, o.Address = "yes", "public"
	}
	return ec2.Open(ctx, r.setup.Log, o)
}

// Servers opens a provider of instances.
func (r *region) Servers(ctx context.Context, login Login) (compute.Provider, error) {
	d, err := r.known(ctx)
	if err != nil {
		return nil, err
	}
	p, err := r.open(ctx, login, d)
	if err != nil {
		return nil, err // not p: a typed nil is not nil
	}
	return p, nil
}

// Deploy makes a key pair and a security group, but no networks.
func (r *region) Deploy(ctx context.Context, config DeployConfig) (Deployment, error) {
	if len(config.DNSNameServers) > 0 || config.Network+config.CIDR+config.GatewayIP != "" {
		return Deployment{}, &compute.Error{Op: "cloud.Deploy", ID: compute.ID(r.setup.Resource),
			Kind: compute.ErrInvalid, Err: errors.New("networks are not made on EC2"),
			Hint: "name what there is in the ec2.Options: Subnets, or nothing for the region's own network"}
	}
	place, d, err := r.same(ctx)
	if err != nil {
		return Deployment{}, err
	}
	p, err := r.open(ctx, Login{}, deployed{})
	if err != nil {
		return Deployment{}, err
	}
	d.Project = place.Project
	want := deployment.Deployment{Name: r.setup.Resource, From: config.From, Begin: func() error {
		if d.Project == "" {
			return nil
		}
		return r.save(ctx, d)
	}}
	for _, port := range config.RequiredPorts {
		want.Ports = append(want.Ports, strconv.Itoa(port))
	}
	got, err := p.Deployment().Deploy(ctx, want, func(did, kind, name string) {
		r.setup.Log.Info("deployment", "did", did, "kind", kind, "name", name)
	})
	if err != nil {
		return Deployment{}, err
	}
	if r.base.Key == "" && r.base.IdentityFile == "" {
		d.Pair = got.Pair
	}
	d.Group, d.Default = got.Group, got.Default
	if err := r.save(ctx, d); err != nil {
		return Deployment{}, err
	}
	out := Deployment{Details: map[string]string{}, Project: place.Project, PrivateKey: got.PrivateKey}
	for word, id := range map[string]string{"keypair": got.Pair, "secgroup": got.Group} {
		if id != "" {
			out.Details[word] = id
		}
	}
	return out, nil
}

// same returns our place and the deployment. It refuses an account or a region other than the
// deployment's.
func (r *region) same(ctx context.Context) (Place, deployed, error) {
	place, err := r.Place(ctx)
	if err != nil {
		return place, deployed{}, err
	}
	d, err := r.known(ctx)
	if err == nil && d.Project != "" && d.Project != place.Project {
		err = &compute.Error{Op: "cloud.EC2", ID: compute.ID(r.setup.Resource), Kind: compute.ErrConflict,
			Err: fmt.Errorf(
				"it was deployed in %s, and the credentials are for %s", d.Project,
				cmp.Or(place.Project, "an account that they may not look at"),
			),
			Hint: "use the credentials and the region that it was deployed with, or another resource name"}
	}
	return place, d, err
}

// TearDown deletes everything that carries the deployment's mark.
func (r *region) TearDown(ctx context.Context, dryRun bool) ([]string, error) {
	_, d, err := r.same(ctx)
	if err != nil {
		return nil, err
	}
	p, err := r.open(ctx, Login{}, d)
	if err != nil {
		return nil, err
	}
	things, _, err := p.Deployment().Teardown(ctx, r.setup.Resource, dryRun)
	var deleted []string
	for _, t := range things {
		if t.Kind == "instance" {
			t.Kind = "server"
		}
		deleted = append(deleted, t.String())
	}
	if dryRun || err != nil && !errors.Is(err, compute.ErrNotFound) {
		return deleted, err
	}
	return deleted, errors.Join(err, r.book().saveText(ctx, r.key(), ""))
}

// Flavors returns the region's instance types.
func (r *region) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	p, err := r.open(ctx, Login{}, deployed{})
	if err != nil {
		return nil, err
	}
	return p.Flavors(ctx, fresh)
}

// Quota counts what runs in the region, and asks the service for the limit.
func (r *region) Quota(ctx context.Context) (q Quota, err error) {
	p, err := r.open(ctx, Login{}, deployed{})
	if err != nil {
		return q, err
	}
	limit, used, err := p.Usage(ctx)
	if err != nil {
		return q, err
	}
	q.Max.Instances = limit
	for _, f := range used {
		q.Used = q.Used.Plus(f.Takes(0))
	}
	return q, nil
}

// Place returns the account and the region, and by the metadata service the instance that this
// process runs on.
func (r *region) Place(ctx context.Context) (Place, error) {
	r.mu.Lock()
	known := r.place
	r.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	p, err := r.open(ctx, Login{}, deployed{})
	if err != nil {
		return Place{}, err
	}
	account, name, err := p.Deployment().Account(ctx)
	if err != nil || account == "" {
		return Place{}, err
	}
	place := Place{Project: "account " + account + " in " + name}
	self, err := p.Deployment().Self(ctx)
	if err != nil {
		return Place{}, err
	}
	if self != nil {
		place.Self = cmp.Or(string(self.Instance), self.ID)
	}
	r.mu.Lock()
	r.place = &place
	r.mu.Unlock()
	return place, nil
}

// NoHardware reports whether there was no capacity for the type.
func (r *region) NoHardware(err error) bool { return session.ReasonOf(err) == session.NoHardware }
