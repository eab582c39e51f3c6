package ironic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/provider/openstack/login"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// Destroy undeploys a node, which Ironic then cleans. ErrNotFound is the proof of the end: the node
// is available again. A node whose cleaning failed stays an error until an operator has repaired
// it.
func (p *Provider) Destroy(ctx context.Context, id compute.ID) error {
	r, err := p.find(ctx, "Destroy", id)
	if err != nil {
		return err
	}
	switch state := r.state(); {
	case r.blockedReason() != "" && state != stateCleanFailed:
		return &compute.Error{
			Op: "ironic.Destroy", ID: id, Kind: compute.ErrUnavailable,
			Err: fmt.Errorf("node %s is %s", r.label(), r.blockedReason()), Hint: "it is taken back when that has ended",
		}
	case state == stateAvailable:
		return p.release(ctx, r) // it was claimed, and nothing was written
	case r.ending():
		return nil
	case state == stateCleanFailed:
		return &compute.Error{
			Op: "ironic.Destroy", ID: id, Kind: compute.ErrFailed,
			Err:  fmt.Errorf("node %s could not be cleaned: %s", r.label(), r.failure()),
			Hint: "repair it, and let it through: openstack baremetal node manage, then provide",
		}
	case state == "deploying" || state == "rebuild":
		return nil // it can be undeployed after that
	}
	err = p.a.provision(ctx, "Destroy", r.UUID, "deleted", nil)
	// it is being changed: the next call sees the result
	if openstack.ReasonOf(err) == openstack.Conflicting {
		return nil
	}
	return err
}

// standing returns nil for a node that runs, ErrNotReady for one that is being written, and
// otherwise an error that says what is wrong.
func (p *Provider) standing(op string, id compute.ID, r *record) error {
	state := r.state()
	fail := func(kind error, err error, hint string) error {
		return &compute.Error{Op: "ironic." + op, ID: id, Kind: kind, Err: err, Hint: hint}
	}
	switch {
	case r.ending():
		return fail(compute.ErrNotFound, fmt.Errorf("node %s is being taken back", r.label()), "")
	case r.broken():
		return fail(compute.ErrFailed, fmt.Errorf("node %s: %s", r.label(), r.failure()), "discard the instance")
	case r.deploying() || state == stateAvailable:
		if begun := r.Extra.Mark.Since; time.Since(begun) > p.o.DeployTimeout {
			return fail(
				compute.ErrTimeout,
				fmt.Errorf("node %s is still %s, %s after it was asked for", r.label(), state, time.Since(begun).Round(time.Second)),
				"deploy-timeout says how long one may take",
			)
		}
		return fail(compute.ErrNotReady, fmt.Errorf("node %s is %s", r.label(), state), "")
	case state == stateActive && r.Power == "power off":
		return fail(compute.ErrUnavailable, fmt.Errorf("node %s is switched off", r.label()), "start it, or discard the instance")
	case state == stateActive:
		return nil
	}
	return fail(compute.ErrNotReady, fmt.Errorf("node %s is %s", r.label(), state), "")
}

// Check returns nil if a node runs, as far as Ironic knows.
func (p *Provider) Check(ctx context.Context, id compute.ID) error {
	r, err := p.find(ctx, "Check", id)
	if err != nil {
		return err
	}
	return p.standing("Check", id, r)
}

// Connect logs in to a node by ssh.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	r, err := p.find(ctx, "Connect", id)
	if err != nil {
		return nil, err
	}
	if err := p.standing("Connect", id, r); err != nil {
		return nil, err
	}
	address, err := p.address(ctx, r)
	if err != nil {
		return nil, err
	}
	if address == "" {
		return nil, &compute.Error{
			Op: "ironic.Connect", ID: id, Kind: compute.ErrNotReady,
			Err: fmt.Errorf("node %s has no address: neither extra.address nor a port of the network service says one", r.label()),
		}
	}
	file := p.o.IdentityFile
	if file == "" {
		if file, _, err = login.OwnKey(p.o.Dir, p.o.Source); err != nil {
			return nil, err
		}
	}
	m := r.Extra.Mark
	o := sshconn.Options{
		Host: address, User: cmp.Or(p.o.User, m.User), ConfigFile: p.o.ConfigFile, IdentityFiles: []string{file},
		Timeout: 15 * time.Second,
	}
	if host, port, err := net.SplitHostPort(address); err == nil {
		o.Host = host
		o.Port, _ = strconv.Atoi(port)
	}
	if m.HostKey != "" {
		o.HostKeys = []string{m.HostKey}
	}
	c, err := sshconn.Dial(ctx, o)
	if err != nil {
		return nil, p.cannot(ctx, id, r, err)
	}
	p.mu.Lock()
	p.since[id] = time.Time{}
	p.mu.Unlock()
	return install.Over(c, id, p.o.Installation+"/"+string(id), p.o.Agent), nil
}

// cannot gives a failed log-in its kind: while a node boots, it is ErrNotReady.
func (p *Provider) cannot(ctx context.Context, id compute.ID, r *record, err error) error {
	if ctx.Err() != nil {
		return openstack.Classify("Connect", id, ctx.Err())
	}
	p.mu.Lock()
	first, seen := p.since[id]
	if !seen {
		first = time.Now()
		p.since[id] = first
	}
	p.mu.Unlock()
	reached := seen && first.IsZero()
	var network net.Error
	soft := errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) ||
		errors.Is(err, compute.ErrDenied) || errors.As(err, &network)
	if soft && !reached && time.Since(first) < p.o.DeployTimeout {
		return &compute.Error{Op: "ironic.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
	}
	return &compute.Error{Op: "ironic.Connect", ID: id, Err: fmt.Errorf("node %s: %w", r.label(), err)}
}

// address returns where a node is reached: the address in its extra, else the first address of its
// ports at the network service. "": it is not known.
func (p *Provider) address(ctx context.Context, r *record) (string, error) {
	if r.Extra.Address != "" {
		return r.Extra.Address, nil
	}
	c, err := p.a.s.Network(ctx)
	if errors.Is(err, openstack.ErrNoService) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	for _, device := range []string{r.Instance, r.UUID} {
		if device == "" {
			continue
		}
		pages, err := ports.List(c, ports.ListOpts{DeviceID: device}).AllPages(ctx)
		if err != nil {
			return "", openstack.ClassifyList("Connect", "", err)
		}
		all, err := ports.ExtractPorts(pages)
		if err != nil {
			return "", openstack.Classify("Connect", "", err)
		}
		for _, port := range all {
			for _, ip := range port.FixedIPs {
				return ip.IPAddress, nil
			}
		}
	}
	return "", nil
}

// Stop switches a node off.
func (p *Provider) Stop(ctx context.Context, id compute.ID, grace time.Duration) error {
	return p.switched(ctx, "Stop", id, "off", grace)
}

// Start switches a node on.
func (p *Provider) Start(ctx context.Context, id compute.ID) error {
	p.mu.Lock()
	delete(p.since, id)
	p.mu.Unlock()
	return p.switched(ctx, "Start", id, "on", 0)
}

// switched sets a node's power state, and waits for that: a minute and grace.
func (p *Provider) switched(ctx context.Context, op string, id compute.ID, to string, grace time.Duration) error {
	r, err := p.find(ctx, op, id)
	if err != nil {
		return err
	}
	asked := false
	for end := time.Now().Add(grace + time.Minute); ; {
		switch {
		case r.Power == "power "+to:
			return nil
		case r.blockedReason() != "" || r.state() != stateActive:
			return conflict(op, string(id), "node %s is %s", r.label(), cmp.Or(r.blockedReason(), r.state()))
		case !asked:
			if err := p.a.power(ctx, op, r.UUID, to); err != nil {
				return err
			}
			asked = true
		case time.Now().After(end):
			return &compute.Error{
				Op: "ironic." + op, ID: id, Kind: compute.ErrTimeout,
				Err: fmt.Errorf("node %s is not switched %s: its power is %q", r.label(), to, r.Power),
			}
		}
		if err := sleep(ctx, p.a.pause); err != nil {
			return openstack.Classify(op, id, err)
		}
		if r, err = p.a.node(ctx, op, r.UUID); err != nil {
			return err
		}
	}
}

// Console says where a node's console is. Ironic keeps no output of it.
func (p *Provider) Console(ctx context.Context, id compute.ID) (string, error) {
	r, err := p.find(ctx, "Console", id)
	if err != nil {
		return "", err
	}
	var c struct {
		Enabled bool `json:"console_enabled"`
		Info    *struct {
			Type string `json:"type"`
			URL  string `json:"url"`
		} `json:"console_info"`
	}
	if err := p.a.get(ctx, "Console", id, "nodes/"+url.PathEscape(r.UUID)+"/states/console", &c); err != nil {
		return "", err
	}
	if !c.Enabled || c.Info == nil {
		return "", &compute.Error{
			Op: "ironic.Console", ID: id, Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("the console of node %s is not enabled", r.label()),
			Hint: "openstack baremetal node console enable " + r.UUID,
		}
	}
	return fmt.Sprintf("the console of node %s is at %s (%s)\n", r.label(), c.Info.URL, c.Info.Type), nil
}
