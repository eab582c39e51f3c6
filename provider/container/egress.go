package container

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
)

// wall says what is wrong with `egress`, as far as the keys tell. None is no network, which every
// engine has. What else is asked for takes a network of ours, and a wall around it.
func (o *Options) wall() error {
	may, err := egress.Parse(o.Egress)
	switch {
	case err != nil:
		return compute.WrongKey("egress", compute.Hint(err), "%w", err)
	case len(o.Egress) == 0:
		return nil
	case may.Named():
		return compute.WrongKey("egress", "give addresses or ranges, or use a source of type sandbox",
			"egress = %s: names are for sandboxes", may)
	case o.Network != "" && !(may.None() && o.Network == "none"):
		return compute.WrongKey("egress", "leave one of them out",
			"egress = %s, and network = %s", may, o.Network)
	case may.None() && len(o.Ports) > 0:
		return compute.WrongKey("egress", "leave one of them out",
			"egress = none, and ports: a container without a network has none")
	case may.None():
		o.Network = "none"
	}
	return nil
}

// networkPrefix begins the names of our networks. The name of the network's bridge follows.
const networkPrefix = "hostler-"

// unwalled is the reason why there can be no wall here, whatever is done.
type unwalled struct{ error }

func (u unwalled) Unwrap() error { return u.error }

// network is where a container is made: in what the key `network` says, else behind a wall. Where
// there can be none the engine's own network does, unless somebody asked for the wall.
func (p *Provider) network(ctx context.Context) (string, error) {
	if p.o.Network != "" {
		return p.o.Network, nil
	}
	may, err := egress.Parse(p.o.Egress)
	if err != nil {
		return "", err
	}
	name, err := p.walled(ctx, may)
	var no unwalled
	switch {
	case !errors.As(err, &no):
		return name, err
	case len(p.o.Egress) > 0:
		return "", &compute.Error{Kind: compute.ErrDenied,
			Err:  fmt.Errorf("egress = %s cannot be kept: %w", may, no.error),
			Hint: "use egress = none, or a source of type sandbox"}
	}
	p.tell(no)
	return "", nil
}

// tell says once that a source's containers have no wall.
func (p *Provider) tell(why error) {
	p.mu.Lock()
	told := p.told
	p.told = true
	p.mu.Unlock()
	if !told {
		p.log.Warn("no wall: containers reach what their engine's network does",
			"source", p.o.Source, "err", why)
	}
}

// ownNetwork is what is asked of a network.
type ownNetwork struct {
	Name   string
	Labels map[string]string
}

// have makes a network of ours, unless it is there.
func (p *Provider) have(ctx context.Context, name string, may egress.Policy) error {
	n, err := p.inspectNetwork(ctx, name)
	if status(err) != http.StatusNotFound {
		return p.notOurs(n, err)
	}
	if err := p.at("network " + name); err != nil {
		return err
	}
	made := p.makeNetwork(ctx, name, map[string]string{
		labelInstallation: p.o.Installation, labelEgress: may.String(),
	})
	n, err = p.inspectNetwork(ctx, name) // another process may have been faster
	if made != nil && err != nil {
		return made
	}
	return p.notOurs(n, err)
}

func (p *Provider) inspectNetwork(ctx context.Context, name string) (n ownNetwork, err error) {
	err = p.eng.do(ctx, http.MethodGet, "/networks/"+name, nil, nil, &n)
	return n, err
}

// notOurs refuses a network that somebody else made under our name.
func (p *Provider) notOurs(n ownNetwork, err error) error {
	if err == nil && n.Labels[labelInstallation] != p.o.Installation {
		err = &compute.Error{Kind: compute.ErrConflict, Hint: "remove it",
			Err: fmt.Errorf("network %s is not this installation's", n.Name)}
	}
	return err
}

// makeNetwork has the engine make a bridge of the name that the wall knows.
func (p *Provider) makeNetwork(ctx context.Context, name string, labels map[string]string) error {
	a, err := p.eng.ask(ctx)
	if err != nil {
		return err
	}
	link := strings.TrimPrefix(name, networkPrefix)
	if a.name == "podman" {
		return p.eng.podman(ctx, "/networks/create",
			podNetwork{Name: name, Driver: "bridge", Link: link, Labels: labels})
	}
	return p.eng.do(ctx, http.MethodPost, "/networks/create", nil, networkRequest{
		Name: name, CheckDuplicate: true, Driver: "bridge", Labels: labels,
		Options: map[string]string{"com.docker.network.bridge.name": link},
	}, nil)
}

// behindWall starts a container. If it is in networks of ours, their walls stand before it runs,
// and it is kept from its neighbours before anybody gets into it.
func (p *Provider) behindWall(ctx context.Context, c *inspection, start func() error) error {
	var walls []ownNetwork
	for name := range c.NetworkSettings.Networks {
		if !strings.HasPrefix(name, networkPrefix) {
			continue
		}
		n, err := p.inspectNetwork(ctx, name)
		if err != nil {
			return err
		}
		if n.Labels[labelInstallation] != p.o.Installation || n.Labels[labelEgress] == "" {
			continue // somebody's, whom the key `network` names
		}
		may, err := egress.Parse(strings.Split(n.Labels[labelEgress], ","))
		if err == nil {
			err = p.raiseWall(ctx, name, may)
		}
		if err != nil {
			return err
		}
		walls = append(walls, n)
	}
	if err := start(); err != nil {
		return err
	}
	for _, n := range walls {
		if err := p.apart(ctx, n.Name); err != nil {
			return err
		}
	}
	return nil
}
