package container

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/egress"
)

// wall refuses an `egress` that the keys do not allow. None means no network, which every engine
// has. Any other value takes a network of ours, with a wall around it.
func (o *options) wall() error {
	may, err := egress.Parse(o.Egress)
	switch {
	case err != nil:
		return provider.WrongKey("egress", compute.Hint(err), "%w", err)
	case len(o.Egress) == 0:
		return nil
	case may.Named():
		return provider.WrongKey("egress", "give addresses or ranges, or use a source of type sandbox",
			"egress = %s: names are for sandboxes", may)
	case o.Network != "" && !(may.None() && o.Network == "none"):
		return provider.WrongKey("egress", "leave one of them out",
			"egress = %s, and network = %s", may, o.Network)
	case may.None() && len(o.Ports) > 0:
		return provider.WrongKey("egress", "leave one of them out",
			"egress = none, and ports: a container without a network has none")
	case may.None():
		o.Network = "none"
	}
	return nil
}

// networkPrefix begins the names of our networks. The name of the network's bridge follows.
const networkPrefix = "hostler-"

// unwalled is the reason why this engine can have no wall at all.
type unwalled struct{ error }

func (u unwalled) Unwrap() error { return u.error }

// network returns the network for a container: the one that the key `network` names, else one
// behind a wall. Without a wall it is the engine's default, unless the source asks for the wall.
func (w *walls) network(ctx context.Context) (string, error) {
	if w.p.o.Network != "" {
		return w.p.o.Network, nil
	}
	may, err := egress.Parse(w.p.o.Egress)
	if err != nil {
		return "", err
	}
	name, err := w.walled(ctx, may)
	var no unwalled
	switch {
	case !errors.As(err, &no):
		return name, err
	case len(w.p.o.Egress) > 0:
		return "", &compute.Error{Kind: compute.ErrDenied,
			Err:  fmt.Errorf("egress = %s cannot be kept: %w", may, no.error),
			Hint: "use egress = none, or a source of type sandbox"}
	}
	w.tell(no)
	return "", nil
}

// tell logs once that a source's containers have no wall.
func (w *walls) tell(why error) {
	w.p.mu.Lock()
	told := w.p.told
	w.p.told = true
	w.p.mu.Unlock()
	if !told {
		w.p.log.Warn("no wall: containers reach what their engine's network does",
			"source", w.p.o.Source, "err", why)
	}
}

// ownNetwork is what an engine knows of one of our networks.
type ownNetwork struct {
	Name   string
	Labels map[string]string
}

// have makes a network of ours, unless it exists.
func (w *walls) have(ctx context.Context, name string, may egress.Policy) error {
	n, err := w.inspectNetwork(ctx, name)
	if status(err) != http.StatusNotFound {
		return w.notOurs(n, err)
	}
	if err := w.p.at("network " + name); err != nil {
		return err
	}
	made := w.makeNetwork(ctx, name, map[string]string{
		labelInstallation: w.p.o.Installation, labelEgress: may.String(),
	})
	n, err = w.inspectNetwork(ctx, name) // another process may have been faster
	if made != nil && err != nil {
		return made
	}
	return w.notOurs(n, err)
}

func (w *walls) inspectNetwork(ctx context.Context, name string) (n ownNetwork, err error) {
	err = w.p.eng.do(ctx, http.MethodGet, "/networks/"+name, nil, nil, &n)
	return n, err
}

// notOurs refuses a network of our name that another program made.
func (w *walls) notOurs(n ownNetwork, err error) error {
	if err == nil && n.Labels[labelInstallation] != w.p.o.Installation {
		err = &compute.Error{Kind: compute.ErrConflict, Hint: "remove it",
			Err: fmt.Errorf("network %s is not this installation's", n.Name)}
	}
	return err
}

// makeNetwork makes a network whose bridge has the name that the wall knows.
func (w *walls) makeNetwork(ctx context.Context, name string, labels map[string]string) error {
	a, err := w.p.eng.ask(ctx)
	if err != nil {
		return err
	}
	link := strings.TrimPrefix(name, networkPrefix)
	if a.name == "podman" {
		return w.p.eng.podman(ctx, "/networks/create",
			podNetwork{Name: name, Driver: "bridge", Link: link, Labels: labels})
	}
	return w.p.eng.do(ctx, http.MethodPost, "/networks/create", nil, networkRequest{
		Name: name, CheckDuplicate: true, Driver: "bridge", Labels: labels,
		Options: map[string]string{"com.docker.network.bridge.name": link},
	}, nil)
}

// behindWall starts a container. If it is in networks of ours, their walls stand before it runs. It
// is cut off from its neighbours before any client gets into it.
func (w *walls) behindWall(ctx context.Context, c *inspection, start func() error) error {
	var walls []ownNetwork
	for name := range c.NetworkSettings.Networks {
		if !strings.HasPrefix(name, networkPrefix) {
			continue
		}
		n, err := w.inspectNetwork(ctx, name)
		if err != nil {
			return err
		}
		if n.Labels[labelInstallation] != w.p.o.Installation || n.Labels[labelEgress] == "" {
			continue // the user's own, named by the key `network`
		}
		may, err := egress.Parse(strings.Split(n.Labels[labelEgress], ","))
		if err == nil {
			err = w.raiseWall(ctx, name, may)
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
		if err := w.apart(ctx, n.Name); err != nil {
			return err
		}
	}
	return nil
}
