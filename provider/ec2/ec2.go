package ec2

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/ec2/deployment"
	"github.com/hostler-project/hostler/provider/ec2/keys"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// Provider makes instances of EC2 for one source. Any number of goroutines may use it.
type Provider struct {
	o         *settings
	log       *slog.Logger
	session   *session.Session
	keys      *keys.Ring
	instances *instances
	images    *images
	types     *sizes
	health    *health
	launcher  *launcher
	quotas    *quotas
	parting   string // the script that an instance runs before an image is made of it
}

var (
	_ compute.Provider   = (*Provider)(nil)
	_ provider.CreateLag = (*Provider)(nil)
)

// name matches the names of instances: what a tag can hold, and what means the same everywhere.
var name = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 +=._:/@-]{0,200}$`) })

// Open returns the provider of one source. It calls nothing. ErrInvalid: the options are wrong.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	set, err := o.parse()
	if err == nil && (o.Source == "" || o.Installation == "" || o.Dir == "") {
		err = errors.New("a source needs a name, an installation and a directory")
	}
	if err != nil {
		return nil, &compute.Error{Op: "ec2.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: err, Hint: compute.Hint(err)}
	}
	s := session.New(log, session.Options{
		Region: o.Region, Endpoint: o.Endpoint, Profile: o.Profile, Metadata: o.Metadata, Attempts: cmp.Or(o.Attempts, 5),
		Poll: set.Poll, Source: o.Source, Installation: o.Installation,
	})
	ring := &keys.Ring{
		Dir: o.Dir, Installation: o.Installation, Source: o.Source, IdentityFile: o.IdentityFile, KeyName: o.Key,
	}
	p := &Provider{
		o: set, log: log, session: s, keys: ring, parting: parting, instances: &instances{o: set, session: s},
		images: &images{o: set, session: s, known: map[string]image{}}, types: &sizes{o: set, session: s},
	}
	p.quotas = &quotas{o: set, log: log, session: s, types: p.types}
	p.health = &health{instances: p.instances, asking: make(chan struct{}, 1)}
	p.launcher = &launcher{
		o: set, log: log, session: s, keys: ring, instances: p.instances, images: p.images, types: p.types,
		prices: &prices{session: s},
	}
	return p, nil
}

// Deployment returns the place of this provider's deployments.
func (p *Provider) Deployment() *deployment.Place {
	return deployment.Open(p.session, p.keys, p.o.Subnets)
}

// CreateLag returns how long a launch may be on its way, and its instance not be listed.
func (p *Provider) CreateLag() time.Duration {
	return time.Duration(p.session.Attempts)*session.Within + visibleWithin
}

// List returns this installation's instances of this source, including those that are shut down.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	l, err := p.instances.look(ctx, time.Now())
	if err != nil {
		return nil, session.Wrap(ctx, "List", compute.ID(p.o.Source), err)
	}
	var out []compute.Instance
	for _, id := range l.order {
		out = append(out, p.instanceOf(ctx, l.all[id][0]))
		p.single(ctx, l.all[id])
	}
	return out, nil
}

// address returns the address for ssh.
func (p *Provider) address(m session.Machine) string {
	switch p.o.Address {
	case "public":
		return m.Public
	case "private":
		return m.Private
	}
	return cmp.Or(m.Public, m.Private)
}

// instanceOf describes an instance, with its memory in bytes. Only an on-demand instance has the
// fact of a price.
func (p *Provider) instanceOf(ctx context.Context, m session.Machine) compute.Instance {
	facts := map[string]string{"os": "linux", "arch": m.Arch, "type": m.Type, "zone": m.Zone, "image": m.Image}
	if m.Spot != "" {
		facts["market"] = "spot"
	}
	if t, ok := p.types.known(m.Type); ok {
		facts["cores"], facts["memory"] = strconv.Itoa(t.Cores), strconv.FormatInt(int64(t.RAM)<<20, 10)
	}
	if price, ok := p.o.onDemand[m.Type]; ok && m.Spot == "" {
		facts[provider.FactPrice] = strconv.FormatFloat(price, 'g', -1, 64)
	}
	return compute.Instance{ID: m.ID, Source: p.o.Source, ProviderID: m.Instance, Address: p.address(m), Facts: facts}
}

// single terminates the extra instances of a name that was launched twice.
func (p *Provider) single(ctx context.Context, same []session.Machine) {
	var more []string
	for _, m := range same[1:] {
		if ending(m) == 0 {
			more = append(more, m.Instance)
		}
	}
	if len(more) == 0 {
		return
	}
	p.log.Warn(
		"terminating an instance that was made twice", "instance", same[0].ID, "source", p.o.Source, "kept",
		same[0].Instance, "terminated", strings.Join(more, " "),
	)
	if err := p.session.Terminate(ctx, more, same[1:]); err != nil {
		p.log.Warn("terminate", "instance", same[0].ID, "source", p.o.Source, "err", err)
	}
}

// Destroy terminates an instance at once. After its end it deletes a volume that the instance left.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	return session.Wrap(ctx, "Destroy", id, p.destroy(ctx, id))
}

// destroy terminates all instances of the id, as an interrupted creation may have made two. It
// does not wait for their end.
func (p *Provider) destroy(ctx context.Context, id compute.ID) error {
	same, err := p.instances.findAll(ctx, id, time.Now())
	if errors.Is(err, compute.ErrNotFound) && name().MatchString(string(id)) {
		// Only a call for this instance alone proves that it is gone. A long list may be
		// incomplete.
		none := err
		if same, err = p.instances.named(ctx, id); err == nil && len(same) == 0 {
			if err := p.sweep(ctx, id); err != nil {
				return err
			}
			return none
		}
	}
	if err != nil {
		return err
	}
	var living []string
	for _, m := range same {
		if ending(m) == 0 {
			living = append(living, m.Instance)
		}
	}
	if len(living) == 0 {
		return nil
	}
	if err := p.session.At("terminate"); err != nil {
		return err
	}
	err = p.session.Terminate(ctx, living, same)
	if session.Why(err) == session.Missing { // it was listed, and is not found: ask again
		return nil
	}
	return err
}

// sweep deletes the volumes that an instance left when it ended.
func (p *Provider) sweep(ctx context.Context, id compute.ID) error {
	p.forgetHost(id)
	return p.session.Sweep(ctx, p.o.Source, id)
}
