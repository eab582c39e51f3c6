package openstack

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// Provider makes servers for one source. Any number of goroutines may use it.
type Provider struct {
	o        Options
	log      *slog.Logger
	s        *Session
	sets     [][]string
	metadata map[string]string

	servers  *shared[view]
	ports    *shared[[]ports.Port]
	floating *shared[[]floatingips.FloatingIP]
	volumes  *shared[[]volumes.Volume]

	mu       sync.Mutex
	busy     map[compute.ID]*turn
	known    map[compute.ID]*sighting
	hardware flavor.Memory // the flavors without hardware lately

	keyThere presence // whether the cloud has the source's own key
}

// sighting is what this process has seen of a server. It only decides how patient we are.
type sighting struct {
	building time.Time // first seen to be in BUILD
	active   time.Time // first seen to be ACTIVE
	refused  time.Time // when it first refused the log-in
	reached  bool      // a connection was opened
	lacking  string    // the cloud's id of the last server of this name that found no host
}

var (
	_ compute.Provider      = (*Provider)(nil)
	_ compute.Cleaner       = (*Provider)(nil)
	_ compute.Checker       = (*Provider)(nil)
	_ compute.Consoler      = (*Provider)(nil)
	_ compute.Snapshotter   = (*Provider)(nil)
	_ compute.Stopper       = (*Provider)(nil)
	_ compute.Chooser       = (*Provider)(nil)
	_ compute.Prober        = (*Provider)(nil)
	_ compute.Lingerer      = (*Provider)(nil)
	_ compute.UserDataTaker = (*Provider)(nil)
)

// Open returns the provider of one source. It reads credentials, and calls nothing. ErrInvalid: the
// options are wrong, or there are no credentials.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	p := &Provider{
		o: o, log: log, s: o.Session, metadata: map[string]string{}, busy: map[compute.ID]*turn{},
		known: map[compute.ID]*sighting{},
	}
	err := p.understand()
	switch {
	case err != nil:
	case o.Source == "" || o.Installation == "":
		err = errors.New("a source needs a name, and an installation an id")
	case o.Key == "" && o.Dir == "":
		err = errors.New("no directory to keep the source's key in")
	}
	if err != nil {
		return nil, &compute.Error{
			Op: "openstack.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: err, Hint: compute.Hint(err),
		}
	}
	if p.s == nil {
		cred, err := FindCredentials(Where{Cloud: o.Cloud, File: o.CloudsFile, Region: o.Region, Getenv: environment(o.Getenv)})
		if err != nil {
			return nil, err
		}
		if p.s, err = NewSession(cred, SessionOptions{Rate: o.RateLimit}); err != nil {
			return nil, err
		}
	}
	p.servers, p.ports = newShared(p.listServers), newShared(p.listPorts)
	p.floating, p.volumes = newShared(p.listFloating), newShared(p.listVolumes)
	return p, nil
}

func environment(f func(string) string) func(string) string {
	if f == nil {
		return os.Getenv
	}
	return f
}

// mark returns the mark of all that is made for an instance.
func (p *Provider) mark(id compute.ID) Mark {
	return Mark{Installation: p.o.Installation, Deployment: p.o.Deployment, Source: p.o.Source, Instance: id}
}

// ours returns the instance of ours that a mark names.
func (p *Provider) ours(m Mark, marked bool) (compute.ID, bool) {
	return m.Instance, marked && m.Installation == p.o.Installation && m.Source == p.o.Source && m.Instance != ""
}

// view is the source's servers at one moment. Of those with one name the oldest comes first.
type view struct {
	servers map[compute.ID][]servers.Server
	pages   int
}

func (v view) one(id compute.ID) (servers.Server, bool) {
	if all := v.servers[id]; len(all) > 0 {
		return all[0], true
	}
	return servers.Server{}, false
}

func (v view) ids() []compute.ID { return slices.Sorted(maps.Keys(v.servers)) }

// listServers lists all servers whose names begin as the source's do, and keeps those with our
// mark.
func (p *Provider) listServers(ctx context.Context) (view, error) {
	c, err := p.s.Compute(ctx)
	if err != nil {
		return view{}, err
	}
	v := view{servers: map[compute.ID][]servers.Server{}}
	pages, err := servers.List(c, servers.ListOpts{Name: "^" + regexp.QuoteMeta(p.o.Source) + "-"}).AllPages(ctx)
	if err != nil {
		return v, Classify("List", "", err)
	}
	all, err := servers.ExtractServers(pages)
	if err != nil {
		return v, Classify("List", "", err)
	}
	v.pages = 1 + len(all)/1000
	for _, s := range all {
		if id, ok := p.ours(MarkOf(s.Metadata)); ok && s.Status != "DELETED" && s.Status != "SOFT_DELETED" {
			v.servers[id] = append(v.servers[id], s)
		}
	}
	for _, same := range v.servers {
		slices.SortFunc(same, func(a, b servers.Server) int {
			return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
		})
	}
	return v, nil
}

// tick is how old a view may be for a caller that polls. The more pages a list has, the older, so
// the cloud gets about one request in a tick.
func (p *Provider) tick() time.Duration {
	p.servers.mu.Lock()
	defer p.servers.mu.Unlock()
	return p.o.Poll * time.Duration(max(1, p.servers.last.pages))
}

// find returns a server from a recent list. If it is missing there, a new list is read.
func (p *Provider) find(ctx context.Context, op string, id compute.ID) (servers.Server, error) {
	then := time.Now()
	v, err := p.servers.recent(ctx, p.tick())
	if err == nil {
		if s, ok := v.one(id); ok {
			return s, nil
		}
		v, err = p.servers.since(ctx, then)
	}
	if err != nil {
		return servers.Server{}, Classify(op, id, err)
	}
	if s, ok := v.one(id); ok {
		return s, nil
	}
	return servers.Server{}, &compute.Error{
		Op: "openstack." + op, ID: id, Kind: compute.ErrNotFound,
		Err: errors.New("the project has no server of this name with our mark"),
	}
}

// List returns the servers of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	v, err := p.servers.fresh(ctx)
	if err != nil {
		return nil, Classify("List", "", err)
	}
	var out []compute.Instance
	for _, id := range v.ids() {
		out = append(out, p.instance(ctx, v.servers[id][0], id))
	}
	return out, nil
}

// Lingers returns how long a request without an answer may still take effect: as long as one may
// take, and the time that Nova needs to record it.
func (p *Provider) Lingers() time.Duration { return 2 * time.Minute }

// instance returns what the engine gets to know of a server. If the flavor or image is gone, there
// are fewer facts.
func (p *Provider) instance(ctx context.Context, s servers.Server, id compute.ID) compute.Instance {
	facts := map[string]string{"os": "linux", "status": strings.ToLower(s.Status)}
	if name, ok := s.Flavor["id"].(string); ok {
		if t, err := p.s.Catalog().Flavors(ctx); err == nil {
			if f, err := t.Get(name); err == nil {
				facts["flavor"] = f.Name
				facts["cores"], facts["memory"] = strconv.Itoa(f.Cores), strconv.FormatInt(int64(f.RAM)<<20, 10)
				disk := int64(f.Disk) << 30
				if n, err := strconv.ParseInt(s.Metadata[keyDisk], 10, 64); err == nil {
					disk = n
				}
				if f.GPUs > 0 {
					facts["gpus"] = strconv.Itoa(f.GPUs)
				}
				facts["disk"] = strconv.FormatInt(disk, 10)
			}
		}
	}
	for fact, v := range map[string]string{"image": s.Metadata[keyImage], "zone": s.AvailabilityZone, "region": p.s.Region()} {
		if v != "" {
			facts[fact] = v
		}
	}
	return compute.Instance{ID: id, Source: p.o.Source, ProviderID: s.ID, Address: p.address(s), Facts: facts}
}

// address returns where a server is reached: its floating IP, if it is to have one, else its
// address on the first of its networks. "": none yet.
func (p *Provider) address(s servers.Server) string {
	var v4, v6, floating []string
	for _, net := range slices.Sorted(maps.Keys(s.Addresses)) {
		list, _ := s.Addresses[net].([]any)
		for _, a := range list {
			m, _ := a.(map[string]any)
			ip, _ := m["addr"].(string)
			switch {
			case m["OS-EXT-IPS:type"] == "floating":
				floating = append(floating, ip)
			case strings.Contains(ip, ":"):
				v6 = append(v6, ip)
			default:
				v4 = append(v4, ip)
			}
		}
	}
	if s.Metadata[keyFloating] != "" {
		return first(floating)
	}
	return cmp.Or(s.Metadata[keyAddress], first(append(v4, v6...)))
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// see changes and returns what this process knows of a server.
func (p *Provider) see(id compute.ID, f func(*sighting)) sighting {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.known[id]
	if s == nil {
		s = &sighting{}
		p.known[id] = s
	}
	f(s)
	return *s
}

func (p *Provider) forget(id compute.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, id)
}

// turn is an instance's lock: goroutines that make or delete it wait for it.
type turn struct {
	slot chan struct{}
	want int
}

// lock waits until no other goroutine makes or deletes an instance.
func (p *Provider) lock(ctx context.Context, id compute.ID) (unlock func(), err error) {
	p.mu.Lock()
	t := p.busy[id]
	if t == nil {
		t = &turn{slot: make(chan struct{}, 1)}
		p.busy[id] = t
	}
	t.want++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.want--; t.want == 0 {
			delete(p.busy, id)
		}
	}
	select {
	case t.slot <- struct{}{}:
		return func() { <-t.slot; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// CloseIdle closes unused connections to the cloud.
func (p *Provider) CloseIdle() { p.s.CloseIdle() }

// Session returns the session of the provider.
func (p *Provider) Session() *Session { return p.s }
