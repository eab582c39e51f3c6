package hook

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	"github.com/hostler-project/hostler/slapos/node/hook/forward"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
)

const redirectFile = ".slapos-port-redirect"

// port is a port's number, as a number or a text.
type port uint16

// UnmarshalJSON reads it.
func (p *port) UnmarshalJSON(text []byte) error {
	if s, err := strconv.Unquote(string(text)); err == nil {
		text = []byte(s)
	}
	n, err := strconv.ParseUint(string(text), 10, 16)
	if err != nil || n == 0 {
		return fmt.Errorf("a port is a number from 1 to 65535, and not %.20s", text)
	}
	*p = port(n)
	return nil
}

// redirection is one that is asked for.
type redirection struct {
	Type        string `json:"type"`
	SrcPort     port   `json:"srcPort"`
	SrcAddress  string `json:"srcAddress"`
	DestPort    port   `json:"destPort"`
	DestAddress string `json:"destAddress"`
}

// options checks one. Without addresses it leads from all IPv4 addresses of the machine to the
// partition's IPv6 address.
func (r *redirection) options(p *proto.Partition) (forward.Options, error) {
	o := forward.Options{Network: r.Type}
	if r.Type != "tcp" && r.Type != "udp" {
		return o, fmt.Errorf("%q is neither tcp nor udp", r.Type)
	}
	if r.SrcPort == 0 || r.DestPort == 0 {
		return o, errors.New("srcPort or destPort is missing")
	}
	from, to := netip.IPv4Unspecified(), netip.Addr{}
	var err error
	if r.SrcAddress != "" {
		if from, err = netip.ParseAddr(r.SrcAddress); err != nil {
			return o, fmt.Errorf("srcAddress is no address: %w", err)
		}
	}
	if r.DestAddress != "" {
		if to, err = netip.ParseAddr(r.DestAddress); err != nil {
			return o, fmt.Errorf("destAddress is no address: %w", err)
		}
	} else {
		i := slices.IndexFunc(p.Addresses, func(a proto.Address) bool {
			addr, err := netip.ParseAddr(a.IP)
			to = addr
			return err == nil && addr.Is6() && !addr.Is4In6()
		})
		if i < 0 {
			return o, errors.New("it has no destAddress, and the partition no IPv6 address")
		}
	}
	o.From, o.To = netip.AddrPortFrom(from, uint16(r.SrcPort)), netip.AddrPortFrom(to, uint16(r.DestPort))
	return o, nil
}

// redirect has the ports that are asked for lead to a partition while it is started.
func (h *Hooks) redirect(ctx context.Context, p *partition) error {
	name := p.ID + "-socat"
	var all []redirection
	if p.State == proto.Started {
		var err error
		if all, err = asked[redirection](p, redirectFile); err != nil {
			return err
		}
	}
	g := supervise.Group{Name: name}
	for i := range all {
		r := &all[i]
		o, err := r.options(p.Partition)
		if err != nil {
			return fmt.Errorf("entry %d of %s: %w", i+1, redirectFile, err)
		}
		one := supervise.Program{
			Name: fmt.Sprintf("socat-%s-%d", r.Type, r.SrcPort), Dir: p.home.Path(), Env: environ(p),
			User: group(p.user), Keep: supervise.Again,
		}
		one.Log = "." + p.ID + "_" + one.Name + ".log"
		if p.user != nil && r.SrcPort < 1024 {
			// Only root may have the port; it is given up for the partition's user when it is had.
			one.User, o.UID, o.GID = nil, p.user.UID, p.user.GID
		}
		if slices.ContainsFunc(g.Programs, func(q supervise.Program) bool { return q.Name == one.Name }) {
			return fmt.Errorf("%s port %d is twice in %s", r.Type, r.SrcPort, redirectFile)
		}
		one.Command = append(slices.Clone(h.o.Forwarder), o.Args()...)
		g.Programs = append(g.Programs, one)
	}
	if len(g.Programs) > 0 {
		if _, err := h.o.Supervisor.Put(ctx, g); err != nil {
			return err
		}
		return h.o.Supervisor.Start(ctx, name)
	}
	groups, err := h.o.Supervisor.Groups(ctx)
	if err != nil || !slices.Contains(groups, name) {
		return err
	}
	return h.o.Supervisor.Remove(ctx, name)
}
