package openstack

import (
	"cmp"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/login"
	"github.com/hostler-project/hostler/remote/install"
	"github.com/hostler-project/hostler/remote/sshconn"
)

// patience is how long a running server may refuse the log-in: its user and host key are installed
// at the end of its boot.
const patience = 5 * time.Minute

// Connect logs in to a server by ssh.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	s, err := p.inv.find(ctx, "Connect", id)
	if err != nil {
		return nil, err
	}
	if err := p.health.standing(ctx, s, id); err != nil {
		return nil, err
	}
	seen := p.seen.see(id, func(k *observation) {
		if k.active.IsZero() {
			k.active = time.Now()
		}
	})
	address := p.address(s)
	if address == "" {
		return nil, notReady(id, errors.New("it has no address yet"))
	}
	keys, err := p.hostKeys(ctx, s, id)
	if err != nil {
		return nil, err
	}
	o := sshconn.Options{
		Host: address, User: cmp.Or(p.o.User, s.Metadata[keyUser]), HostKeys: keys, ConfigFile: p.o.ConfigFile,
		Timeout: 15 * time.Second,
	}
	if p.o.Key == "" {
		o.IdentityFiles = []string{filepath.Join(p.o.Dir, login.KeyFile)}
	} else if p.o.IdentityFile != "" {
		o.IdentityFiles = []string{p.o.IdentityFile}
	}
	c, err := sshconn.Dial(ctx, o)
	if err != nil {
		return nil, p.cannot(ctx, s, id, seen, err)
	}
	p.seen.see(id, func(k *observation) { k.reached, k.refused = true, time.Time{} })
	return install.Over(c, id, p.o.Installation+"/"+string(id), p.o.Agent), nil
}

func notReady(id compute.ID, err error) error {
	return &compute.Error{Op: "openstack.Connect", ID: id, Kind: compute.ErrNotReady, Err: err}
}

// cannot gives a failed log-in its kind: while the server boots, it is ErrNotReady.
func (p *Provider) cannot(ctx context.Context, s servers.Server, id compute.ID, before observation, err error) error {
	if ctx.Err() != nil {
		return Classify("Connect", id, ctx.Err())
	}
	// the server may be gone, or have failed, since the last look
	if now, ferr := p.inv.fresh(ctx, id); ferr != nil {
		return ferr
	} else if serr := p.health.standing(ctx, now, id); serr != nil {
		return serr
	}
	denied := errors.Is(err, compute.ErrDenied)
	seen := p.seen.see(id, func(k *observation) {
		if denied && k.refused.IsZero() {
			k.refused = time.Now()
		}
	})
	var network net.Error
	switch {
	case before.reached && !denied:
		return &compute.Error{Op: "openstack.Connect", ID: id, Err: err}
	case denied && !before.reached && time.Since(seen.refused) < patience,
		!denied && time.Since(before.active) < p.o.BuildTimeout &&
			(errors.Is(err, compute.ErrUnavailable) || errors.Is(err, compute.ErrTimeout) || errors.As(err, &network)):
		return notReady(id, err)
	}
	f := p.health.explain(ctx, s, &Fault{Message: err.Error(), Reason: Unknown})
	var kind error = compute.ErrTimeout
	if denied {
		kind = compute.ErrDenied
	}
	return &compute.Error{
		Op: "openstack.Connect", ID: id, Kind: kind, Err: errors.Join(f),
		Hint: cmp.Or(compute.Hint(err), "see whether its security groups let port 22 in, and whether user and image are right"),
	}
}

// hostKeys returns the host keys that a server may have. nil: OpenSSH's known hosts decide.
func (p *Provider) hostKeys(ctx context.Context, s servers.Server, id compute.ID) ([]string, error) {
	if k := s.Metadata[keyHostKey]; k != "" {
		return []string{k}, nil
	}
	if p.o.HostKey != "console" {
		return nil, nil
	}
	log, err := p.health.console(ctx, s, 0)
	if err != nil {
		return nil, Classify("Connect", id, err)
	}
	keys := login.ConsoleKeys(log)
	if len(keys) == 0 {
		return nil, notReady(id, errors.New("its console log does not tell its host keys yet"))
	}
	best := keys[0]
	for _, k := range keys {
		if strings.HasPrefix(k, "ssh-ed25519 ") {
			best = k
		}
	}
	if len(best) <= 255 { // the log is not kept for ever
		c, err := p.s.Compute(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := servers.UpdateMetadata(ctx, c, s.ID, servers.MetadataOpts{keyHostKey: best}).Extract(); err != nil {
			return nil, Classify("Connect", id, err)
		}
		p.inv.servers.drop() // the last list does not have it
	}
	return []string{best}, nil
}
