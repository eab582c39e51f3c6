package sandbox

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// networks give a source's sandboxes their network.
type networks struct {
	o     *Options
	root  bool // we are root
	ports []network.Forward
	log   *slog.Logger
}

// open opens the network of this installation's sandboxes.
func (ns *networks) open(ctx context.Context) (*network.Network, string, error) {
	// a host without name servers gets a usable text, and doctor reports it
	resolv, servers, _ := network.Resolver("")
	may, err := egress.Parse(ns.o.Egress)
	if err != nil {
		return nil, "", err
	}
	n, err := network.Open(ctx, network.Options{
		Installation: ns.o.Installation, Dir: ns.o.NetworkDir, Nameservers: servers, Egress: may, Answers: ns.o.Answers,
		Without: ns.o.Without,
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
func (ns *networks) attach(ctx context.Context, f *first, id string) <-chan attached {
	out := make(chan attached, 1)
	given := ns.o.Network == "nat" || len(ns.o.Egress) > 0 && ns.o.Egress[0] != egress.None
	if ns.o.Network == "none" || !given && (!ns.root || ns.o.NetworkDir == "") {
		out <- attached{}
		return out
	}
	go func() {
		n, resolv, err := ns.open(ctx)
		if err == nil {
			var space *os.File
			if space, err = f.space("net"); err == nil {
				_, err = n.Attach(ctx, compute.ID(id), space, ns.ports)
				space.Close()
			}
		}
		if err != nil && ns.o.Network == "" && len(ns.o.Egress) == 0 &&
			(errors.Is(err, compute.ErrDenied) || errors.Is(err, compute.ErrUnavailable)) && len(ns.ports) == 0 {
			ns.log.Info("no network here for sandboxes but lo; see hostler doctor", "instance", id, "err", err)
			resolv, err = "", nil
		}
		out <- attached{resolv, err}
	}()
	return out
}

// detach removes a sandbox's network, if it has one.
func (ns *networks) detach(ctx context.Context, id compute.ID) error {
	if !ns.root || ns.o.NetworkDir == "" {
		return nil
	}
	if _, err := os.Stat(ns.o.NetworkDir); errors.Is(err, os.ErrNotExist) {
		return nil // no network was ever made
	}
	n, _, err := ns.open(ctx)
	if err == nil {
		err = n.Detach(ctx, id)
	}
	if err == nil { // the last sandbox's end removes the shared parts
		_, err = n.Sweep(ctx, func(compute.ID) bool { return true })
	}
	return err
}

// keepAnswers starts the process that answers questions for the names in egress, if it was killed.
func (ns *networks) keepAnswers(ctx context.Context, id compute.ID) {
	may, err := egress.Parse(ns.o.Egress)
	if err != nil || !may.Named() || !ns.root || ns.o.NetworkDir == "" {
		return
	}
	n, _, err := ns.open(ctx)
	if err == nil {
		err = n.Keep(ctx)
	}
	if err != nil {
		ns.log.Warn("names are not answered for, so it reaches none of them", "instance", id, "err", err)
	}
}
