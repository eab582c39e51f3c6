package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Provider speaks to one executable for one source. provider.As finds its further abilities through
// Unwrap. Any number of goroutines may use it.
type Provider struct {
	o    options
	log  *slog.Logger
	path string
	// the abilities of the executable, each wrapped in the next; nil: none
	chain compute.Provider
}

var _ compute.Provider = (*Provider)(nil)

// Find returns the path of the executable for a source's type.
func Find(source, typ string) (string, error) {
	name := "hostler-source-" + typ
	path, err := exec.LookPath(name)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if typ == "" || strings.ContainsAny(typ, "/\x00") || err != nil {
		return "", &compute.Error{
			Op: "exec.Open", ID: compute.ID(source), Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("there is no source type %q, and no executable %s on PATH", typ, name),
			Hint: "`hostler doctor` lists the types; an executable of that name makes a new one",
		}
	}
	return path, nil
}

// open finds the executable and asks it what it can do. ErrInvalid: there is no executable, or it
// cannot be started.
func open(ctx context.Context, log *slog.Logger, o options) (*Provider, error) {
	o.Timeout = cmp.Or(o.Timeout, 10*time.Minute)
	if err := o.resolve(ctx); err != nil {
		return nil, err
	}
	p := &Provider{o: o, log: log, path: o.Path}
	if p.path == "" {
		var err error
		if p.path, err = Find(o.Source, o.Type); err != nil {
			return nil, err
		}
	}
	p.o.Type = cmp.Or(o.Type, strings.TrimPrefix(filepath.Base(p.path), "hostler-source-"))
	a, err := p.call(ctx, "describe", "", nil)
	if err != nil {
		return nil, err
	}
	fixed := static{}
	for _, ability := range a.Abilities {
		l := link{p, p.chain}
		switch ability {
		case "clean":
			p.chain = cleaner{l, p}
		case "check":
			p.chain = checker{l, p}
		case "as-is":
			fixed.asIs = true
		case "names":
			n, err := p.call(ctx, "names", "", nil)
			if err != nil {
				return nil, err
			}
			if len(n.Names) == 0 {
				return nil, p.wrong("names", "", "no names")
			}
			fixed.names = n.Names
		}
	}
	if fixed.asIs || fixed.names != nil {
		fixed.link = link{p, p.chain}
		p.chain = fixed
	}
	return p, nil
}

// Unwrap leads provider.As to the abilities of the executable.
func (p *Provider) Unwrap() compute.Provider { return p.chain }

// link is one ability's place in the chain.
type link struct {
	compute.Provider
	next compute.Provider
}

// Unwrap returns the next ability, or nil.
func (l link) Unwrap() compute.Provider { return l.next }

type (
	cleaner struct {
		link
		p *Provider
	}
	checker struct {
		link
		p *Provider
	}
	static struct {
		link
		names []string
		asIs  bool
	}
)

// Clean asks the executable to clean.
func (c cleaner) Clean(ctx context.Context, id compute.ID) (string, error) {
	a, err := c.p.call(ctx, "clean", id, nil)
	if err != nil {
		return "", err
	}
	if a.Checked == "" {
		return "", c.p.wrong("clean", id, "it does not say what it checked")
	}
	return line(a.Checked), nil
}

// Check asks the executable whether the computer is fit.
func (c checker) Check(ctx context.Context, id compute.ID) error {
	_, err := c.p.call(ctx, "check", id, nil)
	return err
}

// Names returns the names that the executable gave at open.
func (s static) Names() []string { return slices.Clone(s.names) }

// AsIs reports whether the executable said that the machines stay as they are.
func (s static) AsIs() bool { return s.asIs }

// Lookup knows no computer: the executable is asked for each.
func (s static) Lookup(compute.ID) (i compute.Instance, ok bool) { return i, false }

// wrong returns the error for an answer that does not fit the request.
func (p *Provider) wrong(verb string, id compute.ID, what string) error {
	return &compute.Error{
		Op: p.o.Type + "." + verb, ID: id, Kind: compute.ErrFailed,
		Err: fmt.Errorf("%s answered wrongly: %s", p.path, what), Hint: "see docs/exec-protocol.md",
	}
}

func (p *Provider) instance(in instance) compute.Instance {
	return compute.Instance{ID: compute.ID(in.ID), Source: p.o.Source, ProviderID: in.ProviderID, Address: in.Address, Facts: in.Facts}
}

// Create asks the executable for a computer.
func (p *Provider) Create(ctx context.Context, s compute.Spec) (compute.Instance, error) {
	if !word(string(s.ID)) {
		return compute.Instance{}, &compute.Error{
			Op: p.o.Type + ".create", ID: s.ID, Kind: compute.ErrInvalid, Err: errors.New("not a name"),
		}
	}
	a, err := p.call(ctx, "create", s.ID, &spec{Image: s.Image, Flavor: s.Flavor, Cores: s.Cores, Memory: s.Memory, Disk: s.Disk})
	if err != nil {
		return compute.Instance{}, err
	}
	if len(a.Instances) != 1 || a.Instances[0].ID != string(s.ID) {
		return compute.Instance{}, p.wrong("create", s.ID, "not the one instance that was asked for")
	}
	return p.instance(a.Instances[0]), nil
}

// Destroy asks the executable to destroy a computer.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	if !word(string(id)) {
		return &compute.Error{Op: p.o.Type + ".destroy", ID: id, Kind: compute.ErrNotFound, Err: errors.New("not a name")}
	}
	_, err := p.call(ctx, "destroy", id, nil)
	return err
}

// List asks the executable for all computers of this installation and source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	a, err := p.call(ctx, "list", "", nil)
	if err != nil {
		return nil, err
	}
	out := make([]compute.Instance, 0, len(a.Instances))
	for _, in := range a.Instances {
		out = append(out, p.instance(in))
	}
	return out, nil
}

// Connect asks the executable how to reach a computer, and opens that connection.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	a, err := p.call(ctx, "connect", id, nil)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Exec != nil:
		return p.overExec(a.Exec, id)
	case a.SSH != nil:
		return p.overSSH(ctx, a.SSH, id)
	}
	return nil, p.wrong("connect", id, "no way in, neither exec nor ssh")
}

// CreateLag returns how long an executable may still work on a create after its caller was
// killed: as long as a call may take.
func (p *Provider) CreateLag() time.Duration { return p.o.Timeout }
