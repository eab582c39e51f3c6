package clouds

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// stack is a project of an OpenStack.
type stack struct {
	base    openstack.Options
	session *openstack.Session

	mu   sync.Mutex
	at   *deployment.Cloud // nil: not logged in yet
	self *string           // nil: not asked yet
}

var _ Cloud = (*stack)(nil)

// OpenStack returns the project of an OpenStack that base names, in base's session or a new one.
// The rest of base is what servers have beside what is deployed.
func OpenStack(base openstack.Options) (Cloud, error) {
	if base.Session == nil {
		cred, err := credentials.Find(credentials.Where{
			Cloud: base.Cloud, File: base.CloudsFile, Region: base.Region, Getenv: base.Getenv,
		})
		if err != nil {
			return nil, err
		}
		if base.Session, err = openstack.NewSession(cred, openstack.SessionOptions{Rate: base.RateLimit}); err != nil {
			return nil, err
		}
	}
	return &stack{base: base, session: base.Session}, nil
}

// openStack takes the cloud of the record where no other one is named.
func openStack(w Where) (Cloud, error) {
	if w.Record != nil && w.Cloud == "" && os.Getenv("OS_CLOUD") == "" && os.Getenv("OS_AUTH_URL") == "" {
		w.Cloud = w.Record.Cloud
	}
	return OpenStack(openstack.Options{Cloud: w.Cloud, CloudsFile: w.File, Region: w.Region})
}

// CloseIdle closes the connections that are not in use.
func (s *stack) CloseIdle() { s.session.CloseIdle() }

// enter logs in.
func (s *stack) enter(ctx context.Context) (deployment.Cloud, error) {
	s.mu.Lock()
	known := s.at
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	getenv := s.base.Getenv
	if getenv == nil {
		getenv = os.Getenv
	}
	at, err := deployment.Open(ctx, s.session, cmp.Or(s.base.Cloud, getenv("OS_CLOUD")))
	if err != nil {
		return at, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = &at
	return at, nil
}

func (s *stack) Place(ctx context.Context) (Place, error) {
	at, err := s.enter(ctx)
	return Place{Cloud: at.Name, Project: at.Project, Region: at.Region, Identity: at.Project}, err
}

// Self returns the name of the server that this runs on, or "" outside the cloud. It remembers
// the answer.
func (s *stack) Self(ctx context.Context) (string, error) {
	s.mu.Lock()
	known := s.self
	s.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	at, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	server, err := deployment.InCloud(ctx, at, "")
	if err != nil {
		return "", err
	}
	name := ""
	if server != nil {
		name = server.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.self = &name
	return name, nil
}

func (s *stack) Deploy(ctx context.Context, o deployment.Options, want deployment.Settings) (*deployment.Record, string, error) {
	at, err := s.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	rec, err := deployment.Deploy(ctx, at, o, want)
	return rec, deployment.KeyFile(o.Keys, o.Name), err
}

// Teardown deletes the key of servers from before the first Deploy too: they had one of their own.
func (s *stack) Teardown(ctx context.Context, o deployment.Options) error {
	at, err := s.enter(ctx)
	if err != nil {
		return err
	}
	if err := deployment.Teardown(ctx, at, o); err != nil || o.DryRun {
		return err
	}
	return openstack.DropKey(
		ctx, openstack.Options{Session: s.session, Source: o.Name, Installation: o.Installation, Dir: o.Keys},
	)
}

func (s *stack) Servers(ctx context.Context, o deployment.Options, login Login) (compute.Provider, error) {
	opt, err := s.serversOptions(ctx, o, login)
	if err != nil {
		return nil, err
	}
	p, err := openstack.Open(ctx, cmp.Or(o.Log, slog.New(slog.DiscardHandler)), opt)
	if err != nil {
		return nil, err // not p: a typed nil is not nil
	}
	return p, nil
}

// serversOptions returns the options of the provider of a deployment's servers. Once something is
// deployed, they have its network, security groups and key.
func (s *stack) serversOptions(ctx context.Context, d deployment.Options, login Login) (o openstack.Options, err error) {
	rec, err := recorded(ctx, d, openstack.Kind.Name)
	if err != nil {
		return o, err
	}
	o = s.base
	o.Deployment = d.Name // so a teardown deletes them too, also from the command line
	o.Session, o.Source, o.Installation, o.Dir = s.session, d.Name, d.Installation, d.Keys
	o.User, o.FloatingIP = cmp.Or(login.User, o.User), login.External
	if !o.FloatingIP {
		o.Pool = ""
	}
	if rec == nil {
		return o, nil
	}
	o.Network, o.Key, o.IdentityFile = []string{rec.ID(deployment.Network)}, rec.ID(deployment.KeyPair), deployment.KeyFile(d.Keys, d.Name)
	o.ConfigDrive = o.ConfigDrive || rec.Settings.ConfigDrive
	if group := rec.GroupID(); group != "" {
		o.Groups = []string{group, "default"}
	}
	if external := rec.Settings.External; o.FloatingIP && o.Pool == "" && external != deployment.NoExternal {
		o.Pool = external
	}
	return o, nil
}

// List returns servers with the names of their flavors instead of the ids, if the cloud tells them.
func (s *stack) List(ctx context.Context, installation, name string) ([]deployment.ServerInfo, error) {
	at, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	all, err := deployment.Servers(ctx, at, installation, name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	table, err := s.session.Catalog().Flavors(ctx)
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

func (s *stack) Destroy(ctx context.Context, o deployment.Options, server deployment.ServerInfo) error {
	at, err := s.enter(ctx)
	if err != nil {
		return err
	}
	return deployment.DestroyServer(ctx, at, o, server)
}

// NoHardware reports whether the scheduler found no host.
func (s *stack) NoHardware(err error) bool { return openstack.ReasonOf(err) == openstack.NoHardware }

func (s *stack) Flavors(ctx context.Context, fresh bool) (*flavor.Table, error) {
	if fresh {
		// Looking for an unknown flavor makes the catalog ask the cloud again.
		if _, err := s.session.Catalog().Flavor(ctx, "\x00"); err != nil && !errors.Is(err, compute.ErrNotFound) {
			return nil, err
		}
	}
	return s.session.Catalog().Flavors(ctx)
}

// Quota asks for everything in any case. Max is nil where the cloud sets no limit.
func (s *stack) Quota(ctx context.Context, _ bool) ([]Quota, string, error) {
	q, err := s.session.Quota(ctx)
	if err != nil {
		return nil, "", err
	}
	const keyPairs = "key-pairs" // the cloud does not count these
	var out []Quota
	for _, l := range []struct {
		name  string
		limit openstack.Limit
	}{
		{QuotaInstances, q.Instances}, {QuotaCores, q.Cores}, {QuotaMemory, q.Memory}, {"volumes", q.Volumes},
		{QuotaVolumeBytes, q.VolumeBytes}, {"networks", q.Networks}, {"routers", q.Routers},
		{"ports", q.Ports}, {"floating-ips", q.FloatingIPs}, {"security-groups", q.Groups}, {keyPairs, q.KeyPairs},
	} {
		v := Quota{Name: l.name}
		if l.name != keyPairs {
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

// Images fails if the prefix begins no image's name and is no image's whole id. The error says
// which images there are.
func (s *stack) Images(ctx context.Context, prefix string) (out []Image, err error) {
	all, err := s.session.Catalog().Images(ctx)
	if err != nil {
		return nil, err
	}
	if prefix != "" {
		if err := s.HasImage(ctx, prefix); err != nil { // the error says what there is
			return nil, err
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(i images.Image) bool {
		return !strings.HasPrefix(i.Name, prefix) && !strings.HasPrefix(i.ID, prefix)
	})
	slices.SortFunc(all, func(x, y images.Image) int {
		return cmp.Or(y.CreatedAt.Compare(x.CreatedAt), strings.Compare(x.Name+x.ID, y.Name+y.ID))
	})
	for _, i := range all {
		out = append(out, Image{
			i.ID, i.Name, string(i.Visibility), i.SizeBytes, int64(i.MinDiskGigabytes) << 30, int64(i.MinRAMMegabytes) << 20,
			i.CreatedAt,
		})
	}
	return out, nil
}

func (s *stack) HasImage(ctx context.Context, name string) error {
	_, err := s.session.Catalog().Image(ctx, name, false)
	return err
}

// stackSection returns the section of a source of servers.
func stackSection(rec *deployment.Record, s Source) []Setting {
	out := []Setting{
		{"cloud", rec.Cloud}, {"clouds-file", s.File}, {"region", s.Region}, {"disk", s.Disk}, {"flavor-regex", s.Flavor},
	}
	if s.Floating {
		out = append(out, Setting{"floating-ip", "yes"})
		if s.Settings.External != deployment.NoExternal {
			out = append(out, Setting{"floating-ip-pool", s.Settings.External})
		}
	}
	if s.Settings.ConfigDrive || s.Settings.NoDHCP {
		out = append(out, Setting{"config-drive", "yes"})
	}
	return out
}
