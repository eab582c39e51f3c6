package cloud

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/store"
)

// Deploy makes what servers need and is missing, such as a network and a key. It may be repeated.
// Then it calls Recover.
func (c *Cloud) Deploy(ctx context.Context, config DeployConfig) (Deployment, error) {
	place, err := c.checkProject(ctx)
	if err != nil {
		return Deployment{}, err
	}
	rec, keyFile, err := c.backend.Deploy(ctx, c.opt.deployment(nil), config.settings())
	if err != nil {
		return Deployment{}, err
	}
	d := deployed(rec, place.Identity)
	if keyFile != "" {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return Deployment{}, err
		}
		d.PrivateKey = string(key)
	}
	err = c.records.update(ctx, func(tx store.Tx) error {
		return errors.Join(store.WriteNote(tx, c.records.deploymentKey(), d), tx.SaveNote(c.records.tearingDownKey(), ""))
	})
	if err != nil {
		return Deployment{}, err
	}
	c.mu.Lock()
	c.key = d.PrivateKey
	c.mu.Unlock()
	c.logins.forget()
	return d, c.Recover(ctx)
}

// deployment returns the options of this resource's deployment. tell may be nil.
func (o Options) deployment(tell func(deployment.Step)) deployment.Options {
	return deployment.Options{
		Name: o.Resource, Installation: o.Store.Installation(), Keys: o.Dir,
		Store: clouds.NewDeployments(o.Store), Tell: tell, Log: o.Log,
	}
}

// settings returns what is configured, in the words of deployments.
func (c DeployConfig) settings() deployment.Settings {
	s := deployment.Settings{
		From: c.From, Network: c.Network, CIDR: c.CIDR, Gateway: c.GatewayIP, DNS: c.DNSNameServers,
		ConfigDrive: c.UseConfigDrive,
	}
	for _, port := range c.RequiredPorts {
		s.Ports = append(s.Ports, strconv.Itoa(port))
	}
	return s
}

// deployed returns what a record says, without the private key.
func deployed(rec *deployment.Record, project string) Deployment {
	d := Deployment{Details: map[string]string{}, Project: project, CIDR: rec.Settings.CIDR}
	if rec.Settings.Network != "" {
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
	return d
}

// checkProject returns the project of the credentials. It refuses another project than the
// deployment's, since there all servers would look gone.
func (c *Cloud) checkProject(ctx context.Context) (clouds.Place, error) {
	place, err := c.backend.Place(ctx)
	if err != nil {
		return place, err
	}
	d, ok, err := c.records.deployment(ctx)
	if err != nil {
		return place, err
	}
	if ok && d.Project != "" && d.Project != place.Identity {
		return place, &compute.Error{Op: "cloud.Open", ID: compute.ID(c.opt.Resource), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("it was deployed in project %s, and the credentials are for project %s", d.Project, cmp.Or(place.Identity, "that they may not look at")),
			Hint: "use the credentials that it was deployed with, or another resource name"}
	}
	return place, nil
}

// PrivateKey returns the private key for logging in to servers, in PEM. It is "" if the provider
// keeps the key to itself, or this process deployed nothing.
func (c *Cloud) PrivateKey() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.key
}

// Recover takes over the servers of processes that have died. Unused servers among them count down
// to their end. What is half made or half destroyed is destroyed, and failed destructions of this
// process are tried again. Servers of other living processes are left alone.
func (c *Cloud) Recover(ctx context.Context) error {
	all, err := c.records.all(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name := range all {
		if err := c.takeOver(ctx, name); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// errOwned says that another process has the server.
var errOwned = errors.New("another process has it")

// takeOver makes a server of an ended worker ours, or destroys it if it was half made. It does
// nothing if the server is gone or has a live owner.
func (c *Cloud) takeOver(ctx context.Context, name string) error {
	us := c.opt.Store.Worker()
	c.mu.Lock()
	here := c.servers[name]
	spawning := c.spawning[name]
	c.mu.Unlock()
	r, err := c.records.change(ctx, name, func(r *record) error {
		switch {
		case r.Owner != us && r.Owner != 0 && c.opt.Store.Alive(r.Owner),
			r.Owner == us && spawning,
			r.Owner == us && here != nil && !(r.State == destroying && here.life.destroyFailed()):
			return errOwned
		}
		r.Owner = us
		if r.State == creating {
			r.State = destroying // no caller knows of it
		}
		return nil
	})
	switch {
	case errors.Is(err, errOwned), errors.Is(err, compute.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("take over server %s: %w", name, err)
	}
	s := c.serverNamed(r)
	s.life.claim()
	s.health.watch()
	if r.State == destroying {
		c.log.Info("destroying what was left half made", "server", name)
		return s.Destroy(ctx)
	}
	c.log.Info("took a server over", "server", name)
	s.life.idle()
	return nil
}

// TearDown destroys all servers of this cloud's resource in parallel, except the one that this
// process runs on. Then it deletes what Deploy made and what servers left behind. A failure does
// not stop the rest, and TearDown may be repeated. It returns what it deleted, or with dryRun would
// delete. ErrNotFound says that there is nothing to tear down.
func (c *Cloud) TearDown(ctx context.Context, dryRun bool) (deleted []string, err error) {
	if _, err := c.checkProject(ctx); err != nil {
		return nil, err
	}
	self, err := c.backend.Self(ctx)
	if err != nil {
		return nil, err
	}
	if !dryRun {
		if err := c.records.saveText(ctx, c.records.tearingDownKey(), time.Now().UTC().Format(time.RFC3339)); err != nil {
			return nil, err
		}
	}
	all, err := c.records.all(ctx)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, c.t.TearDown)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var going sync.WaitGroup
	turn := make(chan struct{}, mostDestroyed)
	for name, r := range all {
		if name == self {
			continue
		}
		if dryRun {
			deleted = append(deleted, "server "+name)
			continue
		}
		going.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			err := c.serverNamed(r).Destroy(limited)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				errs = append(errs, err)
				return
			}
			deleted = append(deleted, "server "+name)
		})
	}
	going.Wait()
	if len(errs) > 0 {
		return deleted, errors.Join(errs...) // servers still use what Deploy made
	}
	more, err := takeDown(ctx, c.backend, c.opt, dryRun)
	for _, what := range more {
		// a dry run finds the servers twice: as recorded, and in the cloud
		if !slices.Contains(deleted, what) {
			deleted = append(deleted, what)
		}
	}
	c.logins.forget()
	nothing := errors.Is(err, compute.ErrNotFound)
	if err != nil && !nothing || dryRun {
		return deleted, err
	}
	if err := c.records.update(ctx, func(tx store.Tx) error {
		return errors.Join(tx.SaveNote(c.records.deploymentKey(), ""), tx.SaveNote(c.records.tearingDownKey(), ""))
	}); err != nil {
		return deleted, err
	}
	if nothing && len(deleted) == 0 {
		return nil, &compute.Error{Op: "cloud.TearDown", ID: compute.ID(c.opt.Resource), Kind: compute.ErrNotFound,
			Err: errors.New("nothing to tear down; did you deploy with the current credentials?")}
	}
	return deleted, nil
}

// takeDown deletes what Deploy made and what servers left behind, and lists it.
func takeDown(ctx context.Context, door Backend, opt Options, dryRun bool) (deleted []string, err error) {
	var mu sync.Mutex
	o := opt.deployment(func(s deployment.Step) {
		if s.Did == deployment.Deleted || s.Did == deployment.WouldDrop {
			mu.Lock()
			defer mu.Unlock()
			deleted = append(deleted, s.Kind+" "+s.Name)
		}
	})
	o.DryRun = dryRun
	err = door.Teardown(ctx, o)
	mu.Lock()
	defer mu.Unlock()
	return deleted, err
}

// mostDestroyed is how many servers are destroyed at once.
const mostDestroyed = 16
