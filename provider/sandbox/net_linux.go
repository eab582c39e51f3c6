package sandbox

import (
	"context"
	"errors"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// net opens the network of this installation's sandboxes.
func (p *Provider) net(ctx context.Context) (*network.Network, string, error) {
	// a host without name servers gets a usable text, and doctor reports it
	resolv, servers, _ := network.Resolver("")
	may, err := egress.Parse(p.o.Egress)
	if err != nil {
		return nil, "", err
	}
	n, err := network.Open(ctx, network.Options{
		Installation: p.o.Installation, Dir: p.o.NetworkDir, Nameservers: servers, Egress: may, Answers: p.o.Answers, Without: p.o.Without,
	})
	if err == nil && may.Named() {
		resolv = network.ResolvAt(resolv, n.Gateway())
	}
	return n, resolv, err
}

// attached is the result of attaching a sandbox's network.
type attached struct {
	resolv string // the text of its resolv.conf; "": its image's
	err    error
}

// attach gives a sandbox its network, in a goroutine that ends when it has sent the result. It
// takes as long as the first process needs to start.
func (m *making) attach(ctx context.Context) <-chan attached {
	out := make(chan attached, 1)
	p := m.p
	given := p.o.Network == "nat" || len(p.o.Egress) > 0 && p.o.Egress[0] != egress.None
	if p.o.Network == "none" || !given && (!p.root || p.o.NetworkDir == "") {
		out <- attached{}
		return out
	}
	go func() {
		n, resolv, err := p.net(ctx)
		if err == nil {
			var ns *os.File
			if ns, err = m.space("net"); err == nil {
				_, err = n.Attach(ctx, compute.ID(m.own.ID), ns, p.ports)
				ns.Close()
			}
		}
		if err != nil && p.o.Network == "" && len(p.o.Egress) == 0 &&
			(errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrUnavailable)) && len(p.ports) == 0 {
			p.log.Info("no network here for sandboxes but lo; see hostler doctor", "instance", m.own.ID, "err", err)
			resolv, err = "", nil
		}
		out <- attached{resolv, err}
	}()
	return out
}

// detach removes a sandbox's network, if it has one.
func (p *Provider) detach(ctx context.Context, id compute.ID) error {
	if !p.root || p.o.NetworkDir == "" {
		return nil
	}
	if _, err := os.Stat(p.o.NetworkDir); errors.Is(err, os.ErrNotExist) {
		return nil // no network was ever made
	}
	n, _, err := p.net(ctx)
	if err == nil {
		err = n.Detach(ctx, id)
	}
	if err == nil { // the last sandbox's end removes the shared parts
		_, err = n.Sweep(ctx, func(compute.ID) bool { return true })
	}
	return err
}

// keepAnswers starts the process that answers questions for the names in egress, if it was killed.
func (p *Provider) keepAnswers(ctx context.Context, id compute.ID) {
	may, err := egress.Parse(p.o.Egress)
	if err != nil || !may.Named() || !p.root || p.o.NetworkDir == "" {
		return
	}
	n, _, err := p.net(ctx)
	if err == nil {
		err = n.Keep(ctx)
	}
	if err != nil {
		p.log.Warn("names are not answered for, so it reaches none of them", "instance", id, "err", err)
	}
}
