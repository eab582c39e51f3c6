package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
	"github.com/hostler-project/hostler/provider/openstack/login"
)

// factCached is the fact of an instance that says whether its node had the image before the
// request: hit or miss.
const factCached = provider.FactCached

// Provider makes instances of nodes. Any number of goroutines may use it.
type Provider struct {
	a    *api
	o    Options
	log  *slog.Logger
	rule flavorRule

	mu     sync.Mutex
	chosen sync.Mutex // held while a node is chosen and claimed
	since  map[compute.ID]time.Time
}

var (
	_ compute.Provider       = (*Provider)(nil)
	_ provider.Checker       = (*Provider)(nil)
	_ provider.Consoler      = (*Provider)(nil)
	_ provider.Stopper       = (*Provider)(nil)
	_ provider.Chooser       = (*Provider)(nil)
	_ provider.CreateLag     = (*Provider)(nil)
	_ provider.UserDataTaker = (*Provider)(nil)
)

// Open returns the provider of one source. It reads credentials, and calls nothing. ErrInvalid: the
// options are wrong, or there are no credentials.
func Open(_ context.Context, log *slog.Logger, o Options) (*Provider, error) {
	fail := func(text string, args ...any) (*Provider, error) {
		return nil, &compute.Error{Op: "ironic.Open", ID: compute.ID(o.Source), Kind: compute.ErrInvalid, Err: fmt.Errorf(text, args...)}
	}
	o.HostKey, o.DeployTimeout = cmp.Or(o.HostKey, "given"), cmp.Or(o.DeployTimeout, 40*time.Minute)
	if o.Source == "" || o.Installation == "" || o.Dir == "" {
		return fail("a source needs a name and a directory, and an installation an id")
	}
	if err := o.Check(); err != nil {
		return fail("%w", err)
	}
	rule, err := FlavorRule{
		Name: o.Source, Class: o.Class, Traits: o.Traits, Properties: o.Properties, Capabilities: o.Capabilities,
		Group: o.Group, Shard: o.Shard,
	}.compile()
	if err != nil {
		return fail("%w", err)
	}
	s := o.Session
	if s == nil {
		if o.Getenv == nil {
			o.Getenv = os.Getenv
		}
		cred, err := credentials.Find(credentials.Where{Cloud: o.Cloud, File: o.CloudsFile, Region: o.Region, Getenv: o.Getenv})
		if err != nil {
			return nil, err
		}
		if s, err = openstack.NewSession(cred, openstack.SessionOptions{Rate: cmp.Or(o.RateLimit, 100)}); err != nil {
			return nil, err
		}
	}
	return &Provider{a: newAPI(s), o: o, log: log, rule: rule, since: map[compute.ID]time.Time{}}, nil
}

// CloseIdle closes unused connections to the cloud.
func (p *Provider) CloseIdle() { p.a.s.CloseIdle() }

// Session returns the provider's session. A Scout and a Commander for its images share it.
func (p *Provider) Session() *openstack.Session { return p.a.s }

// PublicKey returns the key that the source's nodes accept. A Commander gives it to hot standbys.
// "": the source has an identity-file.
func (p *Provider) PublicKey() (string, error) {
	if p.o.IdentityFile != "" {
		return "", nil
	}
	_, public, err := login.OwnKey(p.o.Dir, p.o.Source)
	return public, err
}

// keys returns the keys that nodes are told to accept.
func (p *Provider) keys() ([]string, error) {
	key, err := p.PublicKey()
	if err != nil || key == "" {
		return nil, err
	}
	return []string{key}, nil
}

// UserData returns what all nodes of the source are told. A Commander gives it to hot standbys.
// nil: nothing.
func (p *Provider) UserData() ([]byte, error) {
	if p.o.UserData == "" {
		return nil, nil
	}
	data, err := os.ReadFile(p.o.UserData)
	if err != nil {
		return nil, &compute.Error{
			Op: "ironic.UserData", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("user-data: %w", err),
		}
	}
	return data, nil
}

// bootConfigDigest returns a digest of what the source tells its nodes.
func (p *Provider) bootConfigDigest() (string, error) {
	keys, err := p.keys()
	if err != nil {
		return "", err
	}
	data, err := p.UserData()
	return bootConfigDigest(keys, data), err
}

// fits reports whether a hot standby was told what the source tells its nodes. Otherwise nobody
// could log in, or know its host key.
func (p *Provider) fits(m *mark, told string) bool {
	return m.Told == told && (m.HostKey != "" || !p.GivesHostKeys())
}

// GivesHostKeys reports whether nodes get their ssh host keys from us. Otherwise the files of known
// hosts have them.
func (p *Provider) GivesHostKeys() bool { return p.o.HostKey == "given" }

// CreateLag returns how long a request without an answer may still take effect.
func (p *Provider) CreateLag() time.Duration { return 2 * time.Minute }

// UserDataLimit returns how many bytes of user data a request may have. A config drive can have 64
// MB, but Ironic stores less of it.
func (p *Provider) UserDataLimit() int { return 32 << 10 }

// nodes returns the nodes of a query for which keep returns true.
func (p *Provider) nodes(ctx context.Context, op string, q url.Values, keep func(*record) bool) ([]*record, error) {
	return list(ctx, p.a, op, q, func(r *record) (*record, bool) {
		if !keep(r) {
			return nil, false
		}
		own := *r
		return &own, true
	})
}

// mine returns the instance of this source that a node is, or was before it is wiped. "": none.
func (p *Provider) mine(r *record) compute.ID {
	m := r.Extra.Mark
	if m == nil || m.Installation != p.o.Installation || m.Source != p.o.Source || m.Instance == "" {
		return ""
	}
	if p.holds(r, m.Instance) || r.Instance == "" && (r.ending() || r.state() == stateCleanFailed) {
		return compute.ID(m.Instance)
	}
	return ""
}

// holds reports whether a node is claimed for an instance.
func (p *Provider) holds(r *record, instance string) bool {
	m := r.Extra.Mark
	return r.Instance == instanceClaim(p.o.Installation, instance) || m != nil && m.Way == Allocate && heldByCache(p.o.Installation, r)
}

// find returns the node of an instance.
func (p *Provider) find(ctx context.Context, op string, id compute.ID) (*record, error) {
	mine := func(r *record) bool { return p.mine(r) == id }
	all, err := p.nodes(ctx, op, url.Values{"instance_uuid": {instanceClaim(p.o.Installation, string(id))}}, mine)
	if err == nil && len(all) == 0 { // it is being wiped, or was claimed by an allocation
		all, err = p.nodes(ctx, op, url.Values{}, mine)
	}
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &compute.Error{
			Op: "ironic." + op, ID: id, Kind: compute.ErrNotFound,
			Err: errors.New("no node carries the mark of this instance"),
		}
	}
	return all[0], nil
}

// List implements compute.Provider.
func (p *Provider) List(ctx context.Context) (out []compute.Instance, err error) {
	all, err := p.nodes(ctx, "List", url.Values{}, func(r *record) bool { return p.mine(r) != "" })
	for _, r := range all {
		out = append(out, p.instance(r))
	}
	return out, err
}

// instance returns what the engine gets to know of a node.
func (p *Provider) instance(r *record) compute.Instance {
	m := r.Extra.Mark
	facts := map[string]string{
		"os": "linux", "status": r.state(), "node": r.label(),
		factCached: map[bool]string{true: "hit", false: "miss"}[m.Hit],
	}
	for k, v := range map[string]string{
		"image": m.ImageName, "flavor": r.Class, "cores": r.Properties.text("cpus"), "region": p.a.s.Region(),
	} {
		if v != "" {
			facts[k] = v
		}
	}
	for k, unit := range map[string]struct {
		key   string
		shift int
	}{"memory": {"memory_mb", 20}, "disk": {"local_gb", 30}} {
		if n, err := strconv.ParseInt(r.Properties.text(unit.key), 10, 32); err == nil {
			facts[k] = strconv.FormatInt(n<<unit.shift, 10)
		}
	}
	return compute.Instance{ID: compute.ID(m.Instance), Source: p.o.Source, ProviderID: r.UUID, Address: r.Extra.Address, Facts: facts}
}

// Choices implements provider.Chooser, for images.
func (p *Provider) Choices(ctx context.Context, kind string) ([]provider.Named, bool, error) {
	if kind != provider.Images {
		return nil, false, &compute.Error{
			Op: "ironic.Choices", ID: compute.ID(p.o.Source), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("a source of type ironic lets choose no %s", kind),
		}
	}
	all, err := p.a.s.Catalog().Images(ctx)
	var out []provider.Named
	for _, i := range all {
		out = append(out, provider.Named{ID: i.ID, Name: i.Name})
	}
	return out, false, openstack.ClassifyList("Choices", "", err)
}
