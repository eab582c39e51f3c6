package cloud

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// OpenStack opens OpenStack clouds for Options.Open. base says which project, and what servers have
// beside what an Order says, as for a source of type openstack. The zero value takes the
// credentials that OpenStack's own client would take. The fields User, FloatingIP, Source,
// Installation and Dir of base are ignored. Once something was deployed, so are its network,
// security groups and key.
func OpenStack(base openstack.Options) func(context.Context, Setup) (Door, error) {
	return func(_ context.Context, setup Setup) (Door, error) {
		if setup.Dir == "" {
			return nil, &compute.Error{
				Op: "cloud.OpenStack", ID: compute.ID(setup.Resource), Kind: compute.ErrInvalid,
				Err: errors.New("a directory for private keys is missing"), Hint: "set Options.Dir",
			}
		}
		s := &stack{base: base, setup: setup}
		if s.session = base.Session; s.session == nil {
			cred, err := openstack.FindCredentials(openstack.Where{
				Cloud: base.Cloud, File: base.CloudsFile, Region: base.Region, Getenv: base.Getenv,
			})
			if err != nil {
				return nil, err
			}
			if s.session, err = openstack.NewSession(cred, openstack.SessionOptions{Rate: base.RateLimit}); err != nil {
				return nil, err
			}
		}
		return s, nil
	}
}

// stack is an OpenStack as a Door.
type stack struct {
	base    openstack.Options
	setup   Setup
	session *openstack.Session

	mu    sync.Mutex
	place *Place
}

var _ Door = (*stack)(nil)

// Servers opens a provider of servers on the deployment, else with what base says.
func (s *stack) Servers(ctx context.Context, login Login) (compute.Provider, error) {
	o, err := s.serversOptions(ctx, login)
	if err != nil {
		return nil, err
	}
	p, err := openstack.Open(ctx, s.setup.Log, o)
	if err != nil {
		return nil, err // not p: a typed nil is not nil
	}
	return p, nil
}

// serversOptions returns the options of the provider of servers.
func (s *stack) serversOptions(ctx context.Context, login Login) (o openstack.Options, err error) {
	rec, err := s.Deployment(ctx, s.setup.Resource)
	if err != nil && !errors.Is(err, compute.ErrNotFound) {
		return o, err
	}
	o = s.base
	o.Deployment = s.setup.Resource // so teardown deletes them too, also from the command line
	o.Session, o.Source, o.Installation, o.Dir = s.session, s.setup.Resource, s.setup.Store.Installation(), s.setup.Dir
	o.User, o.FloatingIP = cmp.Or(login.User, o.User), login.External
	if !o.FloatingIP {
		o.Pool = ""
	}
	if rec != nil {
		o.Network, o.Key, o.IdentityFile = []string{rec.ID(deployment.Network)}, rec.ID(deployment.KeyPair), deployment.KeyFile(s.setup.Dir, s.setup.Resource)
		o.ConfigDrive = o.ConfigDrive || rec.Settings.ConfigDrive
		if group := rec.GroupID(); group != "" {
			o.Groups = []string{group, "default"}
		}
		if external := rec.Settings.External; o.FloatingIP && o.Pool == "" && external != deployment.NoExternal {
			o.Pool = external
		}
	}
	return o, nil
}

// options returns the options of the deployment.
func (s *stack) options() deployment.Options {
	return deployment.Options{
		Name: s.setup.Resource, Installation: s.setup.Store.Installation(), Keys: s.setup.Dir, Store: s,
		Log: s.setup.Log,
	}
}

// cloud logs in for the deployment.
func (s *stack) cloud(ctx context.Context) (deployment.Cloud, error) {
	return deployment.Open(ctx, s.session, s.base.Cloud)
}

// Deploy makes the key pair, the network and what else servers need.
func (s *stack) Deploy(ctx context.Context, config DeployConfig) (Deployment, error) {
	c, err := s.cloud(ctx)
	if err != nil {
		return Deployment{}, err
	}
	settings := deployment.Settings{
		From: config.From, Network: config.Network, CIDR: config.CIDR, Gateway: config.GatewayIP,
		DNS: config.DNSNameServers, ConfigDrive: config.UseConfigDrive,
	}
	for _, port := range config.RequiredPorts {
		settings.Ports = append(settings.Ports, strconv.Itoa(port))
	}
	rec, err := deployment.Deploy(ctx, c, s.options(), settings)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{Details: map[string]string{}, Project: rec.Project, CIDR: rec.Settings.CIDR}
	if config.Network != "" {
		d.CIDR = "" // it is there already, with subnets of its own
	}
	for word, kind := range map[string]string{
		"keypair": deployment.KeyPair, "secgroup": deployment.Group, "network": deployment.Network,
		"subnet": deployment.Subnet, "router": deployment.Router,
	} {
		if id := rec.ID(kind); id != "" {
			d.Details[word] = id
		}
	}
	key, err := os.ReadFile(deployment.KeyFile(s.setup.Dir, s.setup.Resource))
	if err != nil {
		return Deployment{}, err
	}
	d.PrivateKey = string(key)
	return d, nil
}

// TearDown deletes what was deployed, and what servers of it left behind.
func (s *stack) TearDown(ctx context.Context, dryRun bool) (deleted []string, err error) {
	c, err := s.cloud(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	o := s.options()
	o.DryRun = dryRun
	o.Tell = func(step deployment.Step) {
		if step.Did == deployment.Deleted || step.Did == deployment.WouldDrop {
			mu.Lock()
			defer mu.Unlock()
			deleted = append(deleted, step.Kind+" "+step.Name)
		}
	}
	err = deployment.Teardown(ctx, c, o)
	if err == nil && !dryRun { // servers of before the first Deploy had a key of their own
		err = openstack.DropKey(
			ctx,
			openstack.Options{Session: s.session, Source: s.setup.Resource, Installation: s.setup.Store.Installation(), Dir: s.setup.Dir},
		)
	}
	mu.Lock()
	defer mu.Unlock()
	return deleted, err
}

// Flavors returns the project's flavors.
func (s *stack) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	if fresh {
		// Looking for an unknown flavor makes the catalog ask the cloud again.
		if _, err := s.session.Catalog().Flavor(ctx, "\x00"); err != nil && !errors.Is(err, compute.ErrNotFound) {
			return nil, err
		}
	}
	return s.session.Catalog().Flavors(ctx)
}

// Quota returns the project's limits and use.
func (s *stack) Quota(ctx context.Context) (Quota, error) {
	q, err := s.session.Quota(ctx)
	if err != nil {
		return Quota{}, err
	}
	most := func(l openstack.Limit, unit int64) int { return int(max(0, l.Max) / unit) }
	return Quota{
		Max: flavor.Resources{
			Cores: most(q.Cores, 1), RAM: most(q.Memory, 1<<20), Instances: most(q.Instances, 1),
			Volume: most(q.VolumeBytes, 1<<30),
		},
		Used: flavor.Resources{
			Cores: int(q.Cores.Used), RAM: int(q.Memory.Used >> 20), Instances: int(q.Instances.Used),
			Volume: int(q.VolumeBytes.Used >> 30),
		},
	}, nil
}

// Place asks for the project of the credentials, and for the server that this process runs on. The
// answer does not change.
func (s *stack) Place(ctx context.Context) (Place, error) {
	s.mu.Lock()
	known := s.place
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	c, err := s.cloud(ctx)
	if err != nil {
		return Place{}, err
	}
	p := Place{Project: c.Project}
	self, err := deployment.InCloud(ctx, c, "")
	if err != nil {
		return Place{}, err
	}
	if self != nil {
		p.Self = self.Name
	}
	s.mu.Lock()
	s.place = &p
	s.mu.Unlock()
	return p, nil
}

// NoHardware reports whether the scheduler found no host.
func (s *stack) NoHardware(err error) bool { return openstack.ReasonOf(err) == openstack.NoHardware }

// deploymentsNote is the note with the records of all deployments by name. The command line uses it
// too.
const deploymentsNote = "clouds"

// Deployment, SaveDeployment and DropDeployment keep the records in the store.
func (s *stack) Deployment(ctx context.Context, name string) (rec *deployment.Record, err error) {
	err = s.setup.Store.View(ctx, func(tx compute.Tx) error {
		n, err := notes(tx)
		if err != nil {
			return err
		}
		all, err := readDeployments(n)
		if rec = all[name]; err == nil && rec == nil {
			err = &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("nothing is deployed under this name")}
		}
		return err
	})
	return rec, err
}

func (s *stack) SaveDeployment(ctx context.Context, rec *deployment.Record) error {
	return s.change(ctx, func(all map[string]*deployment.Record) { all[rec.Name] = rec })
}

func (s *stack) DropDeployment(ctx context.Context, name string) error {
	return s.change(ctx, func(all map[string]*deployment.Record) { delete(all, name) })
}

func readDeployments(tx compute.NoteTx) (map[string]*deployment.Record, error) {
	all := map[string]*deployment.Record{}
	text, err := tx.Note(deploymentsNote)
	if errors.Is(err, compute.ErrNotFound) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.NewDecoder(strings.NewReader(text)).Decode(&all)
}

func (s *stack) change(ctx context.Context, f func(map[string]*deployment.Record)) error {
	return book{s.setup.Store, s.setup.Resource}.update(ctx, func(tx compute.NotesTx) error {
		all, err := readDeployments(tx)
		if err != nil {
			return err
		}
		f(all)
		if len(all) == 0 {
			return tx.SaveNote(deploymentsNote, "")
		}
		text, err := json.Marshal(all)
		if err != nil {
			return err
		}
		return tx.SaveNote(deploymentsNote, string(text))
	})
}
