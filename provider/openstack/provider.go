package openstack

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

// Provider makes servers for one source. Any number of goroutines may use it.
type Provider struct {
	o        Options
	log      *slog.Logger
	s        *Session
	metadata map[string]string // that the source's servers have

	inv      *inventory
	turns    *keyLocks
	seen     *observations
	pair     *pair
	hardware *hardware
	planner  *planner
	health   *health
}

var (
	_ compute.Provider       = (*Provider)(nil)
	_ provider.Cleaner       = (*Provider)(nil)
	_ provider.Checker       = (*Provider)(nil)
	_ provider.Consoler      = (*Provider)(nil)
	_ provider.Snapshotter   = (*Provider)(nil)
	_ provider.Stopper       = (*Provider)(nil)
	_ provider.Chooser       = (*Provider)(nil)
	_ provider.Prober        = (*Provider)(nil)
	_ provider.CreateLag     = (*Provider)(nil)
	_ provider.UserDataTaker = (*Provider)(nil)
)

// Open returns the provider of one source. It reads credentials, and calls nothing. ErrInvalid: the
// options are wrong, or there are no credentials.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	terms, err := o.understand()
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
	s := o.Session
	if s == nil {
		cred, err := credentials.Find(credentials.Where{
			Cloud: o.Cloud, File: o.CloudsFile, Region: o.Region, Getenv: environment(o.Getenv),
		})
		if err != nil {
			return nil, err
		}
		if s, err = NewSession(cred, SessionOptions{Rate: o.RateLimit}); err != nil {
			return nil, err
		}
	}
	p := &Provider{
		o: o, log: log, s: s, metadata: terms.metadata, turns: &keyLocks{busy: map[compute.ID]*keyLock{}},
		seen: &observations{known: map[compute.ID]*observation{}},
	}
	p.inv, p.pair = newInventory(&p.o, s), &pair{o: &p.o, s: s}
	p.hardware = &hardware{o: &p.o, s: s, sets: terms.sets}
	p.planner = &planner{o: &p.o, s: s, hardware: p.hardware, pair: p.pair}
	p.health = &health{o: &p.o, s: s, seen: p.seen, hardware: p.hardware}
	return p, nil
}

func environment(f func(string) string) func(string) string {
	if f == nil {
		return os.Getenv
	}
	return f
}

// List returns the servers of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	v, err := p.inv.servers.fresh(ctx)
	if err != nil {
		return nil, Classify("List", "", err)
	}
	var out []compute.Instance
	for _, id := range v.ids() {
		out = append(out, p.instance(ctx, v.servers[id][0], id))
	}
	return out, nil
}

// CreateLag returns how long a request without an answer may still take effect: as long as one may
// take, and the time that Nova needs to record it.
func (p *Provider) CreateLag() time.Duration { return 2 * time.Minute }

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

// UserDataLimit returns how many bytes of user data a request may have.
func (p *Provider) UserDataLimit() int { return mostUserData/4*3 - ownUserData }

// CloseIdle closes unused connections to the cloud.
func (p *Provider) CloseIdle() { p.s.CloseIdle() }

// Session returns the session of the provider.
func (p *Provider) Session() *Session { return p.s }
