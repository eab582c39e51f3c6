package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/text/units"
)

// The labels of our containers.
const (
	labelInstallation = "hostler.installation"
	labelSource       = "hostler.source"
	labelID           = "hostler.id"
	labelEgress       = "hostler.egress" // of a network: the destinations that it allows
	labelShape        = "hostler.shape"  // how it was made: a shape in JSON
)

// fresh is the suffix of the name of a container that Clean is about to put in another's place.
const fresh = ".new"

// Provider makes containers.
type Provider struct {
	o    options
	plan plan
	log  *slog.Logger
	eng  *engine
	// called before each step, with its name; an error ends the call as a kill would. nil but in
	// tests
	step func(string) error

	ceiling func(context.Context) (files, processes int64) // the engine's own hard limits

	mu   sync.Mutex
	way  way  // how containers start on this engine
	told bool // the log has that there is no wall

	images images
	walls  walls
	maker  maker
}

// images makes the engine have the images that containers are made of.
type images struct{ p *Provider }

// walls are the installation's networks, and the limits of what they reach.
type walls struct{ p *Provider }

// maker makes and starts containers.
type maker struct{ p *Provider }

var (
	_ compute.Provider   = (*Provider)(nil)
	_ provider.Cleaner   = (*Provider)(nil)
	_ provider.Checker   = (*Provider)(nil)
	_ provider.Consoler  = (*Provider)(nil)
	_ provider.CreateLag = (*Provider)(nil)

	_ provider.Snapshotter = (*Provider)(nil)
)

// open returns the provider for one source. ErrInvalid: the options are wrong. It does not ask the
// engine: if that is down or refuses us, each call says so (ErrUnavailable, ErrDenied), and works
// when it is back.
func open(_ context.Context, log *slog.Logger, o options) (*Provider, error) {
	find, err := finder(o.Socket)
	var read plan
	if err == nil {
		if read, err = o.read(); err == nil && o.Installation == "" {
			err = errors.New("no installation")
		}
		if err != nil {
			err = &compute.Error{Kind: compute.ErrInvalid, Err: err}
		}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{o: o, plan: read, log: log, eng: &engine{find: find}}
	p.images.p, p.walls.p, p.maker.p = p, p, p
	p.ceiling = p.eng.ceiling
	if err != nil {
		return nil, p.fault("Open", compute.ID(o.Source), err)
	}
	return p, nil
}

// at calls the test's hook before a step.
func (p *Provider) at(step string) error {
	if p.step == nil {
		return nil
	}
	return p.step(step)
}

// plain reports whether an id can be the beginning of a container's name.
func plain(id compute.ID) bool {
	if id == "" || len(id) > 200 || strings.ContainsAny(string(id[0]), "._-") {
		return false
	}
	return !strings.ContainsFunc(string(id), func(r rune) bool { return !nameRune(r) })
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

// name is the name of an instance's container. The beginning of the installation's id keeps several
// users of an engine apart; it proves nothing.
func (p *Provider) name(id compute.ID) string {
	short := strings.Map(func(r rune) rune {
		if nameRune(r) {
			return r
		}
		return '_'
	}, p.o.Installation)
	return string(id) + "." + short[:min(8, len(short))]
}

// ours reports whether labels say that a container is an instance of this source.
func (p *Provider) ours(labels map[string]string) bool {
	return labels[labelInstallation] == p.o.Installation && labels[labelSource] == p.o.Source && labels[labelID] != ""
}

// look finds an instance's container by a name. errNone: there is none; errForeign: there is one
// that is not ours.
func (p *Provider) look(ctx context.Context, id compute.ID, name string) (*inspection, error) {
	if !plain(id) {
		return nil, errNone
	}
	var c inspection
	err := p.eng.do(ctx, http.MethodGet, "/containers/"+name+"/json", nil, nil, &c)
	switch {
	case status(err) == http.StatusNotFound:
		return nil, errNone
	case err != nil:
		return nil, err
	case !p.ours(c.Config.Labels) || c.Config.Labels[labelID] != string(id):
		return nil, errForeign
	}
	return &c, nil
}

// mine is look for an instance that must exist.
func (p *Provider) mine(ctx context.Context, id compute.ID) (*inspection, error) {
	return p.look(ctx, id, p.name(id))
}

// Create makes and starts a container, finishes one that was begun, or returns the existing one.
func (p *Provider) Create(ctx context.Context, spec compute.Spec) (compute.Instance, error) {
	if !plain(spec.ID) {
		return compute.Instance{}, p.fault(
			"Create", spec.ID, &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("not a name for a container")},
		)
	}
	if err := p.eng.meet(ctx); err != nil {
		return compute.Instance{}, provider.Unasked(p.fault("Create", spec.ID, err))
	}
	err := p.room(ctx, spec)
	var c *inspection
	if err == nil {
		c, err = p.maker.raise(ctx, spec.ID, p.maker.shape(spec))
	}
	if err != nil {
		return compute.Instance{}, p.fault("Create", spec.ID, err)
	}
	return p.instance(ctx, c), nil
}

// room checks that the engine's machine is as large as the request.
func (p *Provider) room(ctx context.Context, spec compute.Spec) error {
	if spec.Cores <= 0 && spec.Memory <= 0 {
		return nil
	}
	var info struct {
		NCPU     int
		MemTotal int64
	}
	err := p.eng.do(ctx, http.MethodGet, "/info", nil, nil, &info)
	switch {
	case err != nil:
		return err
	case spec.Cores > info.NCPU:
		err = fmt.Errorf("%d cores are asked for, the engine has %d", spec.Cores, info.NCPU)
	case spec.Memory > info.MemTotal:
		err = fmt.Errorf("%s of memory are asked for, the engine has %s", units.FormatSize(spec.Memory), units.FormatSize(info.MemTotal))
	default:
		return nil
	}
	return &compute.Error{Kind: compute.ErrTooLarge, Err: err}
}

// instance describes a container as an instance.
func (p *Provider) instance(ctx context.Context, c *inspection) compute.Instance {
	l := listed{ID: c.ID, Image: c.Config.Image, ImageID: c.Image, Labels: c.Config.Labels}
	l.NetworkSettings.Networks = c.NetworkSettings.Networks
	in := p.instanceOf(l)
	for inside, bindings := range c.NetworkSettings.Ports {
		for _, b := range bindings {
			in.Facts["port "+inside] = b.HostIP + ":" + b.HostPort
		}
	}
	if a, err := p.eng.ask(ctx); err == nil {
		in.Facts["engine"] = a.name + " " + a.release
	}
	return in
}

// instanceOf describes a listed container. A published port becomes a fact, such as "port
// 80/tcp" with the host's ADDRESS:PORT.
func (p *Provider) instanceOf(l listed) compute.Instance {
	s := shapeOf(l.Labels)
	in := compute.Instance{
		ID: compute.ID(l.Labels[labelID]), Source: p.o.Source, ProviderID: l.ID,
		Facts: map[string]string{"os": "linux", "arch": s.Arch, "image": s.Image, "image-digest": l.ImageID},
	}
	for _, n := range l.NetworkSettings.Networks {
		if n.IPAddress != "" {
			in.Address = n.IPAddress
		}
	}
	for _, b := range l.Ports {
		if b.PublicPort != 0 {
			in.Facts[fmt.Sprintf("port %d/%s", b.PrivatePort, b.Type)] = fmt.Sprintf("%s:%d", b.IP, b.PublicPort)
		}
	}
	return in
}

// List returns this installation's containers of this source.
func (p *Provider) List(ctx context.Context) ([]compute.Instance, error) {
	filters, _ := json.Marshal(map[string][]string{"label": {labelInstallation + "=" + p.o.Installation, labelSource + "=" + p.o.Source}})
	var all []listed
	if err := p.eng.do(
		ctx, http.MethodGet, "/containers/json", url.Values{"all": {"1"}, "filters": {string(filters)}}, nil, &all,
	); err != nil {
		return nil, p.fault("List", "", err)
	}
	engine := ""
	if a, err := p.eng.ask(ctx); err == nil {
		engine = a.name + " " + a.release
	}
	var out []compute.Instance
	at := map[compute.ID]int{}
	for _, l := range all {
		if !p.ours(l.Labels) {
			continue
		}
		in := p.instanceOf(l)
		in.Facts["engine"] = engine
		// In the middle of a Clean there are two: the one with the instance's name counts.
		if i, there := at[in.ID]; !there {
			at[in.ID] = len(out)
			out = append(out, in)
		} else if len(l.Names) > 0 && strings.TrimPrefix(l.Names[0], "/") == p.name(in.ID) {
			out[i] = in
		}
	}
	return out, nil
}

// Destroy kills and removes a container with its anonymous volumes, and what an interrupted Clean
// left beside it.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	found := false
	for _, name := range []string{p.name(id) + fresh, p.name(id)} {
		c, err := p.look(ctx, id, name)
		if errors.Is(err, errNone) || errors.Is(err, errForeign) {
			continue
		}
		if err == nil {
			found = true
			if err = p.at("remove " + name); err == nil {
				err = p.remove(ctx, c.ID)
			}
		}
		if err != nil {
			return p.fault("Destroy", id, err)
		}
	}
	if !found {
		return p.fault("Destroy", id, errNone)
	}
	return nil
}

// remove asks the engine to remove a container. It accepts one that is gone, or going.
func (p *Provider) remove(ctx context.Context, container string) error {
	err := p.eng.do(ctx, http.MethodDelete, "/containers/"+container, url.Values{"force": {"1"}, "v": {"1"}}, nil, nil)
	if s := status(err); s == http.StatusNotFound || s == http.StatusConflict {
		return nil
	}
	return err
}

// Check returns nil for a container that runs. Connect would start an ended one again, but the
// state of its files is unknown.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	c, err := p.mine(ctx, id)
	switch {
	case err != nil:
	case c.State.Paused:
		err = errors.New("it is paused")
	case !c.State.Running:
		err = errors.New(ending(c))
	}
	return p.fault("Check", id, err)
}

// CreateLag is how long an engine may go on making a container after the request was given up.
func (p *Provider) CreateLag() time.Duration { return 15 * time.Second }

// ending says how a container ended.
func ending(c *inspection) string {
	switch status := c.State.Status; {
	case status != "exited" && status != "stopped" && status != "":
		return "it is " + status
	case c.State.OOMKilled:
		return fmt.Sprintf("it has ended with status %d, %s", c.State.ExitCode, reason)
	}
	return fmt.Sprintf("it has ended with status %d", c.State.ExitCode)
}
