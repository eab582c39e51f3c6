package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/egress"
	"github.com/hostler-project/hostler/provider/sandbox/network"
)

// walled returns the name of an existing network for a policy, with its wall.
func (w *walls) walled(ctx context.Context, may egress.Policy) (string, error) {
	name := networkPrefix + network.BridgeName(w.p.o.Installation, may)
	if err := w.raiseWall(ctx, name, may); err != nil {
		return "", err
	}
	return name, w.have(ctx, name, may)
}

// raiseWall puts up the wall around a network of ours. Its error is unwalled if this engine can
// have none.
func (w *walls) raiseWall(ctx context.Context, name string, may egress.Policy) error {
	b, err := w.bridge(ctx, name)
	if err != nil {
		return err
	}
	defer b.Net.Close()
	if err := b.Admit(may); err != nil {
		return unwalled{err}
	}
	return nil
}

// apart keeps a network's containers from each other.
func (w *walls) apart(ctx context.Context, name string) error {
	b, err := w.bridge(ctx, name)
	if err != nil {
		return err
	}
	defer b.Net.Close()
	err = b.Apart()
	if errors.Is(err, compute.ErrNotFound) {
		err = fmt.Errorf("the engine's bridges are not where its socket is listened to: %w", err)
		if len(w.p.o.Egress) == 0 {
			w.tell(err)
			return nil
		}
	}
	return err
}

// bridge returns the bridge of a network of ours, in the engine's network name space.
func (w *walls) bridge(ctx context.Context, name string) (b network.Bridge, err error) {
	if b.Net, err = w.p.eng.place(ctx); err != nil {
		return b, err
	}
	b.Link = strings.TrimPrefix(name, networkPrefix)
	_, b.Nameservers, err = network.Resolver("")
	if errors.Is(err, compute.ErrUnavailable) { // there are no name servers to let through
		err = nil
	}
	if err != nil {
		b.Net.Close()
	}
	return b, err
}

// place opens the network name space of the engine. Its error is unwalled if this process may not
// put rules there, or if it is not known where that is.
func (e *engine) place(ctx context.Context) (*os.File, error) {
	if os.Geteuid() != 0 {
		return nil, unwalled{errors.New("only root puts rules around an engine's network")}
	}
	if a, err := e.ask(ctx); err != nil || a.old() {
		if err == nil {
			err = unwalled{fmt.Errorf("podman %s cannot make the network, 4.0 and later can", a.release)}
		}
		return nil, err
	}
	peer, err := e.peer(ctx)
	switch {
	case err != nil:
		return nil, err
	case peer.Uid != 0:
		return nil, unwalled{fmt.Errorf("the engine is an ordinary user's, of number %d", peer.Uid)}
	case peer.Pid == 0:
		return nil, unwalled{errors.New("the engine's process is not to be seen from here")}
	}
	own, err := sameUsers(int(peer.Pid))
	if err == nil && !own {
		err = errors.New("the engine has a user name space of its own")
	}
	var net *os.File
	if err == nil {
		net, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", peer.Pid))
	}
	if err != nil {
		return nil, unwalled{err}
	}
	return net, nil
}

// unwalled returns why containers have no wall here; nil: they have one.
func (e *engine) unwalled(ctx context.Context) error {
	net, err := e.place(ctx)
	if err == nil {
		net.Close()
	}
	return err
}

// sameUsers reports whether a process is in this one's user name space.
func sameUsers(pid int) (bool, error) {
	its, err := os.Stat(fmt.Sprintf("/proc/%d/ns/user", pid))
	if err != nil {
		return false, err
	}
	own, err := os.Stat("/proc/self/ns/user")
	return err == nil && os.SameFile(its, own), err
}
